// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

func TestInterrupted(t *testing.T) {
	r := newRig(t, Options{})
	ctx := t.Context()
	for id, outcome := range map[string]remediate.Outcome{
		"open": "", "awaiting": remediate.AwaitingApproval, "over": remediate.Succeeded,
	} {
		r.ok(r.PutRun(ctx, &remediate.Run{ID: id, Cluster: "prod", Policy: "p", Outcome: outcome, StartedAt: start}))
	}
	r.ok(r.PutStep(ctx, "open", 0, done(remediate.StepDefrag, start.Add(time.Minute))))
	r.ok(r.PutStep(ctx, "open", 1, &remediate.Step{Action: remediate.StepDefrag, StartedAt: start.Add(2 * time.Minute)}))
	r.clock.Add(time.Hour)
	r.ok(r.Close()) // for the run the same as a crash
	r.open()

	found := r.Interrupted()
	if len(found) != 1 || found[0].ID != "open" {
		t.Fatalf("interrupted: %v", found)
	}
	run := found[0]
	if run.Outcome != remediate.Interrupted || !run.Interrupted || !run.FinishedAt.Equal(r.clock.Now()) || run.Reason == "" {
		t.Errorf("run %+v", run)
	}
	if first, second := run.Steps[0], run.Steps[1]; first.Error != "" || second.Error != "interrupted" || second.Done() {
		t.Errorf("steps %+v, %+v", first, second)
	}
	if got, want := r.LastSpent("prod", "p"), start.Add(2*time.Minute); !got.Equal(want) {
		t.Errorf("spent at %s, want the time of the last step %s", got, want)
	}
	if other, _ := r.Run("awaiting"); other.Outcome != remediate.AwaitingApproval {
		t.Errorf("the one that awaits approval: %q", other.Outcome)
	}
	r.restart()
	if again := r.Interrupted(); len(again) != 0 {
		t.Errorf("told again: %v", again)
	}
}

// TestApproved shows that a run that was planned, and goes on after approval, begins
// without the planned steps.
func TestApproved(t *testing.T) {
	r := newRig(t, Options{})
	run := &remediate.Run{ID: "1", Outcome: remediate.AwaitingApproval, Steps: []*remediate.Step{{Action: "defrag"}, {Action: "defrag"}}}
	r.finish(run)
	if got := r.Awaiting(); len(got) != 1 || len(got[0].Steps) != 2 {
		t.Fatalf("awaiting: %v", got)
	}
	run.Outcome = ""
	r.ok(r.PutRun(t.Context(), run))
	r.ok(r.PutStep(t.Context(), "1", 0, done("defrag", start)))
	if got, _ := r.Run("1"); len(got.Steps) != 1 || !got.Steps[0].Done() || len(r.Awaiting()) != 0 {
		t.Errorf("steps %v", got.Steps)
	}
}

// TestLongPrune shows that a run of thousands of steps stays small, and its totals right.
func TestLongPrune(t *testing.T) {
	r := newRig(t, Options{disk: newFragile().on})
	ctx := t.Context()
	run := &remediate.Run{ID: "1", Cluster: "prod"}
	r.ok(r.PutRun(ctx, run))
	const steps = 600
	for i := range steps {
		s := &remediate.Step{Action: remediate.StepPrune, StartedAt: start, Keys: 10, Reason: "window " + strconv.Itoa(i)}
		if i == 0 {
			s.Action, s.File = remediate.StepSnapshot, "/b/1.db"
		}
		r.ok(r.PutStep(ctx, "1", i, s))
		s.FinishedAt, s.Keys, s.Revision = start.Add(time.Second), 7, int64(i)
		s.Sample = &remediate.Sample{Events: 1, Reasons: map[string]int{"r" + strconv.Itoa(i%50): 1}}
		r.ok(r.PutStep(ctx, "1", i, s))
	}
	r.ok(r.PutStep(ctx, "1", 5, &remediate.Step{Action: "late"})) // it is part of a sum, and stays so
	got, _ := r.Run("1")
	if len(got.Steps) != maxSteps || got.Pruned() != 7*(steps-1) {
		t.Errorf("%d steps, %d keys pruned", len(got.Steps), got.Pruned())
	}
	joined := got.Steps[1]
	if n := steps - 1 - (maxSteps - 2); !strings.HasPrefix(joined.Reason, fmt.Sprintf("%d steps in a row; the last: window %d", n, n)) ||
		joined.Sample.Events != n || len(joined.Sample.Reasons) != largest+1 || joined.Sample.Reasons[others] == 0 {
		t.Errorf("joined: %q, %+v", joined.Reason, joined.Sample)
	}
	if got.Steps[0].Action != remediate.StepSnapshot || got.Steps[199].Reason != "window 599" {
		t.Errorf("first %q, last %q", got.Steps[0].Action, got.Steps[199].Reason)
	}
	run.Outcome = remediate.Succeeded
	r.ok(r.PutRun(ctx, run))
	r.restart()
	for _, p := range numbered(fullRuns) {
		r.ok(r.PutRun(ctx, &remediate.Run{ID: p}))
	}
	if got, _ := r.Run("1"); len(got.Steps) != 2 || got.Pruned() != 7*(steps-1) {
		t.Errorf("of an old run %d steps are kept, %d keys pruned", len(got.Steps), got.Pruned())
	}
}

