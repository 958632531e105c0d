// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

func recoverPolicy() remediate.Policy {
	return remediate.Policy{
		Action:  remediate.ActionRecoverSpace,
		Compact: remediate.Compact{Keep: 10 * time.Minute},
		Defrag:  remediate.Defrag{MinReclaimable: 100 * mib, MinFragmentation: 0.9, MoveLeader: true},
	}
}

func pruningPolicy() remediate.Policy {
	p := recoverPolicy()
	p.PruneEvents = prunePolicy().PruneEvents
	return p
}

// rewrite fills the databases with the history of one key, and lets it grow old.
func rewrite(f *field) {
	for range fill {
		f.put("/registry/leases/a", nil)
	}
	f.full()
	time.Sleep(time.Hour)
}

func kinds(run *remediate.Run) string {
	var all []string
	for _, s := range run.Steps {
		all = append(all, s.Action)
	}
	return strings.Join(slices.Compact(all), " ")
}

func wantKinds(t *testing.T, run *remediate.Run, want string) {
	t.Helper()
	if got := kinds(run); got != want {
		t.Errorf("steps: %s\nwant:  %s", got, want)
	}
}

// wantRecovered looks whether the cluster takes writes again, and all by one means.
func wantRecovered(t *testing.T, f *field) {
	t.Helper()
	if len(f.alarms) > 0 || len(f.calls) == 0 || f.calls[len(f.calls)-1] != "try_write" {
		t.Errorf("alarms %v, calls %v", f.alarms, f.calls)
	}
	writes := 0
	for _, call := range f.calls {
		if call == "try_write" {
			writes++
		}
	}
	if writes != 1 {
		t.Errorf("%d tries to write; before the end there must be none", writes)
	}
}

func TestNothingToRecover(t *testing.T) {
	f := newField()
	run := f.run(t.Context(), t, f.cluster(pruningPolicy()), newRecoverSpace())
	wantOutcome(t, run, remediate.NothingToDo, "")
	wantCalls(t, f.stage)
}

func TestRecoverOnlyDisarmsWhereThereIsRoom(t *testing.T) {
	f := newField()
	f.full()
	f.alarms = f.alarms[:2]
	run := f.run(t.Context(), t, f.cluster(pruningPolicy()), newRecoverSpace())
	wantOutcome(t, run, remediate.Succeeded, "")
	wantCalls(t, f.stage, "disarm http://m2 m1", "disarm http://m2 m2", "try_write")
}

func TestRecoverFromHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		rewrite(f)
		run := f.run(t.Context(), t, f.cluster(pruningPolicy()), newRecoverSpace())
		wantOutcome(t, run, remediate.Succeeded, "")
		wantKinds(t, run, "compact defrag move_leader defrag disarm")
		wantRecovered(t, f)
		want := []string{
			fmt.Sprintf("compact http://m2 %d", f.revision-2), "defragment http://m2", "defragment http://m3",
			"moved m2", "move_leader http://m1 m2", "defragment http://m1",
		}
		if !slices.Equal(f.calls[:len(want)], want) {
			t.Errorf("calls %v, want %v first", f.calls, want)
		}
		if len(f.batches) > 0 {
			t.Error("keys were deleted although there was no need")
		}
		again := f.run(t.Context(), t, f.cluster(pruningPolicy()), newRecoverSpace())
		wantOutcome(t, again, remediate.NothingToDo, "")
	})
}

func TestRecoverWhereEventsAloneFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		f.put("/registry/pods/shop/web", podValue(t))
		flood(t, f, fill)
		f.full()
		c := f.cluster(pruningPolicy())
		run := f.run(t.Context(), t, c, newRecoverSpace())
		wantOutcome(t, run, remediate.Succeeded, "")
		wantKinds(t, run, "compact prune_events wait compact defrag move_leader defrag disarm")
		wantRecovered(t, f)
		wantKeys(t, "left", f.left(), "/registry/pods/shop/web")
		i := slices.IndexFunc(run.Steps, func(s *remediate.Step) bool { return s.Action == remediate.StepWait })
		deleted, wait := run.Steps[i-1], run.Steps[i]
		if got := wait.Until.Sub(deleted.FinishedAt); got != c.Policy.Compact.Keep {
			t.Errorf("it waits for %s after the last delete", got)
		}
		if first, past := run.Steps[i+1], run.Steps[i+2]; past.Revision < deleted.Revision || first.StartedAt.Before(wait.Until) {
			t.Errorf("compacted to %d at %s; the last delete was %d, to be waited for until %s", past.Revision, past.StartedAt, deleted.Revision, wait.Until)
		}
	})
}

func TestRecoverDefragmentsAgainAfterAPrune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		for range 95 {
			f.put("/registry/leases/a", nil)
		}
		flood(t, f, 1245)
		f.full()
		run := f.run(t.Context(), t, f.cluster(pruningPolicy()), newRecoverSpace())
		wantOutcome(t, run, remediate.Succeeded, "")
		wantKinds(t, run, "compact defrag move_leader defrag prune_events wait compact defrag move_leader defrag disarm")
		wantRecovered(t, f)
	})
}

// A crash may come after the deletes: what the journal knows then leads on.
func TestRecoverGoesOnAfterARestart(t *testing.T) {
	for name, ago := range map[string]time.Duration{"while it waited": 2 * time.Minute, "long after": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newField()
				for range fill {
					f.put("/registry/pods/shop/web", nil)
				}
				time.Sleep(time.Hour)
				f.turn()
				f.history = f.inUse() - keyBytes
				f.garbage = map[int64]int64{f.revision: f.history} // that is what the deletes freed
				f.last = tick{time.Now(), f.revision}
				f.full()
				time.Sleep(ago)
				run := f.run(t.Context(), t, f.cluster(pruningPolicy()), newRecoverSpace())
				wantOutcome(t, run, remediate.Succeeded, "")
				wantRecovered(t, f)
				for _, s := range run.Steps {
					if s.Action == remediate.StepWait && !s.Until.Equal(f.last.at.Add(10*time.Minute)) {
						t.Errorf("it waits until %s", s.Until)
					}
				}
				if waited := run.Has(remediate.StepWait, ""); waited != (ago < 10*time.Minute) {
					t.Errorf("waited: %t", waited)
				}
				if f.compacted < f.last.revision {
					t.Errorf("no compaction went past the last delete: %v", f.calls)
				}
			})
		})
	}
}

func TestRecoverWithStaleSizesInUse(t *testing.T) {
	for name, stale := range map[string][]string{
		"one follower":           {"http://m3"},
		"one follower, for good": {"http://m3"},
		"all":                    {"http://m1", "http://m2", "http://m3"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newField()
				rewrite(f)
				for _, url := range stale {
					f.stale[url] = true
				}
				if strings.Contains(name, "good") {
					f.stuck = f.stale
					f.stale = map[string]bool{}
				}
				run := f.run(t.Context(), t, f.cluster(recoverPolicy()), newRecoverSpace())
				wantOutcome(t, run, remediate.Succeeded, "")
				wantKinds(t, run, "compact defrag move_leader defrag disarm")
				wantRecovered(t, f)
			})
		})
	}
}

// No compaction of this run is seen to free anything: an earlier run made them all,
// and the members' accounts are from before it.
func TestRecoverDefragmentsOnceBeforeItGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		rewrite(f)
		f.history, f.compacted = 0, f.revision
		f.stuck = map[string]bool{"http://m1": true, "http://m2": true, "http://m3": true}
		run := f.run(t.Context(), t, f.cluster(recoverPolicy()), newRecoverSpace())
		wantOutcome(t, run, remediate.Succeeded, "")
		wantKinds(t, run, "defrag move_leader defrag disarm")
		wantRecovered(t, f)
	})
}

