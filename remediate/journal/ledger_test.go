// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

func TestSpent(t *testing.T) {
	at := func(s *remediate.Step) *remediate.Step { s.StartedAt = start; return s }
	end := start.Add(time.Minute)
	for _, c := range []struct {
		name    string
		outcome remediate.Outcome
		steps   []*remediate.Step
		want    time.Time // zero: it spends nothing
	}{
		{"succeeded", remediate.Succeeded, []*remediate.Step{done(remediate.StepDefrag, start)}, end},
		{"failed", remediate.Failed, []*remediate.Step{at(&remediate.Step{Action: remediate.StepDefrag, Error: "x"})}, end},
		{"refused after a step", remediate.Refused, []*remediate.Step{done(remediate.StepPrune, start)}, end},
		{"interrupted", remediate.Interrupted, []*remediate.Step{done(remediate.StepDefrag, start)}, start.Add(time.Second)},
		{"refused at once", remediate.Refused, nil, time.Time{}},
		{"planned", remediate.Planned, []*remediate.Step{{Action: remediate.StepDefrag}}, time.Time{}},
		{"nothing to do", remediate.NothingToDo, nil, time.Time{}},
		{"waited only", remediate.Failed, []*remediate.Step{done(remediate.StepWait, start)}, time.Time{}},
		{"goes on", "", []*remediate.Step{done(remediate.StepDefrag, start)}, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Options{disk: newFragile().on})
			run := &remediate.Run{ID: "1", Cluster: "prod", Policy: "p", StartedAt: start, FinishedAt: end, Outcome: c.outcome, Steps: c.steps}
			r.finish(run)
			again := *run
			again.FinishedAt = end.Add(time.Second)
			r.ok(r.PutRun(t.Context(), &again)) // told twice, it counts once
			want := []time.Time{c.want}
			if c.want.IsZero() {
				want = nil
			}
			if got := r.Spent("prod", "p"); !slices.EqualFunc(got, want, time.Time.Equal) || !r.LastSpent("prod", "p").Equal(c.want) {
				t.Errorf("spent %v, last %s; want %s", got, r.LastSpent("prod", "p"), c.want)
			}
			if got := r.Spent("prod", "other"); len(got) > 0 || len(r.Spent("other", "p")) > 0 {
				t.Error("another policy or cluster spends, too")
			}
		})
	}
}

// TestSpentByHand: without a policy each action spends from an account of its own.
func TestSpentByHand(t *testing.T) {
	r := newRig(t, Options{disk: newFragile().on})
	r.finish(&remediate.Run{
		ID: "1", Cluster: "prod", Action: remediate.ActionCompact, StartedAt: start, FinishedAt: start.Add(time.Minute), Outcome: remediate.Succeeded,
		Steps: []*remediate.Step{done(remediate.StepCompact, start)},
	})
	for action, want := range map[string]int{remediate.ActionCompact: 1, remediate.ActionDefrag: 0} {
		if got := r.Spent("prod", remediate.Policy{Action: action}.Account()); len(got) != want {
			t.Errorf("%s: spent %v", action, got)
		}
	}
}

// TestSpentForgets shows the rolling day, and that the last time and the budget outlive
// the runs.
func TestSpentForgets(t *testing.T) {
	r := newRig(t, Options{MaxBytes: 5000, disk: newFragile().on})
	spend := func(id string) {
		at := r.clock.Now()
		r.finish(&remediate.Run{ID: id, Cluster: "prod", Policy: "p", FinishedAt: at, Outcome: remediate.Succeeded, Steps: []*remediate.Step{done(remediate.StepDefrag, at)}})
	}
	spend("first")
	r.clock.Add(23 * time.Hour)
	spend("second")
	for i := range maxRuns {
		r.ok(r.PutRun(t.Context(), &remediate.Run{ID: strconv.Itoa(i), Outcome: remediate.Refused}))
	}
	r.restart()
	if got := r.Spent("prod", "p"); len(got) != 2 || !got[0].Equal(start) {
		t.Errorf("after 23 h: %v", got)
	}
	r.clock.Add(time.Hour)
	if got := r.Spent("prod", "p"); len(got) != 1 || !got[0].Equal(start.Add(23*time.Hour)) {
		t.Errorf("after 24 h: %v", got)
	}
	r.clock.Add(100 * day)
	if got := r.LastSpent("prod", "p"); len(r.Spent("prod", "p")) != 0 || !got.Equal(start.Add(23*time.Hour)) {
		t.Errorf("much later: last %s", got)
	}
}