func TestTooManySteps(t *testing.T) {
	r := newRig(t, Options{disk: newFragile().on})
	r.ok(r.PutRun(t.Context(), &remediate.Run{ID: "1"}))
	for i := range endSteps {
		r.ok(r.PutStep(t.Context(), "1", i, done(remediate.StepDefrag, start)))
	}
	for _, index := range []int{endSteps, -1} {
		if err := r.PutStep(t.Context(), "1", index, done(remediate.StepDefrag, start)); err == nil {
			t.Errorf("step %d is kept", index)
		}
	}
	if err := r.PutStep(t.Context(), "other", 0, done(remediate.StepDefrag, start)); err == nil {
		t.Error("a step of an unknown run is kept")
	}
	if err := r.PutRun(t.Context(), &remediate.Run{}); err == nil {
		t.Error("a run without an id is kept")
	}
}

func TestRuns(t *testing.T) {
	r := newRig(t, Options{disk: newFragile().on})
	for i := range maxRuns + 20 {
		outcome := remediate.Succeeded
		if i == 3 {
			outcome = remediate.AwaitingApproval
		}
		r.ok(r.PutRun(t.Context(), &remediate.Run{ID: strconv.Itoa(i), Outcome: outcome}))
	}
	all := r.Runs(0)
	if len(all) != maxRuns || all[0].ID != "519" || all[maxRuns-1].ID != "3" {
		t.Errorf("%d runs from %s to %s", len(all), all[0].ID, all[len(all)-1].ID)
	}
	if two := r.Runs(2); len(two) != 2 || two[1].ID != "518" {
		t.Errorf("newest two: %v", two)
	}
	if run, ok := r.Run("1"); ok {
		t.Errorf("a run too old: %+v", run)
	}
	if run, _ := r.Run("519"); run.Steps == nil || run.Guards == nil {
		t.Error("empty lists would be null in JSON")
	}
	r.restart()
}

// TestCopies shows that what is given and taken is shared with nobody.
func TestCopies(t *testing.T) {
	r := newRig(t, Options{disk: newFragile().on})
	step := done(remediate.StepPrune, start)
	step.Sample = &remediate.Sample{Reasons: map[string]int{"a": 1}}
	run := &remediate.Run{ID: "1", Guards: []remediate.Verdict{{Guard: "health"}}, Steps: []*remediate.Step{step}}
	r.finish(run)
	before := asJSON(t, r.Journal, "1")
	run.Guards[0].Guard, step.Sample.Reasons["a"] = "x", 2
	r.ok(r.PutRun(t.Context(), &remediate.Run{ID: "2"}))
	r.ok(r.accept("f"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				got, _ := r.Run("1")
				got.Guards[0].Guard, got.Steps[0].Reason, got.Steps[0].Sample.Reasons["a"] = "y", "z", 3
				got.Steps[0] = nil
				_ = r.PutStep(t.Context(), "2", 0, step)
				r.Intents()[0].Firing[0] = "other"
			}
		})
	}
	wg.Wait()
	if after := asJSON(t, r.Journal, "1"); after != before {
		t.Errorf("the run is\n%s\nand was\n%s", after, before)
	}
	if got := r.Intents()[0].Firing; got[0] != "f" {
		t.Errorf("firing %v", got)
	}
}

func asJSON(t *testing.T, j *Journal, id string) string {
	t.Helper()
	run, _ := j.Run(id)
	text, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestJoinCounts(t *testing.T) {
	got := joinCounts(map[string]int{"a": 1, others: 5}, map[string]int{"a": 2, "b": 1})
	if got["a"] != 3 || got["b"] != 1 || got[others] != 5 || len(got) != 3 {
		t.Errorf("%v", got)
	}
	many := map[string]int{}
	for i, name := range numbered(30) {
		many[name] = 100 - i
	}
	got = joinCounts(many, nil)
	names := []string{}
	for name := range got {
		names = append(names, name)
	}
	if slices.Sort(names); len(names) != largest+1 || names[1] != "p000" || names[largest] != "p019" {
		t.Errorf("%v", names)
	}
}
