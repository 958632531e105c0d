// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

var errRefused = errors.New("connection refused")

// unseen are the cases in which nothing is known of the members.
func unseen(rows ...row) []row {
	return append(rows,
		row{"not observed", func(s *scene) { s.Seen = nil }, "error: the cluster was not observed", 0},
		row{"no members", func(s *scene) { s.seen.Members = nil }, "error: nothing is known of the cluster's members", 0},
		row{"no voters", func(s *scene) { s.seen.Members = s.seen.Members[3:] }, "error: nothing is known of the cluster's members", 0},
		row{"an old list", func(s *scene) { s.seen.ListErr = errRefused }, "error: nothing is known of the cluster's members: connection refused", 0},
	)
}

func TestMembers(t *testing.T) {
	verdicts(t, "members", unseen(
		row{"unstarted", func(s *scene) { s.member("b").Name = "" }, "member 2 was added and never started", 0},
		row{"unstarted learner", func(s *scene) { s.member("d").Name = "" }, "member 4 was added and never started", 0},
		row{"without an endpoint", func(s *scene) { s.member("c").URL = "" }, "no endpoint's Status names member c", 0},
		row{"learner without an endpoint", func(s *scene) { s.member("d").URL = "" }, "no endpoint's Status names member d", 0},
		row{"silent learner", func(s *scene) { s.member("d").StatusErr = errRefused }, "learner d does not answer: connection refused", 0},
		row{"silent voter", func(s *scene) { s.member("b").StatusErr = errRefused }, "", 0}, // health's to refuse
		row{"a voter that is none", func(s *scene) { s.member("b").Status.Learner = true }, "b takes itself for a learner", 0},
		row{"no learner", func(s *scene) { s.seen.Members = s.seen.Members[:3] }, "", 0},
		row{"hostile name", func(s *scene) { s.member("b").Name, s.member("b").URL = "b\x1b[2J\n", "" }, `"b\x1b[2J\n"`, 0},
	))
}

func TestHealth(t *testing.T) {
	verdicts(t, "health", unseen(
		row{"dead voter", func(s *scene) { s.member("b").StatusErr = errRefused }, "b does not answer: connection refused", 0},
		row{"voter without an endpoint", func(s *scene) { s.member("b").URL = "" }, "no endpoint speaks for b", 0},
		row{"no read", func(s *scene) { s.member("c").ReadErr = errors.New("context deadline exceeded") }, "c does not answer a linearizable read", 0},
		row{"learners do not count", func(s *scene) { s.member("d").StatusErr, s.member("d").ReadErr = errRefused, errRefused }, "", 0},
		row{"disagreement", func(s *scene) { s.seen.Disagreements = []string{"2 member lists", "x"} }, "the endpoints do not agree: 2 member lists", 0},
		row{"no leader", func(s *scene) { s.each(func(m *remediate.Member) { m.Status.Leader = 0 }) }, "a knows no leader", 0},
		row{"one knows no leader", func(s *scene) { s.member("c").Status.Leader = 0 }, "c knows no leader", 0},
		row{"two leaders", func(s *scene) { s.member("c").Status.Leader = 3 }, "the voters do not agree on one leader", 0},
		row{"a stranger leads", func(s *scene) { s.each(func(m *remediate.Member) { m.Status.Leader = 99 }) }, "the voters do not agree on one leader", 0},
		row{"a learner leads", func(s *scene) { s.each(func(m *remediate.Member) { m.Status.Leader = 4 }) }, "d is said to lead and is a learner", 0},
		row{"two terms", func(s *scene) { s.member("b").Status.RaftTerm = 4 }, "b is in raft term 4, the leader in 5", 0},
		row{"another cluster", func(s *scene) { s.member("b").Status.ClusterID = 78 }, "b is of cluster 4e, the others of 4d", 0},
		row{"no cluster", func(s *scene) {
			s.seen.ClusterID = 0
			s.each(func(m *remediate.Member) { m.Status.ClusterID = 0 })
		}, "a is of cluster 0", 0},
		row{"another member answers", func(s *scene) { s.member("b").Status.MemberID = 3 }, "the endpoint of b answers for member 3", 0},
		row{"NOSPACE", func(s *scene) { s.seen.Alarms = []etcd.Alarm{{MemberID: 1, Type: etcd.AlarmNoSpace}} }, "", 0},
	))
}