func TestBreaker(t *testing.T) {
	const mega = 1 << 20
	brought := func(estimate, reclaimed int64) *remediate.Run {
		s := done(remediate.StepDefrag, start)
		s.Estimate, s.BeforeBytes, s.AfterBytes = estimate, 1000*mega, 1000*mega-reclaimed
		return &remediate.Run{Outcome: remediate.Succeeded, FinishedAt: start, Steps: []*remediate.Step{s}}
	}
	poor, good, none := brought(100*mega, 9*mega), brought(100*mega, 10*mega), brought(0, 0)
	failed := brought(100*mega, 0)
	failed.Outcome = remediate.Failed
	planned := brought(100*mega, 0)
	planned.Outcome, planned.Steps[0].StartedAt, planned.Steps[0].FinishedAt = remediate.Planned, time.Time{}, time.Time{}
	for _, c := range []struct {
		name string
		runs []*remediate.Run
		open bool
	}{
		{"one", []*remediate.Run{poor}, false},
		{"two", []*remediate.Run{poor, poor}, true},
		{"a good one between", []*remediate.Run{poor, good, poor}, false},
		{"one without an estimate between", []*remediate.Run{poor, none, poor}, true},
		{"a plan between", []*remediate.Run{poor, planned, planned}, false},
		{"a failed one", []*remediate.Run{poor, failed}, true},
		{"exactly a tenth", []*remediate.Run{good, good}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Options{disk: newFragile().on})
			for i, run := range c.runs {
				copied := *run
				copied.ID, copied.Cluster, copied.Policy = strconv.Itoa(i), "prod", "p"
				r.finish(&copied)
				r.ok(r.PutRun(t.Context(), &copied))
			}
			r.restart()
			open, why := r.Breaker("prod", "p")
			if open != c.open || open == (why == "") {
				t.Errorf("open %t (%s), want %t", open, why, c.open)
			}
			if other, _ := r.Breaker("prod", "other"); other {
				t.Error("another policy's is open")
			}
			r.clock.Add(time.Minute)
			r.ok(r.Resume(t.Context(), "me"))
			if open, _ := r.Breaker("prod", "p"); open {
				t.Error("it is open after a person resumed")
			}
			r.restart()
		})
	}
}

// TestUnfinished: a run that was cut short in its wait is gone on with; one that was cut
// short elsewhere, or ended, is not.
func TestUnfinished(t *testing.T) {
	begun := func(kind string) *remediate.Step {
		return &remediate.Step{Action: kind, StartedAt: start, FinishedAt: start.Add(time.Second)}
	}
	for name, test := range map[string]struct {
		steps   []*remediate.Step
		outcome remediate.Outcome
		want    bool
	}{
		"in its wait":         {[]*remediate.Step{begun(remediate.StepPrune), begun(remediate.StepWait)}, remediate.Interrupted, true},
		"after its wait":      {[]*remediate.Step{begun(remediate.StepPrune), begun(remediate.StepWait), begun(remediate.StepCompact)}, remediate.Interrupted, false},
		"before any change":   {[]*remediate.Step{begun(remediate.StepWait)}, remediate.Interrupted, false},
		"it came to its end":  {[]*remediate.Step{begun(remediate.StepPrune), begun(remediate.StepWait)}, remediate.Succeeded, false},
		"it failed":           {[]*remediate.Step{begun(remediate.StepPrune), begun(remediate.StepWait)}, remediate.Failed, false},
		"there was never one": {nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			j, err := Open(t.TempDir()+"/journal", Options{Now: newClock().Now})
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if test.outcome != "" {
				run := &remediate.Run{ID: "r", Cluster: "prod", Policy: "full", StartedAt: start}
				if err := j.PutRun(t.Context(), run); err != nil {
					t.Fatal(err)
				}
				for i, s := range test.steps {
					if err := j.PutStep(t.Context(), "r", i, s); err != nil {
						t.Fatal(err)
					}
				}
				run.Outcome, run.FinishedAt = test.outcome, start.Add(time.Minute)
				if err := j.PutRun(t.Context(), run); err != nil {
					t.Fatal(err)
				}
			}
			if got := j.Unfinished("prod", "full"); got != test.want {
				t.Errorf("%v", got)
			}
			if j.Unfinished("prod", "other") || j.Unfinished("other", "full") {
				t.Error("another's run counts")
			}
		})
	}
}

