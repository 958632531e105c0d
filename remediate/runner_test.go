// SPDX-License-Identifier: Apache-2.0

package remediate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// story records the order of all that a runner does.
type story struct{ lines []string }

func (s *story) tell(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// action takes the steps it was given, one after the other.
type action struct {
	*story
	steps    []*Step
	applyErr map[string]error // by kind of step
	verify   error
	plan     error
}

func (action) Name() string { return ActionDefrag }

func (a action) Plan(_ context.Context, c *Cluster) (*Step, error) {
	if a.plan != nil {
		return nil, a.plan
	}
	if len(c.Run.Steps) == len(a.steps) {
		return nil, nil
	}
	step := *a.steps[len(c.Run.Steps)]
	a.tell("plan %s", step.Action)
	return &step, nil
}

func (a action) Apply(_ context.Context, _ *Cluster, s *Step) error {
	a.tell("apply %s", s.Action)
	return a.applyErr[s.Action]
}

func (a action) Verify(_ context.Context, _ *Cluster, s *Step) error {
	a.tell("verify %s", s.Action)
	return a.verify
}

// sentry refuses from some check on.
type sentry struct {
	*story
	name    string
	checks  int
	refuses map[int]error // by number of the check, from 1; 0: every one
}

func (g *sentry) Name() string { return g.name }

func (g *sentry) Check(_ context.Context, _ *Cluster, s *Step) error {
	g.checks++
	g.tell("guard %s", s.Action)
	if err, ok := g.refuses[0]; ok {
		return err
	}
	return g.refuses[g.checks]
}

type book struct {
	*story
	fail map[string]error // by what is put
}

func (b book) PutRun(_ context.Context, r *Run) error {
	b.tell("put run %s", r.Outcome)
	return b.fail["run"]
}

func (b book) PutStep(_ context.Context, _ string, i int, s *Step) error {
	state := "begun"
	switch {
	case s.StartedAt.IsZero():
		state = "planned"
	case !s.FinishedAt.IsZero():
		state = "ended"
	}
	b.tell("put step %d %s", i, state)
	return b.fail["step"]
}

// scene is a cluster in which nothing is real but the runner.
type scene struct {
	*story
	Live
	action action
	sentry *sentry
	book   book
	c      *Cluster
	r      *Runner
}

func (s *scene) Observe(context.Context, bool) *Observation { return &Observation{At: time.Now()} }

func (s *scene) Excuse(member uint64) func() {
	s.tell("excuse %s", etcd.FormatID(member))
	return func() { s.tell("accuse %s", etcd.FormatID(member)) }
}
func (s *scene) Stable() (time.Time, string)           { return time.Time{}, "" }
func (s *scene) Moved(uint64)                          {}
func (s *scene) RevisionAt(time.Time) (int64, bool)    { return 0, false }
func (s *scene) FirstSample() (time.Time, int64, bool) { return time.Time{}, 0, false }

func newScene(acting bool, steps ...*Step) *scene {
	told := &story{}
	s := &scene{
		story: told, action: action{story: told, steps: steps, applyErr: map[string]error{}},
		sentry: &sentry{story: told, name: "health", refuses: map[int]error{}}, book: book{told, map[string]error{}},
	}
	s.c = &Cluster{
		Name: "prod", Live: s, History: s, Acting: acting, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Policy:   Policy{MaxDuration: time.Hour, Defrag: Defrag{Settle: 30 * time.Second}},
		Run:      &Run{ID: "r", Cluster: "prod", Action: ActionDefrag, Mode: ModeEnforce, Trigger: Trigger{Kind: TriggerAlert}},
		Progress: func(*Step, int64, int64) {},
	}
	if !acting {
		s.c.Run.Mode = ModePlan
	}
	s.r = &Runner{Guards: []Guard{s.sentry}, Journal: s.book, Log: s.c.Log}
	return s
}

// play carries the run out in a world where time costs nothing.
func (s *scene) play(t *testing.T) (outcome Outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if err := s.r.Execute(t.Context(), s.c, &s.action); err != nil {
			s.tell("error %v", err)
		}
	})
	return s.c.Run.Outcome
}

