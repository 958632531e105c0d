// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

var defragPolicy = remediate.Policy{Defrag: remediate.Defrag{
	MinReclaimable: 10 * mib, MinFragmentation: 0.45, Settle: 30 * time.Second, MoveLeader: true,
}}

// fragmented has three voters in need: m3 more than m2, and the leader m1 most.
func fragmented() *stage {
	s := newStage(3)
	s.member(1).Status.DBInUse = 10 * mib
	s.member(2).Status.DBInUse = 40 * mib
	s.member(3).Status.DBInUse = 20 * mib
	return s
}

// TestDefragOrder: most reclaimable follower first, then the leadership goes to a
// member that is done, then the old leader; and a second run finds nothing.
func TestDefragOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fragmented()
		run := s.run(t.Context(), t, s.cluster(defragPolicy), newDefrag())
		wantOutcome(t, run, remediate.Succeeded, "")
		wantCalls(t, s, "defragment http://m3", "defragment http://m2", "moved m2", "move_leader http://m1 m2", "defragment http://m1")
		if got, want := run.Reclaimed(), int64(230*mib); got != want || run.Estimated() != want {
			t.Errorf("reclaimed %d of an estimate of %d, want %d", got, run.Estimated(), want)
		}
		if reason := run.Steps[0].Reason; reason != "80.0 MiB of 100.0 MiB reclaimable (80 %)" {
			t.Errorf("reason %q", reason)
		}
		again := s.run(t.Context(), t, s.cluster(defragPolicy), newDefrag())
		wantOutcome(t, again, remediate.NothingToDo, "")
	})
}

func TestDefragPlanShowsAllSteps(t *testing.T) {
	s := fragmented()
	c := s.cluster(defragPolicy)
	c.Acting = false
	run := s.run(t.Context(), t, c, newDefrag())
	wantOutcome(t, run, remediate.Planned, "4 steps")
	wantCalls(t, s)
	var kinds []string
	for _, step := range run.Steps {
		kinds = append(kinds, step.Action+" "+step.Member)
	}
	if want := []string{"defrag m3", "defrag m2", "move_leader m1", "defrag m1"}; !slices.Equal(kinds, want) {
		t.Errorf("steps %q, want %q", kinds, want)
	}
}

func TestDefragLeavesAlone(t *testing.T) {
	tests := map[string]func(s *stage, m *remediate.Member){
		"a learner":                       func(_ *stage, m *remediate.Member) { m.Learner = true },
		"an unstarted member":             func(_ *stage, m *remediate.Member) { m.Name = "" },
		"one that does not answer":        func(_ *stage, m *remediate.Member) { m.StatusErr = errors.New("timeout") },
		"too little to reclaim":           func(_ *stage, m *remediate.Member) { m.Status.DBSize, m.Status.DBInUse = 12*mib, 3*mib },
		"too small a share":               func(_ *stage, m *remediate.Member) { m.Status.DBInUse = 56 * mib },
		"a size in use that is not known": func(_ *stage, m *remediate.Member) { m.Status.DBInUse = 0 },
		"more in use than there is":       func(_ *stage, m *remediate.Member) { m.Status.DBInUse = 200 * mib },
		"done in this run":                func(*stage, *remediate.Member) {},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(3)
			m := s.member(2)
			m.Status.DBInUse = 20 * mib
			c := s.cluster(defragPolicy)
			if name == "done in this run" {
				c.Run.Steps = []*remediate.Step{{Action: remediate.StepDefrag, MemberID: "2", URL: "http://elsewhere"}}
			}
			c.Seen = s.Observe(t.Context(), false)
			if name != "done in this run" {
				if step, err := newDefrag().Plan(t.Context(), c); step == nil || err != nil {
					t.Fatalf("nothing is planned before the change: %v, %v", step, err)
				}
			}
			change(s, m)
			c.Seen = s.Observe(t.Context(), false)
			if step, err := newDefrag().Plan(t.Context(), c); step != nil || err != nil {
				t.Errorf("planned %+v, %v", step, err)
			}
		})
	}
}

