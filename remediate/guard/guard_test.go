// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// scene is a step on a cluster that is well, with all that guards may look at.
type scene struct {
	*remediate.Cluster
	seen    *remediate.Observation
	step    *remediate.Step
	ledger  *fakeLedger
	history *fakeHistory
	options Options
}

type fakeLedger struct {
	unfinished bool
	remediate.Ledger
	spent    []time.Time
	last     time.Time
	complete bool
	since    time.Time
	breaker  string
	paused   time.Time
	by       string
	fit      error
}

func (l *fakeLedger) Spent(string, string) []time.Time      { return l.spent }
func (l *fakeLedger) LastSpent(string, string) time.Time    { return l.last }
func (l *fakeLedger) Complete() (bool, time.Time)           { return l.complete, l.since }
func (l *fakeLedger) Breaker(string, string) (bool, string) { return l.breaker != "", l.breaker }
func (l *fakeLedger) Unfinished(string, string) bool        { return l.unfinished }
func (l *fakeLedger) Paused() (time.Time, string)           { return l.paused, l.by }
func (l *fakeLedger) Fit() error                            { return l.fit }

type fakeHistory struct {
	remediate.History
	since    time.Time
	last     string
	differs  string
	revision int64 // that was current at any time; 0: not known
}

func (h *fakeHistory) Stable() (time.Time, string)           { return h.since, h.last }
func (h *fakeHistory) Differs(*remediate.Observation) string { return h.differs }
func (h *fakeHistory) RevisionAt(time.Time) (int64, bool) {
	return h.revision, h.revision > 0
}

const (
	gib = 1 << 30
	mib = 1 << 20
)

// well is a step on the follower b, before which nothing is wrong.
func well() *scene {
	s := &scene{
		seen:    &remediate.Observation{At: noon, ClusterID: 77},
		ledger:  &fakeLedger{complete: true},
		history: &fakeHistory{since: noon.Add(-time.Hour), last: "the watch began 1h0m0s ago"},
		step:    &remediate.Step{Action: remediate.StepDefrag, URL: "https://b:2379", Member: "b"},
		options: Options{Free: func(string) (uint64, error) { return 100 * gib, nil }},
	}
	for id := uint64(1); id <= 4; id++ {
		label := string(rune('a' + id - 1))
		s.seen.Members = append(s.seen.Members, remediate.Member{
			Member: etcd.Member{ID: id, Name: label, Learner: id == 4}, URL: "https://" + label + ":2379",
			Status: etcd.Status{
				ClusterID: 77, MemberID: id, Version: "3.6.16", DBSize: 3 * gib, DBInUse: gib, Leader: 1, RaftTerm: 5,
				RaftIndex: 9000, RaftAppliedIndex: 8990, Revision: 1000, Learner: id == 4,
			},
			ReadTook: time.Millisecond, Quota: 8 * gib,
			Vitals:  remediate.Vitals{Started: noon.Add(-time.Hour)},
			SkewMin: -600 * time.Millisecond, SkewMax: 500 * time.Millisecond,
		})
	}
	s.Cluster = &remediate.Cluster{
		Name: "prod", DataDirs: map[string]string{"https://b:2379": "/var/lib/etcd"}, Seen: s.seen,
		Ledger: s.ledger, History: s.history, Acting: true, Now: func() time.Time { return noon },
		Run: &remediate.Run{Action: remediate.ActionDefrag, Trigger: remediate.Trigger{Kind: remediate.TriggerAlert}},
		Policy: remediate.Policy{
			Name: "reclaim", Action: remediate.ActionDefrag, Cooldown: 6 * time.Hour, MaxRunsPerDay: 4,
			StableFor: 10 * time.Minute, Defrag: remediate.Defrag{MaxPause: 30 * time.Second},
		},
	}
	return s
}

// become makes the run one of another action, and its step of another kind.
func (s *scene) become(action, kind string) {
	s.Run.Action, s.Policy.Action, s.step.Action = action, action, kind
}

// member is the one of that name.
func (s *scene) member(name string) *remediate.Member { return &s.seen.Members[name[0]-'a'] }

func (s *scene) each(change func(*remediate.Member)) {
	for i := range s.seen.Members {
		change(&s.seen.Members[i])
	}
}

// row is one case of a guard.
type row struct {
	name   string
	change func(*scene)
	want   string        // in the refusal, or "error: " and what is in the error; empty: it allows
	after  time.Duration // of the refusal
}

// verdicts runs a guard over its cases, on a cluster on which it would allow.
func verdicts(t *testing.T, guard string, rows []row) {
	t.Helper()
	for _, r := range append(rows, row{name: "all is well", change: func(*scene) {}}) {
		t.Run(r.name, func(t *testing.T) {
			s := well()
			r.change(s)
			got, after := s.ask(t.Context(), guard)
			if (got == "") != (r.want == "") || !strings.Contains(got, r.want) || strings.HasPrefix(got, "error: ") != strings.HasPrefix(r.want, "error: ") {
				t.Errorf("%q, want %q", got, r.want)
			}
			if after != r.after {
				t.Errorf("again after %s, want %s (%s)", after, r.after, got)
			}
			if strings.ContainsAny(got, "\n\r\t\x00\x1b") || len(got) > 800 {
				t.Errorf("%q is not one plain line", got)
			}
		})
	}
}

