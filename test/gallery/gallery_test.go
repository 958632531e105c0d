// SPDX-License-Identifier: Apache-2.0

//go:build slow

package gallery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/stack"
)

const (
	// Two hours are a minute. What bridges a missed scrape, four minutes, must still hold
	// some scrapes.
	scale = 120
	every = 500 * time.Millisecond
	// linger is how long a fault goes on after its alerts fire: what else would page?
	linger = 20 * time.Minute / scale
	// patience is how long an alert may take, a count of keys by an exporter that paces
	// itself included.
	patience = 5 * time.Minute
	// calm is how long the longest memory lasts: EtcdErrorBudgetBurn looks at six hours.
	calm = 5 * time.Minute
)

// fault is something that goes wrong, and the alerts that must tell of it.
type fault struct {
	name string
	want []string
	also []string // other alerts of severity critical that are right about it
	// how brings it about; mend ends it, nil where nothing would.
	how, mend func(ctx context.Context, s *stack.Stack) error
}

// seen is a fault and what fired.
type seen struct {
	fault
	fired map[fired]time.Duration // after the cause
}

// TestGallery brings about one fault after the other. The right alerts fire, and no
// others of severity critical; when it is mended all goes quiet. What fired is kept for
// docs/alerts.md, which make generate writes.
func TestGallery(t *testing.T) {
	var shown []seen
	for _, part := range []struct {
		name   string
		lab    lab.Options
		faults []fault
	}{
		{"one cluster", lab.Options{}, faults},
		{"a clock", lab.Options{Member: map[int]lab.MemberOptions{1: {ClockSkew: 30 * time.Second}}}, []fault{skewedClock}},
		{"a lost past", lab.Options{}, []fault{restored}},
	} {
		t.Run(part.name, func(t *testing.T) {
			s := start(t, stack.Options{
				Lab: part.lab, Scale: scale, Every: every, Mode: "plan",
				Knobs: map[string]string{"floodKeys": "5000", "floodKeysYoung": "5000"},
			})
			work(t, s, load{every: 100 * time.Millisecond, keys: 50})
			for i := range part.faults {
				t.Run(part.faults[i].name, func(t *testing.T) { shown = append(shown, show(t, s, part.faults[i])) })
			}
		})
	}
	if !t.Failed() && len(shown) == len(faults)+2 { // all of them, and not those that -run names
		must(t, keep(shown))
	}
}

// show brings a fault about, watches and mends it.
func show(t *testing.T, s *stack.Stack, f fault) seen {
	t.Helper()
	if f.mend != nil {
		quiet(t, s, calm)
	}
	began := time.Now()
	mended := f.mend == nil
	defer func() {
		if !mended { // and failed: the next fault begins from a sound cluster all the same
			must(t, f.mend(t.Context(), s))
		}
	}()
	must(t, f.how(t.Context(), s))
	got := seen{f, map[fired]time.Duration{}}
	look := func() error {
		now, err := firing(t.Context(), s)
		for alert := range now {
			if _, known := got.fired[alert]; !known {
				got.fired[alert] = time.Since(began)
				t.Logf("%5.1f s  %s fires: %s", time.Since(began).Seconds(), alert, now[alert].Annotations["description"])
			}
		}
		return err
	}
	must(t, stack.Await(t.Context(), patience, fmt.Sprintf("%v fire", f.want), func() error {
		if err := look(); err != nil {
			return err
		}
		for _, name := range f.want {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(got.fired)), func(a fired) bool { return a.name == name }) {
				return fmt.Errorf("%s does not", name)
			}
		}
		return nil
	}))
	for end := time.Now().Add(linger); time.Now().Before(end); time.Sleep(every) {
		must(t, look())
	}
	for alert := range got.fired {
		if alert.severity == "critical" && !slices.Contains(f.want, alert.name) && !slices.Contains(f.also, alert.name) {
			t.Errorf("%s fires as well", alert)
		}
	}
	if !mended {
		mended = true
		must(t, f.mend(t.Context(), s))
		quiet(t, s, calm)
		t.Logf("%5.1f s  all is quiet", time.Since(began).Seconds())
	}
	return got
}
