// SPDX-License-Identifier: Apache-2.0

package action

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

func TestPlanOfAPrune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		for i := range 1200 {
			f.put(fmt.Sprintf("%sns-%d/%d", eventsBelow, i%3, i), eventValue(t, fmt.Sprintf("ns-%d", i%3), fmt.Sprint(i), time.Now()))
		}
		time.Sleep(time.Hour)
		c := f.cluster(prunePolicy())
		c.Acting = false
		run := f.run(t.Context(), t, c, newPruneEvents())
		wantOutcome(t, run, remediate.Planned, "")
		if len(f.batches) > 0 || planned(run) != 1200 {
			t.Errorf("%d transactions; %d keys are to go", len(f.batches), planned(run))
		}
	})
}

func TestPlanLooksIntoTheFirstStretchesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		flood(t, f, 1000)
		c := f.cluster(prunePolicy())
		c.Acting, c.Seen = false, f.Observe(t.Context(), false)
		p := newPruneEvents()
		p.prefix, _ = parseEventsPrefix(eventsBelow)
		for _, edge := range []string{"", "ns-0/web.0001", "ns-0/web.0002", "ns-0/web.0003", "ns-0/web.0004", "ns-1/", "ns-2/"} {
			p.edges = append(p.edges, []byte(eventsBelow+edge))
		}
		p.next = []byte(eventsBelow + "ns-0/web.000300") // what is before it was looked at
		p.plan = inPlan{looks: planLooks, keys: 100, old: 50}
		s, err := p.Plan(t.Context(), c)
		if err != nil || s == nil {
			t.Fatal(s, err)
		}
		if s.Keys != 450 || !strings.HasPrefix(s.Reason, "900 more keys below /registry/events/, of which about 450 ") {
			t.Errorf("%d keys: %s", s.Keys, s.Reason)
		}
		if len(f.spans) > 0 {
			t.Errorf("values of %d more stretches were read", len(f.spans))
		}
		if s, err = p.Plan(t.Context(), c); s != nil || err != nil {
			t.Errorf("and then: %+v, %v", s, err)
		}
	})
}

func TestLargestNamesOfASample(t *testing.T) {
	s := sample{}
	for i := range 300 {
		e := eventOf(t, eventValue(t, fmt.Sprintf("ns-%d", i%30), "x", time.Now()))
		e.Reason = strings.Repeat("\xff", 300)
		s.offer(i, e)
	}
	got := s.of(func(i int) bool { return i%2 == 0 })
	if got.Events != 150 || len(got.Namespaces) != 15 || len(got.Reasons) != 1 {
		t.Errorf("%d events, %d namespaces, %d reasons", got.Events, len(got.Namespaces), len(got.Reasons))
	}
	for reason := range got.Reasons {
		if len(reason) > 400 {
			t.Errorf("a name of %d bytes", len(reason))
		}
	}
	all := s.of(func(int) bool { return true })
	if len(all.Namespaces) != sampledNames+1 || all.Namespaces[otherNames] != 100 {
		t.Errorf("namespaces %v", all.Namespaces)
	}
	if s.of(func(int) bool { return false }) != nil {
		t.Error("a sample of nothing")
	}
}
