// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// full raises NOSPACE for m1 and m3, with 100 MiB of a quota of 1000 MiB in use.
func full() *stage {
	s := newStage(3)
	s.alarms = []etcd.Alarm{{MemberID: 1, Type: etcd.AlarmNoSpace}, {MemberID: 3, Type: etcd.AlarmNoSpace}}
	return s
}

func TestDisarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := full()
		s.alarms = append(s.alarms, etcd.Alarm{MemberID: 2, Type: etcd.AlarmCorrupt})
		run := s.run(t.Context(), t, s.cluster(remediate.Policy{}), newDisarm())
		wantOutcome(t, run, remediate.Succeeded, "")
		wantCalls(t, s, "disarm http://m2 m1", "disarm http://m2 m3", "try_write")
		if len(s.alarms) != 1 || s.alarms[0].Type != etcd.AlarmCorrupt {
			t.Errorf("alarms left: %v", s.alarms)
		}
		if want := "the alarm NOSPACE of m1: the largest database, of m3, is 10 % of the quota of 1000.0 MiB"; run.Steps[0].Reason != want {
			t.Errorf("reason %q, want %q", run.Steps[0].Reason, want)
		}
		again := s.run(t.Context(), t, s.cluster(remediate.Policy{}), newDisarm())
		wantOutcome(t, again, remediate.NothingToDo, "")
	})
}

func TestDisarmPlanShowsEachMember(t *testing.T) {
	s := full()
	c := s.cluster(remediate.Policy{})
	c.Acting = false
	wantOutcome(t, s.run(t.Context(), t, c, newDisarm()), remediate.Planned, "2 steps")
	wantCalls(t, s)
}

// TestDisarmOfARemovedMember: its alarm stays when a member is removed.
func TestDisarmOfARemovedMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(3)
		s.alarms = []etcd.Alarm{{MemberID: 9, Type: etcd.AlarmNoSpace}}
		wantOutcome(t, s.run(t.Context(), t, s.cluster(remediate.Policy{}), newDisarm()), remediate.Succeeded, "")
		wantCalls(t, s, "disarm http://m2 m9", "try_write")
	})
}

func TestDisarmRefuses(t *testing.T) {
	tests := []struct {
		name    string
		change  func(s *stage)
		outcome remediate.Outcome
		reason  string
	}{
		{"just below", func(s *stage) { s.member(3).Status.DBSize = 900*mib - 1 }, remediate.Succeeded, ""},
		{"at the bound", func(s *stage) { s.member(3).Status.DBSize = 900 * mib }, remediate.Refused, "the database of m3 is 90 % of the quota"},
		{"of the lowest quota", func(s *stage) { s.member(2).Quota = 105 * mib }, remediate.Refused, "the database of m1 is 96 % of the quota of 105.0 MiB"},
		{"a learner's database", func(s *stage) { s.add(4, true).Status.DBSize = 950 * mib }, remediate.Refused, "the database of m4 is 95 %"},
		{"a size beyond all measure", func(s *stage) { s.member(3).Status.DBSize = math.MaxInt64; s.member(3).Quota = 1 }, remediate.Refused, "of the quota"},
		{"no size", func(s *stage) { s.member(3).Status.DBSize = 0 }, remediate.Refused, "the database of m3"},
		{"no quota known", func(s *stage) { s.member(3).Quota = 0 }, remediate.Refused, "quota of a voter is not known"},
		{"a negative quota", func(s *stage) { s.member(3).Quota = -1 }, remediate.Refused, "quota of a voter is not known"},
		{"a member does not answer", func(s *stage) { s.member(3).StatusErr = errors.New("timeout") }, remediate.Refused, "m3 does not answer"},
		{"a learner does not answer", func(s *stage) { s.add(4, true).StatusErr = errors.New("timeout") }, remediate.Refused, "m4 does not answer"},
		{"an unstarted member", func(s *stage) { m := s.add(4, false); m.Name, m.URL, m.Quota = "", "", 1000*mib }, remediate.Refused, "4 does not answer"},
		{"no member at all", func(s *stage) { s.members = nil }, remediate.Refused, "quota of a voter is not known"},
		{"the alarms are not known", func(s *stage) {
			s.edit = func(o *remediate.Observation) { o.AlarmsErr = errors.New("timeout") }
		}, remediate.Failed, "learn the alarms"},
		{"an alarm of nobody", func(s *stage) { s.alarms = []etcd.Alarm{{Type: etcd.AlarmNoSpace}} }, remediate.Refused, "names no member"},
		{"etcd refuses", func(s *stage) { s.fail["disarm"] = etcd.ErrPermissionDenied }, remediate.Failed, "disarm NOSPACE of m1: permission denied"},
		{"still no writes", func(s *stage) { s.fail["try_write"] = errors.New("no space") }, remediate.Failed, "writes are refused all the same: no space"},
		{"the alarm stays", func(s *stage) {
			s.edit = func(o *remediate.Observation) { o.Alarms = []etcd.Alarm{{MemberID: 1, Type: etcd.AlarmNoSpace}} }
		}, remediate.Failed, "the alarm NOSPACE of m1 is still raised"},
		{"the alarm comes back", func(s *stage) {
			s.alarms = s.alarms[:1]
			s.on["try_write"] = func() { s.alarms = []etcd.Alarm{{MemberID: 1, Type: etcd.AlarmNoSpace}} }
		}, remediate.Failed, "raised again"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := full()
				test.change(s)
				run := s.run(t.Context(), t, s.cluster(remediate.Policy{}), newDisarm())
				wantOutcome(t, run, test.outcome, test.reason)
				if run.Outcome == remediate.Refused {
					wantCalls(t, s)
				}
			})
		})
	}
}

// TestDisarmLooksAgain: what filled up since the plan is not disarmed, and what is
// gone already need not be.
func TestDisarmLooksAgain(t *testing.T) {
	s := full()
	c := s.cluster(remediate.Policy{})
	c.Seen = s.Observe(t.Context(), true)
	step, err := newDisarm().Plan(t.Context(), c)
	if err != nil || step == nil {
		t.Fatal(step, err)
	}
	s.member(3).Status.DBSize = 950 * mib
	if err := newDisarm().Apply(t.Context(), c, step); err == nil {
		t.Error("disarmed a full cluster")
	}
	s.alarms = nil
	if err := newDisarm().Apply(t.Context(), c, step); err != nil {
		t.Errorf("nothing is left to disarm: %v", err)
	}
	wantCalls(t, s)
}