func defrag(id string) *Step { return &Step{Action: StepDefrag, MemberID: id, URL: "http://" + id} }

// TestOrder: journal before act, guards before each step, the cluster's silence
// excused only while a member is worked on.
func TestOrder(t *testing.T) {
	s := newScene(true, defrag("a"), defrag("b"))
	if outcome := s.play(t); outcome != Succeeded {
		t.Fatalf("outcome %s: %s", outcome, s.c.Run.Reason)
	}
	want := []string{
		"put run ", "guard ",
		"plan defrag", "guard defrag", "put step 0 begun", "excuse a", "apply defrag", "verify defrag", "accuse a", "put step 0 ended",
		"plan defrag", "guard defrag", "put step 1 begun", "excuse b", "apply defrag", "verify defrag", "accuse b", "put step 1 ended",
		"put run succeeded",
	}
	if !slices.Equal(s.lines, want) {
		t.Errorf("it went\n%s\nand should have gone\n%s", strings.Join(s.lines, "\n"), strings.Join(want, "\n"))
	}
	if pause := s.c.Run.Steps[1].StartedAt.Sub(s.c.Run.Steps[0].FinishedAt); pause < 30*time.Second {
		t.Errorf("the second member was begun %s after the first, before the cluster had settled", pause)
	}
	if !s.c.Run.Applied() {
		t.Error("a run that did something does not count as applied")
	}
}

// TestPlanChangesNothing: all steps, all verdicts, no Apply.
func TestPlanChangesNothing(t *testing.T) {
	s := newScene(false, defrag("a"), defrag("b"))
	s.sentry.refuses[3] = Refuse("not the second")
	if outcome := s.play(t); outcome != Refused {
		t.Errorf("outcome %s, want refused", outcome)
	}
	if len(s.c.Run.Steps) != 2 || s.c.Run.Applied() || slices.ContainsFunc(s.lines, func(l string) bool { return strings.HasPrefix(l, "apply") }) {
		t.Errorf("%d steps; it went %v", len(s.c.Run.Steps), s.lines)
	}
	if v := s.c.Run.Guards[0]; v.Verdict != Refusal || v.Reason != "not the second" {
		t.Errorf("the plan hides the refusal: %+v", v)
	}
}

func TestOutcomes(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		set    func(*scene)
		want   Outcome
		reason string
	}{
		"nothing to do":           {func(s *scene) { s.action.steps = nil }, NothingToDo, "nothing"},
		"a guard refuses":         {func(s *scene) { s.sentry.refuses[1] = Refuse("ill") }, Refused, "health: ill"},
		"a guard cannot tell":     {func(s *scene) { s.sentry.refuses[1] = broken }, Refused, "health: broken"},
		"right before the step":   {func(s *scene) { s.sentry.refuses[2] = Refuse("ill") }, Refused, "health: ill"},
		"between two steps":       {func(s *scene) { s.sentry.refuses[3] = Refuse("ill") }, Refused, "1 step is done, and then: health: ill"},
		"the plan refuses":        {func(s *scene) { s.action.plan = &Blocked{Guard: "keep", Reason: "too young"} }, Refused, "keep: too young"},
		"the plan fails":          {func(s *scene) { s.action.plan = broken }, Failed, "broken"},
		"the step fails":          {func(s *scene) { s.action.applyErr[StepDefrag] = broken }, Failed, "broken"},
		"it does not verify":      {func(s *scene) { s.action.verify = broken }, Failed, "verify: broken"},
		"the journal takes none":  {func(s *scene) { s.book.fail["step"] = broken }, Failed, "record the step: broken"},
		"it takes too long":       {func(s *scene) { s.c.Policy.MaxDuration = time.Nanosecond; s.c.Now = slow() }, Failed, "max_duration"},
		"the plan cannot be done": {func(s *scene) { s.action.applyErr[StepDefrag] = &Blocked{Guard: "plan", Reason: "it leads"} }, Refused, "it leads"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(true, defrag("a"), defrag("b"))
			test.set(s)
			if outcome := s.play(t); outcome != test.want || !strings.Contains(s.c.Run.Reason, test.reason) {
				t.Errorf("%s: %s; want %s: %s", outcome, s.c.Run.Reason, test.want, test.reason)
			}
			if name == "the plan cannot be done" && s.c.Run.Applied() {
				t.Error("a step that refused before it did anything counts as applied")
			}
			if name == "the journal takes none" && slices.Contains(s.lines, "apply defrag") {
				t.Error("a step that is not in the journal was carried out")
			}
		})
	}
}