func TestDefragOfTheLeader(t *testing.T) {
	onlyLeader := func() *stage {
		s := newStage(3)
		s.member(1).Status.DBInUse = 10 * mib
		return s
	}
	stay := defragPolicy
	stay.Defrag.MoveLeader = false
	tests := []struct {
		name    string
		stage   func() *stage
		policy  remediate.Policy
		outcome remediate.Outcome
		reason  string
		calls   []string
	}{
		{
			"members not in need may lead", onlyLeader, defragPolicy, remediate.Succeeded, "",
			[]string{"moved m2", "move_leader http://m1 m2", "defragment http://m1"},
		},
		{"move_leader is off", onlyLeader, stay, remediate.Succeeded, "", []string{"defragment http://m1"}},
		{"the only voter", func() *stage {
			s := newStage(1)
			s.member(1).Status.DBInUse = 10 * mib
			return s
		}, defragPolicy, remediate.Succeeded, "", []string{"defragment http://m1"}},
		{"nobody else is healthy", func() *stage {
			s := onlyLeader()
			s.member(2).ReadErr, s.member(3).StatusErr = errors.New("timeout"), errors.New("timeout")
			return s
		}, defragPolicy, remediate.Refused, "no other voter is healthy", nil},
		{
			"the move fails", func() *stage {
				s := fragmented()
				s.fail["move_leader"] = errors.New("not the leader")
				return s
			}, defragPolicy, remediate.Failed, "move leadership from m1 to m2: not the leader",
			[]string{"defragment http://m3", "defragment http://m2", "moved m2", "move_leader http://m1 m2"},
		},
		{"the leadership comes back", func() *stage {
			s := onlyLeader()
			moves := 0
			s.edit = func(o *remediate.Observation) {
				if s.leader != 2 {
					return
				}
				if moves++; moves > 1 { // after Verify has looked
					s.leader = 1
					for i := range o.Members {
						o.Members[i].Status.Leader = 1
					}
				}
			}
			return s
		}, defragPolicy, remediate.Refused, "leads again", []string{"moved m2", "move_leader http://m1 m2"}},
		{"no leader", func() *stage {
			s := onlyLeader()
			s.leader = 0
			return s
		}, defragPolicy, remediate.Refused, "no common leader", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := test.stage()
				run := s.run(t.Context(), t, s.cluster(test.policy), newDefrag())
				wantOutcome(t, run, test.outcome, test.reason)
				wantCalls(t, s, test.calls...)
			})
		})
	}
}

// TestDefragLooksAgain: what changed since the plan is seen right before the request.
func TestDefragLooksAgain(t *testing.T) {
	tests := map[string]func(s *stage){
		"another member behind the URL": func(s *stage) { s.member(3).ID = 9 },
		"nobody behind the URL":         func(s *stage) { s.member(3).URL = "" },
		"demoted to a learner":          func(s *stage) { s.member(3).Learner = true },
		"it does not answer a read":     func(s *stage) { s.member(3).ReadErr = errors.New("timeout") },
		"it leads":                      func(s *stage) { s.leader = 3 },
		"nobody leads":                  func(s *stage) { s.leader = 0 },
		"another one does not answer":   func(s *stage) { s.member(2).ReadErr = errors.New("timeout") },
		"another one is defragmented":   func(s *stage) { s.member(2).Vitals.DefragInflight = true },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := fragmented()
			c := s.cluster(defragPolicy)
			c.Seen = s.Observe(t.Context(), false)
			step, err := newDefrag().Plan(t.Context(), c)
			if err != nil || step == nil || step.Member != "m3" {
				t.Fatalf("planned %+v, %v", step, err)
			}
			change(s)
			err = newDefrag().Apply(t.Context(), c, step)
			if b, ok := remediate.AsBlocked(err); !ok || b.Guard != refusedPlan {
				t.Errorf("%v", err)
			}
			wantCalls(t, s)
		})
	}
}