func TestLag(t *testing.T) {
	verdicts(t, "lag", unseen(
		row{"at the bound", func(s *scene) { s.member("b").Status.RaftAppliedIndex = 8000 }, "", 0},
		row{"beyond it", func(s *scene) { s.member("b").Status.RaftAppliedIndex = 7999 }, "b is 1001 raft entries behind", lagAgain},
		row{"learner", func(s *scene) { s.member("d").Status.RaftAppliedIndex = 7999 }, "d is 1001 raft entries behind", lagAgain},
		row{"the leader itself", func(s *scene) { s.member("a").Status.RaftAppliedIndex = 10 }, "a is 8990 raft entries behind", lagAgain},
		row{"silent voter", func(s *scene) { s.member("b").StatusErr = errRefused }, "error: how far b is behind is not known", 0},
		row{"silent learner", func(s *scene) { s.member("d").StatusErr = errRefused }, "error: how far d is behind is not known", 0},
		row{"zero", func(s *scene) { s.each(func(m *remediate.Member) { m.Status.RaftIndex = 0 }) }, "error: how far the raft log is written", 0},
		row{"ahead of all", func(s *scene) { s.member("b").Status.RaftAppliedIndex = math.MaxUint64 }, "", 0},
		row{"an absurd head", func(s *scene) { s.member("b").Status.RaftIndex = math.MaxUint64 }, "raft entries behind", lagAgain},
	))
}

func TestCorrupt(t *testing.T) {
	alarm := func(id uint64, kind string) func(*scene) {
		return func(s *scene) {
			s.seen.Alarms = []etcd.Alarm{{MemberID: 1, Type: etcd.AlarmNoSpace}, {MemberID: id, Type: kind}}
		}
	}
	verdicts(t, "corrupt", unseen(
		row{"NOSPACE of all", alarm(2, etcd.AlarmNoSpace), "", 0},
		row{"CORRUPT", alarm(2, etcd.AlarmCorrupt), "for good: the alarm CORRUPT is raised for b", 0},
		row{"CORRUPT of nobody", alarm(0, etcd.AlarmCorrupt), "for good: the alarm CORRUPT is raised for a member that etcd could not name", 0},
		row{"CORRUPT of a stranger", alarm(99, etcd.AlarmCorrupt), "for good: the alarm CORRUPT is raised for member 63", 0},
		row{"CORRUPT in a Status alone", func(s *scene) { s.member("c").Status.Errors = []string{"memberID:3 alarm:CORRUPT "} }, "for good: the alarm CORRUPT is raised for c", 0},
		row{"unknown", alarm(2, "MELTDOWN\n"), `an alarm that this program does not know is raised: "MELTDOWN\n"`, 0},
		row{"not known", func(s *scene) { s.seen.AlarmsErr = errRefused }, "error: the alarms are not known: connection refused", 0},
		row{"CORRUPT, and the rest not known", func(s *scene) { alarm(2, etcd.AlarmCorrupt)(s); s.seen.AlarmsErr = errRefused }, "for good: ", 0},
		row{"nobody answers", func(s *scene) { s.each(func(m *remediate.Member) { m.StatusErr = errRefused }) }, "error: the alarms are not known", 0},
		row{"in a plan", func(s *scene) { s.Acting = false; alarm(2, etcd.AlarmCorrupt)(s) }, "for good: ", 0},
	))
}

// TestCorruptLeavesTheObservation: what a guard adds for itself is nobody else's.
func TestCorruptLeavesTheObservation(t *testing.T) {
	s := well()
	s.seen.Alarms = append(make([]etcd.Alarm, 0, 4), etcd.Alarm{MemberID: 1, Type: etcd.AlarmNoSpace})
	s.member("c").Status.Errors = []string{"memberID:3 alarm:CORRUPT "}
	s.ask(t.Context(), "corrupt")
	if all := s.seen.Alarms[:2]; len(s.seen.Alarms) != 1 || all[1].Type != "" {
		t.Errorf("alarms %v", all)
	}
}