// slow gives a clock that moves by a second each time it is read.
func slow() func() time.Time {
	at := time.Now()
	return func() time.Time { at = at.Add(time.Second); return at }
}

// TestWait: the runner waits itself, and the time is not the run's own.
func TestWait(t *testing.T) {
	s := newScene(true)
	s.c.Policy.MaxDuration = time.Minute
	synctest.Test(t, func(t *testing.T) {
		s.action.steps = []*Step{{Action: StepWait, Until: time.Now().Add(2 * time.Hour)}, defrag("a")}
		begun := time.Now()
		if err := s.r.Execute(t.Context(), s.c, &s.action); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 2*time.Hour {
			t.Errorf("it waited %s", took)
		}
	})
	if s.c.Run.Outcome != Succeeded {
		t.Errorf("outcome %s: %s", s.c.Run.Outcome, s.c.Run.Reason)
	}
}

// TestPatience: a person waits for what passes by itself, an alert is tried again.
func TestPatience(t *testing.T) {
	for _, test := range []struct {
		trigger  string
		patience time.Duration
		want     Outcome
	}{
		{TriggerHand, time.Minute, Succeeded},
		{TriggerHand, 10 * time.Second, Refused},
		{TriggerAlert, time.Minute, Refused},
	} {
		s := newScene(true, defrag("a"))
		s.sentry.name = "stable"
		s.sentry.refuses[1] = RefuseFor(30*time.Second, "seen for 5 s")
		s.c.Run.Trigger.Kind, s.r.Patience = test.trigger, test.patience
		if outcome := s.play(t); outcome != test.want {
			t.Errorf("%s with a patience of %s: %s, want %s", test.trigger, test.patience, outcome, test.want)
		}
	}
}

// TestToldToStop: the present step is brought to its end, the next is not begun.
func TestToldToStop(t *testing.T) {
	s := newScene(true, defrag("a"), defrag("b"))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s.r.Watcher.Step = func(_ *Run, step *Step) {
			if step.FinishedAt.IsZero() {
				cancel()
			}
		}
		if err := s.r.Execute(ctx, s.c, &s.action); err != nil {
			t.Fatal(err)
		}
	})
	run := s.c.Run
	if run.Outcome != Interrupted || !run.Interrupted || len(run.Steps) != 1 || !run.Steps[0].Done() {
		t.Errorf("%s, %d steps: %s", run.Outcome, len(run.Steps), run.Reason)
	}
}

// TestApproval: a plan without a refusal waits for a person.
func TestApproval(t *testing.T) {
	s := newScene(false, defrag("a"))
	s.c.Run.Mode, s.r.ApprovalTime = ModeApprove, 30*time.Minute
	if outcome := s.play(t); outcome != AwaitingApproval {
		t.Fatalf("outcome %s", outcome)
	}
	if left := s.c.Run.ExpiresAt.Sub(s.c.Run.FinishedAt); left < 29*time.Minute || left > 31*time.Minute {
		t.Errorf("it expires after %s", left)
	}
}