// TestMoveLooksAgain: neither is the leadership moved to a member that fell ill.
func TestMoveLooksAgain(t *testing.T) {
	for name, change := range map[string]func(s *stage){
		"the target does not answer": func(s *stage) { s.member(2).ReadErr = errors.New("timeout") },
		"the target is gone":         func(s *stage) { s.members = slices.Delete(s.members, 1, 2) },
		"another one leads":          func(s *stage) { s.leader = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(3)
			s.member(1).Status.DBInUse = 10 * mib
			c := s.cluster(defragPolicy)
			c.Seen = s.Observe(t.Context(), false)
			step, err := newDefrag().Plan(t.Context(), c)
			if err != nil || step == nil || step.Action != remediate.StepMoveLeader {
				t.Fatalf("planned %+v, %v", step, err)
			}
			change(s)
			err = newDefrag().Apply(t.Context(), c, step)
			if _, ok := remediate.AsBlocked(err); !ok {
				t.Errorf("%v", err)
			}
			wantCalls(t, s)
		})
	}
}

// TestDefragTimeout: the time goes with the size, and the error says what may be
// going on.
func TestDefragTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(3)
		s.member(2).Status = etcd.Status{DBSize: 2e9, DBInUse: 5e8}
		s.delay = time.Hour
		begun := time.Now()
		run := s.run(t.Context(), t, s.cluster(defragPolicy), newDefrag())
		wantOutcome(t, run, remediate.Failed, "no answer within 1m20s; the member may still be at it")
		if took := time.Since(begun); took != 80*time.Second {
			t.Errorf("given up after %s", took)
		}
	})
}

// TestDefragIsNotCut: a program that is told to stop waits for the member it is at,
// and begins no other.
func TestDefragIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fragmented()
		s.delay = 20 * time.Second
		ctx, stop := context.WithCancel(t.Context())
		s.on["defragment"] = func() { time.AfterFunc(time.Second, stop) }
		begun := time.Now()
		run := s.run(ctx, t, s.cluster(defragPolicy), newDefrag())
		wantOutcome(t, run, remediate.Interrupted, "")
		wantCalls(t, s, "defragment http://m3")
		if took := time.Since(begun); took < s.delay || !run.Steps[0].Done() || run.Steps[0].AfterBytes != 20*mib {
			t.Errorf("after %s the step is %+v", took, run.Steps[0])
		}
	})
}

func TestDefragVerify(t *testing.T) {
	tests := []struct {
		name    string
		change  func(s *stage, since time.Duration, m *remediate.Member)
		outcome remediate.Outcome
		reason  string
	}{
		{"back after a while", func(_ *stage, since time.Duration, m *remediate.Member) {
			if since < 20*time.Second {
				m.StatusErr = errors.New("timeout")
			}
		}, remediate.Succeeded, ""},
		{
			"never back", func(_ *stage, _ time.Duration, m *remediate.Member) { m.StatusErr = errors.New("timeout") },
			remediate.Failed, "does not answer its Status and a read within 30s",
		},
		{
			"no smaller", func(_ *stage, _ time.Duration, m *remediate.Member) { m.Status.DBSize = 99 * mib },
			remediate.Failed, "has 99.0 MiB after its defragmentation and had 100.0 MiB before",
		},
		{
			"smaller by a part", func(_ *stage, _ time.Duration, m *remediate.Member) { m.Status.DBSize = 90 * mib },
			remediate.Succeeded, "",
		},
		{"grown meanwhile, and in use", func(_ *stage, _ time.Duration, m *remediate.Member) {
			m.Status.DBSize, m.Status.DBInUse = 101*mib, 101*mib
		}, remediate.Succeeded, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(3)
				s.member(3).Status.DBInUse = 20 * mib
				var done time.Time
				s.on["defragment"] = func() { done = time.Now() }
				s.edit = func(o *remediate.Observation) {
					if !done.IsZero() {
						test.change(s, time.Since(done), &o.Members[2])
					}
				}
				run := s.run(t.Context(), t, s.cluster(defragPolicy), newDefrag())
				wantOutcome(t, run, test.outcome, test.reason)
			})
		})
	}
}

func TestNew(t *testing.T) {
	for _, name := range []string{
		remediate.ActionDefrag, remediate.ActionCompact, remediate.ActionPruneEvents,
		remediate.ActionDisarm, remediate.ActionSnapshot, remediate.ActionRecoverSpace,
	} {
		a, err := New(name)
		if err != nil || a.Name() != name {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	if _, err := New("reboot"); err == nil || !strings.Contains(err.Error(), `"reboot"`) {
		t.Errorf("an unknown name: %v", err)
	}
}