func TestLastDelete(t *testing.T) {
	r := newRig(t, Options{MaxBytes: 100, disk: newFragile().on})
	ctx := t.Context()
	r.ok(r.PutRun(ctx, &remediate.Run{ID: "1", Cluster: "prod"}))
	put := func(s *remediate.Step) { r.ok(r.PutStep(ctx, "1", 0, s)) }
	want := func(revision int64, at time.Time) {
		t.Helper()
		if got, when := r.LastDelete("prod"); got != revision || !when.Equal(at) {
			t.Errorf("last delete %d at %s, want %d at %s", got, when, revision, at)
		}
	}
	want(0, time.Time{})
	put(&remediate.Step{Action: remediate.StepPrune, Revision: 5}) // planned only
	want(0, time.Time{})
	first := done(remediate.StepPrune, start)
	first.Revision = 7
	put(first)
	want(7, start.Add(time.Second))
	failed := done(remediate.StepPrune, start.Add(time.Minute))
	failed.Revision, failed.Error = 9, "the pressure is too high"
	put(failed)
	want(9, start.Add(time.Minute+time.Second))
	compacted := done(remediate.StepCompact, start.Add(time.Hour))
	compacted.Revision = 11
	put(compacted)
	want(9, start.Add(time.Minute+time.Second))
	r.ok(r.PutRun(ctx, &remediate.Run{ID: "1", Cluster: "prod", Outcome: remediate.Failed}))
	r.restart()
	want(9, start.Add(time.Minute+time.Second))
	if got, _ := r.LastDelete("other"); got != 0 {
		t.Errorf("another cluster: %d", got)
	}
}

func TestSnapshots(t *testing.T) {
	r := newRig(t, Options{MaxBytes: 100, disk: newFragile().on})
	r.ok(r.PutRun(t.Context(), &remediate.Run{ID: "1", Cluster: "prod"}))
	put := func(index int, file, failure string, removed ...string) {
		s := done(remediate.StepSnapshot, start)
		s.File, s.Error, s.Removed = file, failure, removed
		r.ok(r.PutStep(t.Context(), "1", index, s))
	}
	put(0, "/b/1.db", "")
	put(1, "/b/2.db", "")
	put(1, "/b/2.db", "") // told twice
	put(2, "/b/3.db", "it is not sound")
	put(3, "/b/4.db", "", "/b/1.db")
	put(4, "", "no room", "/b/none.db")
	r.ok(r.PutRun(t.Context(), &remediate.Run{ID: "1", Cluster: "prod", Outcome: remediate.Succeeded}))
	for i := range 2 * maxRuns {
		r.ok(r.PutRun(t.Context(), &remediate.Run{ID: "x" + strconv.Itoa(i), Outcome: remediate.Refused}))
	}
	r.restart()
	if got := r.Snapshots("prod", "local"); !slices.Equal(got, []string{"/b/2.db", "/b/4.db"}) {
		t.Errorf("snapshots %v", got)
	}
	if got := r.Snapshots("other", "local"); len(got) != 0 {
		t.Errorf("another cluster: %v", got)
	}
}

func TestComplete(t *testing.T) {
	r := newRig(t, Options{})
	check := func(want bool, of ...remediate.Ledger) {
		t.Helper()
		for _, l := range of {
			if ok, since := l.Complete(); ok != want || !since.Equal(start) {
				t.Errorf("complete %t since %s, want %t since %s", ok, since, want, start)
			}
		}
	}
	check(false, r, r.Of("prod"))
	r.clock.Add(time.Hour)
	r.restart()
	check(false, r, r.Of("prod"))
	r.ok(r.Import(t.Context(), "prod", r.Export("prod")))
	check(true, r, r.Of("prod"))
	check(false, r.Of("other"))
	r.restart()
	check(true, r, r.Of("prod"))
	r.clock.Add(23 * time.Hour)
	check(true, r.Of("other"))
}