func TestVersion(t *testing.T) {
	run := func(v string, more ...func(*scene)) func(*scene) {
		return func(s *scene) {
			s.each(func(m *remediate.Member) { m.Status.Version = v })
			for _, f := range more {
				f(s)
			}
		}
	}
	as := func(action, kind string) func(*scene) { return func(s *scene) { s.become(action, kind) } }
	compact := as(remediate.ActionCompact, remediate.StepCompact)
	accept := func(issue string) func(*scene) {
		return func(s *scene) { s.Policy.AcceptKnownIssues = []string{issue} }
	}
	behind := func(s *scene) { s.member("d").Status.RaftAppliedIndex = 8899 }
	verdicts(t, "version", unseen(
		row{"mixed", func(s *scene) { s.member("b").Status.Version = "3.6.15" }, "versions are mixed: a runs 3.6.16, b runs 3.6.15", 0},
		row{"a learner of another version", func(s *scene) { s.member("d").Status.Version = "3.7.0" }, "versions are mixed", 0},
		row{"mixed cannot be accepted", func(s *scene) { s.member("b").Status.Version = "3.6.15"; accept("14685")(s) }, "versions are mixed", 0},
		row{"silent member", func(s *scene) { s.member("c").StatusErr = errRefused }, "error: the version of c is not known", 0},
		row{"unparsable", run("3.6"), "error: 3.6 is no version", 0},
		row{"empty", run(""), "error:  is no version", 0},
		row{"hostile", run("3.6.16\n\x1b[2J"), "error: ", 0},
		row{"long", run(strings.Repeat("9", 5000)), "error: ", 0},
		row{"ancient", run("3.3.27"), "older than 3.4", 0},
		row{"of another age", run("2.3.8"), "older than 3.4", 0},
		row{"newer minor", run("3.8.0"), "", 0},
		row{"newer major", run("4.0.0"), "", 0},

		row{"14685", run("3.5.5"), "issue 14685", 0},
		row{"14685 first", run("3.5.0"), "issue 14685", 0},
		row{"14685 candidate of the first", run("3.5.0-rc.1"), "issue 14685", 0},
		row{"14685 candidate of the fix", run("3.5.6-rc.0"), "issue 14685", 0},
		row{"14685 fixed", run("3.5.6"), "", 0},
		row{"14685 accepted", run("3.5.5", accept("14685")), "", 0},
		row{"14685 and another accepted", run("3.5.5", accept("20650")), "issue 14685", 0},
		row{"14685 does not concern a compaction", run("3.5.30", compact), "", 0},
		row{"14685 before the plan", run("3.5.5", as(remediate.ActionDefrag, "")), "issue 14685", 0},
		row{"14685 before the plan of a compaction", run("3.6.16", as(remediate.ActionCompact, "")), "", 0},
		row{"14685 before the plan of recover_space", run("3.5.5", as(remediate.ActionRecoverSpace, "")), "", 0},
		row{"14685 a step of recover_space", run("3.5.5", as(remediate.ActionRecoverSpace, remediate.StepDefrag)), "issue 14685", 0},
		row{"14685 no step to defragment", run("3.5.5", as(remediate.ActionRecoverSpace, remediate.StepDisarm)), "", 0},
		row{"11613", run("3.4.3"), "issue 11613", 0},
		row{"11613 fixed", run("3.4.4"), "", 0},

		row{"20650, all caught up", run("3.6.4"), "", 0},
		row{"20650, one catching up", run("3.6.4", behind), "issue 20650", lagAgain},
		row{"20650, one at zero", run("3.6.4", func(s *scene) {
			s.each(func(m *remediate.Member) { m.Status.RaftAppliedIndex = 0; m.Status.RaftIndex = 50 })
		}), "a is catching up", lagAgain},
		row{"20650, one yet to join", run("3.6.4", func(s *scene) { s.member("d").Name = "" }), "member 4 has yet to join", lagAgain},
		row{"20650 accepted", run("3.6.4", behind, accept("20650")), "", 0},
		row{"20650 fixed in 3.6", run("3.6.5", behind), "", 0},
		row{"20650 in 3.5", run("3.5.22", behind), "issue 20650", lagAgain},
		row{"20650 fixed in 3.5", run("3.5.23", behind), "", 0},
		row{"20650 in 3.4", run("3.4.37", behind), "issue 20650", lagAgain},
		row{"20650 fixed in 3.4", run("3.4.38", behind), "", 0},

		row{"17780", run("3.5.13", compact), "issue 17780", 0},
		row{"17780 fixed", run("3.5.14", compact), "", 0},
		row{"17780 in 3.4", run("3.4.31", compact), "issue 17780", 0},
		row{"17780 fixed in 3.4", run("3.4.32", compact), "", 0},
		row{"17780 accepted", run("3.5.13", compact, accept("17780")), "", 0},
		row{"17780 does not concern a defragmentation", run("3.5.13"), "", 0},
	))
}