// ask gives what a guard says, and when to ask again.
func (s *scene) ask(ctx context.Context, guard string) (says string, after time.Duration) {
	for _, g := range All(s.options) {
		if g.Name() != guard {
			continue
		}
		err := g.Check(ctx, s.Cluster, s.step)
		if b, ok := remediate.AsBlocked(err); ok {
			if b.Lasting {
				return "for good: " + b.Reason, b.After
			}
			return b.Reason, b.After
		}
		if err != nil {
			return "error: " + err.Error(), 0
		}
		return "", 0
	}
	return "error: there is no guard " + guard, 0
}

// TestNothingKnown: on nothing no guard allows, and none panics, whatever the step.
// Left out are those that the policy itself switches on, each as it is switched on.
func TestNothingKnown(t *testing.T) {
	closed := timeinterval.TimeInterval{Times: []timeinterval.TimeRange{{StartMinute: 0, EndMinute: 1}}}
	options := Options{
		Election: held{}, Windows: []timeinterval.TimeInterval{closed},
		Free:  func(string) (uint64, error) { return 0, errors.New("no such directory") },
		Query: func(context.Context, string) (int, error) { return 0, nil },
	}
	policy := remediate.Policy{Cooldown: time.Hour, RequireQueries: []string{"up"}, RequireSnapshot: time.Hour, StableFor: time.Minute}
	at := func() time.Time { return noon }
	clusters := map[string]*remediate.Cluster{
		"zero":             {Policy: policy},
		"zero observation": {Policy: policy, Seen: &remediate.Observation{}, Now: at, Run: &remediate.Run{}},
		"a zero member":    {Policy: policy, Seen: &remediate.Observation{Members: []remediate.Member{{}}}, Now: at},
		"a learner alone":  {Policy: policy, Seen: &remediate.Observation{Members: []remediate.Member{{Member: etcd.Member{ID: 1, Learner: true}}}}, Now: at},
		"a list of old":    {Policy: policy, Seen: &remediate.Observation{Members: well().seen.Members, ListErr: errors.New("old")}},
	}
	kinds := []string{
		"", remediate.StepDefrag, remediate.StepMoveLeader, remediate.StepCompact, remediate.StepPrune,
		remediate.StepWait, remediate.StepDisarm, remediate.StepSnapshot, "nonsense",
	}
	// What a zero member leaves nothing to object to for some kinds of steps.
	partial := []string{"disk", "quota", "pause", "snapshot", "voters"}
	for name, c := range clusters {
		for _, kind := range kinds {
			for _, g := range All(options) {
				allows, excused := g.Check(t.Context(), c, &remediate.Step{Action: kind}) == nil, name == "a zero member" && slices.Contains(partial, g.Name())
				if allows && !excused {
					t.Errorf("%s allows %q on %s", g.Name(), kind, name)
				}
			}
		}
		for _, g := range All(options) {
			_ = g.Check(t.Context(), c, nil)
		}
	}
	c := clusters["a zero member"]
	for _, g := range All(options) {
		for _, kind := range []string{remediate.StepDefrag, remediate.StepPrune} {
			concerned := kind == remediate.StepDefrag != (g.Name() == "snapshot")
			if slices.Contains(partial, g.Name()) && concerned && g.Check(t.Context(), c, &remediate.Step{Action: kind}) == nil && g.Name() != "disk" {
				t.Errorf("%s allows %s on a zero member", g.Name(), kind)
			}
		}
	}
}

// TestNames: each guard has one of its own, as the metrics show it.
func TestNames(t *testing.T) {
	want := "paused journal election window breaker cooldown budget members health lag corrupt version voters stable defragmenting clock disk queries quota pause snapshot"
	if got := strings.Join(Names(), " "); got != want {
		t.Errorf("names %s", got)
	}
}

// TestAllAllow: on a healthy cluster every guard allows, before the plan too.
func TestAllAllow(t *testing.T) {
	for _, kind := range []string{"", remediate.StepDefrag, remediate.StepMoveLeader, remediate.StepCompact, remediate.StepPrune, remediate.StepWait, remediate.StepDisarm} {
		for _, name := range Names() {
			s := well()
			s.step.Action = kind
			if says, _ := s.ask(t.Context(), name); says != "" {
				t.Errorf("%s refuses %q: %s", name, kind, says)
			}
		}
	}
}

// TestOneLine: what others wrote cannot add a line to a log, or end it.
func TestOneLine(t *testing.T) {
	for _, bad := range []string{"a\nb", "a\x1b[2Jb", strings.Repeat("x", 10_000), "a\xffb", "\u202eb"} {
		if got := plain(bad); strings.ContainsAny(got, "\n\x1b\u202e") || len(got) > 2*maxWord || strings.Contains(got, "\xff") {
			t.Errorf("%.40q became %.80q", bad, got)
		}
	}
	if got := plain("etcd-1 (https://10.0.0.1:2379)"); got != "etcd-1 (https://10.0.0.1:2379)" {
		t.Errorf("%q", got)
	}
}
