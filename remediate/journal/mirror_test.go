// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

func TestPause(t *testing.T) {
	r := newRig(t, Options{})
	r.ok(r.Pause(t.Context(), "ann"))
	r.clock.Add(time.Minute)
	r.ok(r.Pause(t.Context(), "bob"))
	r.restart()
	if since, by := r.Paused(); !since.Equal(start) || by != "ann" {
		t.Errorf("paused since %s by %q", since, by)
	}
	r.ok(r.Resume(t.Context(), "bob"))
	r.restart()
	if since, by := r.Paused(); !since.IsZero() || by != "" {
		t.Errorf("paused since %s by %q", since, by)
	}
}

// poor makes a run that brought nothing and ended at that time.
func poor(id string, at time.Time) *remediate.Run {
	s := done(remediate.StepDefrag, at)
	s.Estimate = 100
	return &remediate.Run{ID: id, Cluster: "prod", Policy: "p", Outcome: remediate.Succeeded, FinishedAt: at, Steps: []*remediate.Step{s}}
}

// TestMirror shows that another replica knows what the first one did.
func TestMirror(t *testing.T) {
	one := newRig(t, Options{})
	two := &rig{t: t, clock: one.clock, dir: t.TempDir(), o: one.o}
	two.open()
	ctx := t.Context()
	hand := func(from, to *rig) {
		t.Helper()
		to.ok(to.Import(ctx, "prod", from.Export("prod")))
	}
	one.finish(poor("1", start))
	one.clock.Add(time.Hour)
	one.finish(poor("2", start.Add(time.Hour)))
	hand(one, two)
	two.restart()
	if got := two.Spent("prod", "p"); len(got) != 2 || !two.LastSpent("prod", "p").Equal(start.Add(time.Hour)) {
		t.Errorf("the other one knows of %v", got)
	}
	if open, why := two.Breaker("prod", "p"); !open || why == "" {
		t.Error("the breaker is open here only")
	}

	one.clock.Add(time.Minute)
	one.ok(one.Pause(ctx, "ann"))
	old := one.Export("prod")
	hand(one, two)
	if since, by := two.Paused(); since.IsZero() || by != "ann" {
		t.Error("paused here only")
	}
	one.clock.Add(time.Minute)
	two.ok(two.Resume(ctx, "bob"))
	two.ok(two.Import(ctx, "prod", old)) // the newest word counts
	if since, _ := two.Paused(); !since.IsZero() {
		t.Error("an old pause is back")
	}
	if open, _ := two.Breaker("prod", "p"); open {
		t.Error("a breaker that a person closed is open again")
	}
	hand(two, one)
	if since, _ := one.Paused(); !since.IsZero() {
		t.Error("resumed there only")
	}
	if open, _ := one.Breaker("prod", "p"); open {
		t.Error("the breaker was closed there only")
	}
	one.clock.Add(time.Minute)
	one.ok(one.Pause(ctx, "eve")) // a pause does not make old breakers new
	one.ok(one.Import(ctx, "prod", old))
	if open, _ := one.Breaker("prod", "p"); open {
		t.Error("a breaker that a person closed is open again after a pause")
	}
	one.restart()
	two.restart()
}

// TestMirrorOrder shows that a word of a person counts for what was before it only.
func TestMirrorOrder(t *testing.T) {
	r := newRig(t, Options{})
	r.finish(poor("1", start))
	r.clock.Add(time.Hour)
	r.finish(poor("2", r.clock.Now()))
	resumed := `{"v":1,"pause":{"at":"2026-11-24T12:30:00Z","resumed":"2026-11-24T12:30:00Z"}}`
	r.ok(r.Import(t.Context(), "prod", []byte(resumed)))
	if open, _ := r.Breaker("prod", "p"); !open {
		t.Error("a resume closed a breaker that was opened after it")
	}
	r.clock.Add(time.Hour)
	r.ok(r.Resume(t.Context(), "me"))
	old := `{"v":1,"pause":{"paused":true,"at":"2026-11-24T13:00:00Z"},"policies":{"new":{"last":"2026-11-24T13:00:00Z"}}}`
	r.ok(r.Import(t.Context(), "prod", []byte(old)))
	if since, _ := r.Paused(); !since.IsZero() || r.LastSpent("prod", "new").IsZero() {
		t.Errorf("paused since %s by a word that is older than the resume", since)
	}
}

// TestMirrorRepeats shows that the same mirror again writes nothing.
func TestMirrorRepeats(t *testing.T) {
	f := newFragile()
	one, two := newRig(t, Options{}), newRig(t, Options{disk: f.on})
	one.finish(poor("1", start.Add(3*time.Second))) // a clock that is a little ahead
	two.ok(two.Import(t.Context(), "prod", one.Export("prod")))
	before := f.syncs
	for range 3 {
		two.clock.Add(time.Second)
		two.ok(two.Import(t.Context(), "prod", one.Export("prod")))
	}
	if f.syncs != before || len(two.Spent("prod", "p")) != 1 {
		t.Errorf("%d fsyncs, spent %v", f.syncs-before, two.Spent("prod", "p"))
	}
}

func TestMirrorHostile(t *testing.T) {
	r := newRig(t, Options{})
	own := poor("1", start)
	r.finish(own)
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"null", "null"},
		{"no object", "[]"},
		{"newer format", `{"v":2}`},
		{"wrong types", `{"v":1,"pause":7}`},
		{"large", `{"v":1,"policies":{` + strings.Repeat(" ", maxMirror) + `}}`},
	} {
		if err := r.Import(t.Context(), "prod", []byte(c.text)); err == nil || strings.Contains(err.Error(), "\n") || len(err.Error()) > 200 {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if ok, _ := r.Complete(); ok {
		t.Error("complete by a mirror that is none")
	}
	text := `{"v":1,"policies":{"p":{},"q":{"last":"2999-01-01T00:00:00Z","day":["2999-01-01T00:00:00Z","2026-11-24T11:00:00Z"]}}}`
	r.ok(r.Import(t.Context(), "prod", []byte(text)))
	if !r.LastSpent("prod", "p").Equal(start) || len(r.Spent("prod", "p")) != 1 {
		t.Error("what is known was forgotten")
	}
	if last := r.LastSpent("prod", "q"); !last.Equal(start) || len(r.Spent("prod", "q")) != 1 {
		t.Errorf("a clock far ahead: last %s, spent %v", last, r.Spent("prod", "q"))
	}
}