func TestVoters(t *testing.T) {
	leave := func(n int, action, kind string) func(*scene) {
		return func(s *scene) { s.seen.Members = s.seen.Members[:n]; s.become(action, kind) }
	}
	verdicts(t, "voters", unseen(
		row{"three", leave(3, remediate.ActionDefrag, remediate.StepDefrag), "", 0},
		row{"two", leave(2, remediate.ActionDefrag, remediate.StepDefrag), "2 of at least 3 voters", 0},
		row{"one", leave(1, remediate.ActionDefrag, remediate.StepDefrag), "1 of at least 3 voters", 0},
		row{"learners do not stand in", func(s *scene) { s.seen.Members = s.seen.Members[1:] }, "2 of at least 3 voters", 0},
		row{"two, accepted", func(s *scene) {
			leave(2, remediate.ActionDefrag, remediate.StepDefrag)(s)
			s.Policy.AllowSmallCluster = true
		}, "", 0},
		row{"two, before the plan", leave(2, remediate.ActionDefrag, ""), "2 of at least 3 voters", 0},
		row{"two, to move the leader", leave(2, remediate.ActionDefrag, remediate.StepMoveLeader), "2 of at least 3 voters", 0},
		row{"one, recover_space defragments", leave(1, remediate.ActionRecoverSpace, remediate.StepDefrag), "1 of at least 3 voters", 0},
		row{"one, recover_space compacts", leave(1, remediate.ActionRecoverSpace, remediate.StepCompact), "", 0},
		row{"one, to compact", leave(1, remediate.ActionCompact, remediate.StepCompact), "", 0},
		row{"one, to prune", leave(1, remediate.ActionPruneEvents, remediate.StepPrune), "", 0},
		row{"one, to disarm", leave(1, remediate.ActionDisarm, remediate.StepDisarm), "", 0},
		row{"one, a snapshot", leave(1, remediate.ActionSnapshot, remediate.StepSnapshot), "", 0},
	))
}

func TestStable(t *testing.T) {
	ago := func(d time.Duration) func(*scene) { return func(s *scene) { s.history.since = noon.Add(-d) } }
	started := func(name string, d time.Duration) func(*scene) {
		return func(s *scene) { s.member(name).Vitals.Started = noon.Add(-d) }
	}
	verdicts(t, "stable", unseen(
		row{"just long enough", ago(10 * time.Minute), "", 0},
		row{"not yet", ago(9 * time.Minute), "the cluster is stable for 9m0s of 10m0s: the watch began", time.Minute},
		row{"not at all", func(s *scene) { s.history.since, s.history.last = time.Time{}, "b did not answer 3s ago" }, "the cluster is not stable: b did not answer 3s ago", 10 * time.Minute},
		row{"not at all, and nothing is asked for", func(s *scene) { s.history.since, s.Policy.StableFor = time.Time{}, 0 }, "the cluster is not stable", time.Second},
		row{"clock set back", ago(-time.Hour), "the cluster is stable for 0s of 10m0s", 70 * time.Minute},
		row{"changed since the last look", func(s *scene) { s.history.differs = "leader moved from a to b" }, "the cluster is not as it was a moment ago: leader moved", 10 * time.Minute},
		row{"nobody watches", func(s *scene) { s.History = nil }, "error: nobody has watched the cluster", 0},
		row{"no clock", func(s *scene) { s.Now = nil }, "error: there is no clock", 0},

		row{"restarted", started("b", 5*time.Minute), "b was started 4m59s ago, less than 10m0s", 5*time.Minute + 600*time.Millisecond},
		row{"restarted learner", started("d", 5*time.Minute), "d was started", 5*time.Minute + 600*time.Millisecond},
		row{"restarted, its clock ahead", func(s *scene) {
			m := s.member("b") // by its clock 10m1s ago, by the truth at most 9m58s
			m.Vitals.Started, m.SkewMin, m.SkewMax = noon.Add(3*time.Second).Add(-10*time.Minute-time.Second), 0, 3*time.Second
		}, "b was started 9m58s ago", 2 * time.Second},
		row{"long ago, its clock behind", func(s *scene) {
			m := s.member("b") // by our clock 10m1s ago, by its own at least 10m
			m.Vitals.Started, m.SkewMin, m.SkewMax = noon.Add(-10*time.Minute-time.Second), -time.Second, 0
		}, "", 0},
		row{"started, its clock not known", func(s *scene) {
			s.member("b").SkewErr = errRefused
			started("b", 10*time.Minute+4*time.Second)(s)
		}, "b was started 9m59s ago", time.Second},
		row{"in its future", started("b", -time.Hour), "b was started 0s ago", 70*time.Minute + 600*time.Millisecond},
		row{"not known", func(s *scene) { s.member("b").Vitals.Started = time.Time{} }, "error: when b was started is not known", 0},
		row{"no metrics", func(s *scene) { s.member("c").VitalsErr = errRefused }, "error: when c was started is not known: connection refused", 0},
		row{"no metrics of a learner", func(s *scene) { s.member("d").VitalsErr = errRefused }, "error: when d was started is not known", 0},
		row{"vitals that are no number", func(s *scene) {
			s.member("b").Vitals.SlowWatchers, s.member("b").Vitals.Resident = math.NaN(), math.Inf(1)
		}, "", 0},
	))
}

