// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

var compactPolicy = remediate.Policy{Compact: remediate.Compact{Keep: 10 * time.Minute}}

func TestCompact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(3)
		s.old, s.compacted = 900, 400
		run := s.run(t.Context(), t, s.cluster(compactPolicy), newCompact())
		wantOutcome(t, run, remediate.Succeeded, "")
		wantCalls(t, s, "compact http://m2 900") // a follower
		step := run.Steps[0]
		if want := "to revision 900, which was current 10m0s ago: 500 revisions go, 100 stay"; step.Reason != want {
			t.Errorf("reason %q, want %q", step.Reason, want)
		}
		if step.Revision != 900 || step.BeforeBytes != 100*mib || step.AfterBytes != 100*mib {
			t.Errorf("%+v", step)
		}
		again := s.run(t.Context(), t, s.cluster(compactPolicy), newCompact())
		wantOutcome(t, again, remediate.NothingToDo, "")
	})
}

func TestCompactPlan(t *testing.T) {
	tests := []struct {
		name           string
		old, compacted int64
		past           int64
		want           int64 // 0: nothing
	}{
		{"to what is old enough", 900, 400, 0, 900},
		{"never compacted", 900, 0, 0, 900},
		{"not again", 900, 900, 0, 0},
		{"not below", 900, 950, 0, 0},
		{"not to the head of an idle cluster", 1000, 0, 0, 999},
		{"not to the head again and again", 1000, 999, 0, 0},
		{"to the head where it is a prune's last delete", 1000, 0, 1000, 1000},
		{"not to the head where the last delete is older", 1000, 0, 990, 999},
		{"never beyond what is old enough", 900, 0, 1000, 900},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(3)
			s.old, s.compacted = test.old, test.compacted
			c := s.cluster(compactPolicy)
			c.Seen = s.Observe(t.Context(), false)
			a := &compact{past: test.past}
			step, err := a.Plan(t.Context(), c)
			var got int64
			if step != nil {
				got = step.Revision
			}
			if err != nil || got != test.want {
				t.Errorf("planned revision %d, %v, want %d", got, err, test.want)
			}
		})
	}
}

func TestCompactRefuses(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		change func(s *stage)
		guard  string
		after  time.Duration
	}{
		{"watched too short", func(s *stage) { s.old, s.first = 0, now.Add(-3*time.Minute) }, refusedKeep, 7*time.Minute + time.Second},
		{"first sample in the future", func(s *stage) { s.old, s.first = 0, now.Add(time.Minute) }, refusedKeep, 11*time.Minute + time.Second},
		{"no sample", func(s *stage) { s.old = 0 }, refusedKeep, 10 * time.Minute},
		{"the revision went back", func(s *stage) { s.old = 1001 }, refusedKeep, soon},
		{"nobody answers", func(s *stage) {
			s.edit = func(o *remediate.Observation) {
				for i := range o.Members {
					o.Members[i].StatusErr = errors.New("timeout")
				}
			}
		}, refusedPlan, soon},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(3)
			s.old = 900
			test.change(s)
			c := s.cluster(compactPolicy)
			c.Now = func() time.Time { return now }
			c.Seen = s.Observe(t.Context(), false)
			step, err := newCompact().Plan(t.Context(), c)
			b, ok := remediate.AsBlocked(err)
			if !ok || b.Guard != test.guard || b.After != test.after || step != nil {
				t.Errorf("planned %v, %v, %+v", step, err, b)
			}
		})
	}
}

// TestCompactSettles: sizes fall for a while after the request, by turns.
func TestCompactSettles(t *testing.T) {
	tests := []struct {
		name string
		size func(member int, since time.Duration) int64
		from time.Duration
		to   time.Duration
	}{
		{"they fall for 12 s", func(member int, since time.Duration) int64 {
			if member != 2 {
				return 50 * mib
			}
			return 100*mib - mib*int64(min(since, 12*time.Second)/(3*time.Second))
		}, 15 * time.Second, 19 * time.Second},
		{"they never fall", func(int, time.Duration) int64 { return 50 * mib }, 5 * time.Second, 6 * time.Second},
		{"they only grow", func(_ int, since time.Duration) int64 { return 50*mib + int64(since) }, 5 * time.Second, 6 * time.Second},
		{"they fall for ever", func(_ int, since time.Duration) int64 { return 1000*mib - int64(since/time.Second) }, maxSettle, maxSettle + 2*time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(3)
				s.old = 900
				begun := time.Now()
				for i := range s.members {
					s.members[i].Status.DBInUse = test.size(i, 0)
				}
				done := make(chan struct{})
				defer close(done)
				go func() { // the members' own work
					for {
						select {
						case <-done:
							return
						case <-time.After(500 * time.Millisecond):
						}
						s.mu.Lock()
						for i := range s.members {
							s.members[i].Status.DBInUse = test.size(i, time.Since(begun))
						}
						s.mu.Unlock()
					}
				}()
				run := s.run(t.Context(), t, s.cluster(compactPolicy), newCompact())
				wantOutcome(t, run, remediate.Succeeded, "")
				if took := time.Since(begun); took < test.from || took > test.to {
					t.Errorf("settled after %s, want %s to %s", took, test.from, test.to)
				}
			})
		})
	}
}

func TestCompactFailures(t *testing.T) {
	tests := []struct {
		name    string
		change  func(s *stage)
		outcome remediate.Outcome
		reason  string
	}{
		{"refused", func(s *stage) { s.fail["compact"] = etcd.ErrPermissionDenied }, remediate.Failed, "compact to revision 900 at m2: permission denied"},
		{"somebody else was first", func(s *stage) {
			s.fail["compact"] = fmt.Errorf("Compact: %w", etcd.ErrCompacted)
			s.on["compact"] = func() { s.compacted = 950 }
		}, remediate.Succeeded, ""},
		{"it did not happen", func(s *stage) { s.fail["compact"] = etcd.ErrCompacted }, remediate.Failed, "compacted to revision 400, and was told to compact to 900"},
		{"the compaction is not known", func(s *stage) { s.fail["compacted"] = errors.New("timeout") }, remediate.Failed, "learn the last compaction of m2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(3)
				s.old, s.compacted = 900, 400
				test.change(s)
				run := s.run(t.Context(), t, s.cluster(compactPolicy), newCompact())
				wantOutcome(t, run, test.outcome, test.reason)
			})
		})
	}
}