func TestRecoverDefragmentsBeforeARevisionIsOldEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		f.put("/registry/leases/a", nil)
		for i := range f.members {
			f.members[i].Status.DBSize, f.members[i].Status.DBInUse = 15*mib, 2*mib
		}
		f.full()
		run := f.run(t.Context(), t, f.cluster(recoverPolicy()), newRecoverSpace())
		wantOutcome(t, run, remediate.Succeeded, "")
		wantKinds(t, run, "defrag move_leader defrag disarm")
	})
}

func TestRecoverWaitsForAnOldRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		rewrite(f)
		f.forget()
		c := f.cluster(pruningPolicy())
		run := f.run(t.Context(), t, c, newRecoverSpace())
		wantOutcome(t, run, remediate.Refused, refusedKeep+": ")
		if len(f.calls)+len(f.batches) > 0 {
			t.Errorf("something was done: %v", f.calls)
		}
		time.Sleep(10 * time.Minute)
		run = f.run(t.Context(), t, f.cluster(pruningPolicy()), newRecoverSpace())
		wantOutcome(t, run, remediate.Succeeded, "")
		wantRecovered(t, f)
	})
}

func TestRecoverSaysWhatAPersonMustDo(t *testing.T) {
	for name, test := range map[string]struct {
		policy remediate.Policy
		events int
		want   string
	}{
		"no prune allowed":    {recoverPolicy(), fill, "give the policy a prune_events"},
		"nothing to prune":    {pruningPolicy(), 0, "raise --quota-backend-bytes"},
		"too little to prune": {pruningPolicy(), 20, "after pruning events, "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newField()
				for i := range fill - test.events {
					f.put(fmt.Sprintf("/registry/pods/shop/web-%d", i), nil)
				}
				flood(t, f, test.events)
				f.full()
				run := f.run(t.Context(), t, f.cluster(test.policy), newRecoverSpace())
				wantOutcome(t, run, remediate.Failed, test.want)
				if len(f.alarms) != 3 || slices.Contains(f.calls, "try_write") {
					t.Errorf("alarms %v, calls %v", f.alarms, f.calls)
				}
			})
		})
	}
}

func TestRecoverRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(o *remediate.Observation)
		want remediate.Outcome
	}{
		"quota unknown":   {func(o *remediate.Observation) { o.Members[1].Quota = 0 }, remediate.Refused},
		"a member silent": {func(o *remediate.Observation) { o.Members[1].StatusErr = errors.New("refused") }, remediate.Refused},
		"alarms unknown":  {func(o *remediate.Observation) { o.AlarmsErr = errors.New("refused") }, remediate.Failed},
		"nothing seen":    {func(o *remediate.Observation) { *o = remediate.Observation{} }, remediate.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			f := newField()
			f.full()
			f.edit = test.edit
			run := f.run(t.Context(), t, f.cluster(pruningPolicy()), newRecoverSpace())
			wantOutcome(t, run, test.want, "")
			wantCalls(t, f.stage)
		})
	}
}

func TestRecoverLeavesAFullLearnerToAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		learner := f.add(4, true)
		learner.Quota = 16 * mib
		rewrite(f)
		run := f.run(t.Context(), t, f.cluster(recoverPolicy()), newRecoverSpace())
		wantOutcome(t, run, remediate.Failed, "learner m4")
		if slices.Contains(f.calls, "defragment http://m4") || len(f.alarms) != 4 {
			t.Errorf("calls %v, alarms %v", f.calls, f.alarms)
		}
	})
}

func TestRecoverFailsWhereWritesStayRefused(t *testing.T) {
	f := newField()
	f.full()
	f.fail["try_write"] = etcd.ErrNoSpace
	run := f.run(t.Context(), t, f.cluster(recoverPolicy()), newRecoverSpace())
	wantOutcome(t, run, remediate.Failed, "writes are refused all the same")
}

func TestRecoverWithoutAnAlarmTriesAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		rewrite(f)
		f.alarms = nil
		run := f.run(t.Context(), t, f.cluster(recoverPolicy()), newRecoverSpace())
		wantOutcome(t, run, remediate.Succeeded, "")
		wantRecovered(t, f)
	})
}