func TestDefragmenting(t *testing.T) {
	hangs := func(s *scene) *remediate.Member {
		m := s.member("b")
		m.StatusErr, m.Status = errors.New("context deadline exceeded"), etcd.Status{}
		return m
	}
	dead := func(s *scene) *remediate.Member {
		m := hangs(s)
		m.ReadErr, m.ReadTook, m.VitalsErr, m.Vitals, m.SkewErr = errRefused, 0, errRefused, remediate.Vitals{}, errRefused
		return m
	}
	verdicts(t, "defragmenting", unseen(
		row{"in flight", func(s *scene) { s.member("b").Vitals.DefragInflight = true }, "b is being defragmented", defragAgain},
		row{"in flight on a learner", func(s *scene) { s.member("d").Vitals.DefragInflight = true }, "d is being defragmented", defragAgain},
		row{"metrics, no Status", func(s *scene) { hangs(s) }, "b does not answer its Status and answers the rest", defragAgain},
		row{"a read, no Status", func(s *scene) { m := dead(s); m.ReadErr, m.ReadTook = nil, time.Second }, "b does not answer its Status and answers the rest", defragAgain},
		row{"a Date, no Status", func(s *scene) { dead(s).SkewErr = nil }, "b does not answer its Status and answers the rest", defragAgain},
		row{"dead", func(s *scene) { dead(s) }, "error: whether b is being defragmented is not known", 0},
		row{"no metrics", func(s *scene) { s.member("c").VitalsErr = errRefused }, "error: whether c is being defragmented is not known", 0},
		row{"no endpoint", func(s *scene) { s.member("c").URL = "" }, "error: whether c is being defragmented is not known", 0},
	))
}

func TestClock(t *testing.T) {
	skew := func(name string, low, high time.Duration) func(*scene) {
		return func(s *scene) { s.member(name).SkewMin, s.member(name).SkewMax = low, high }
	}
	verdicts(t, "clock", unseen(
		row{"may be right", skew("b", 4900*time.Millisecond, 5900*time.Millisecond), "", 0},
		row{"at the bound", skew("b", 5*time.Second, 6*time.Second), "", 0},
		row{"ahead", skew("b", 5001*time.Millisecond, 6*time.Second), "the clock of b is at least 5s ahead of ours", 0},
		row{"behind", skew("c", -7*time.Second, -5001*time.Millisecond), "the clock of c is at least 5s behind ours", 0},
		row{"a learner", skew("d", time.Hour, time.Hour+time.Second), "the clock of d is at least 1h0m0s ahead", 0},
		row{"not known", func(s *scene) { s.member("b").SkewErr = errRefused }, "error: the clock of b is not known: connection refused", 0},
		row{"of a learner not known", func(s *scene) { s.member("d").SkewErr = errRefused }, "error: the clock of d is not known", 0},
		row{"zero", skew("b", 0, 0), "error: the clock of b is not known", 0},
		row{"the wrong way round", skew("b", time.Second, -time.Second), "error: the clock of b is not known", 0},
		row{"absurd", skew("b", math.MinInt64, math.MinInt64+1), "the clock of b is at least", 0},
	))
}
