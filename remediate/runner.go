// SPDX-License-Identifier: Apache-2.0

package remediate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// maxPlanned bounds the steps of a plan that is never carried out.
	maxPlanned = 200
	// recordTime is what the journal gets to take the end of a step or run when the
	// run itself has been told to stop.
	recordTime = 10 * time.Second
	// keepTime is for how long the end of a run is tried to be kept, keepEvery how often.
	keepTime, keepEvery = 10 * time.Minute, time.Second
)

// Recorder keeps what a run does. An error means that it is not kept: then nothing
// may be done.
type Recorder interface {
	PutRun(ctx context.Context, r *Run) error
	PutStep(ctx context.Context, runID string, index int, s *Step) error
}

// Watcher is told of what happens; both may be nil.
type Watcher struct {
	Refused func(r *Run, guard string)
	Step    func(r *Run, s *Step) // when it begins and when it ends
}

// Runner carries runs out, one step after the other.
type Runner struct {
	Guards  []Guard
	Journal Recorder
	Watcher Watcher
	Log     *slog.Logger
	// Patience is how long one run waits in all for guards that pass by themselves,
	// such as stable: a person waits rather than to start again; 0: not at all.
	Patience time.Duration
	// ApprovalTime is how long a run of mode approve waits for a person.
	ApprovalTime time.Duration

	patience time.Duration // that is left
}

// Execute carries out c.Run with an action, or plans it where c.Acting is false.
// How it ended is in c.Run and in the journal. The error says that the journal does
// not take it: then nothing more was done.
func (r *Runner) Execute(ctx context.Context, c *Cluster, a Action) error {
	run := c.Run
	r.patience = r.Patience
	run.StartedAt = c.Now()
	if err := r.Journal.PutRun(ctx, run); err != nil {
		return fmt.Errorf("record the run: %w", err)
	}
	outcome, err := r.steps(ctx, c, a)
	if outcome == Planned && run.Mode == ModeApprove {
		outcome, run.ExpiresAt = AwaitingApproval, c.Now().Add(r.ApprovalTime)
	}
	run.FinishedAt, run.Outcome = c.Now(), outcome
	run.Reason, run.Interrupted = reason(outcome, err, run), outcome == Interrupted
	if b, ok := AsBlocked(err); ok && outcome == Refused {
		run.RetryAfter = b.After
		if r.Watcher.Refused != nil {
			r.Watcher.Refused(run, b.Guard)
		}
	}
	told := ctx
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
	defer cancel()
	if !c.Acting {
		for i, s := range run.Steps {
			if err := r.Journal.PutStep(ctx, run.ID, i, s); err != nil {
				return fmt.Errorf("record the plan: %w", err)
			}
		}
	}
	if err := r.keep(ctx, told, run); err != nil {
		return fmt.Errorf("record the end of the run: %w", err)
	}
	return nil
}

// keep records the end of a run, again and again where the journal does not take it:
// a run that is not known to have ended has spent nothing. It gives up when told ends.
func (r *Runner) keep(ctx, told context.Context, run *Run) error {
	for {
		err := r.Journal.PutRun(ctx, run)
		if err == nil || told.Err() != nil || ctx.Err() != nil {
			return err
		}
		r.Log.Error("the journal does not take the end of the run; it is tried again", "run", run.ID, "err", err)
		select {
		case <-told.Done():
		case <-ctx.Done():
		case <-time.After(keepEvery):
		}
	}
}

func reason(outcome Outcome, err error, run *Run) string {
	switch {
	case err != nil:
		return err.Error()
	case outcome == NothingToDo:
		return "nothing is left to do"
	case outcome == AwaitingApproval:
		return fmt.Sprintf("%s planned; approve the run until %s", counted(len(run.Steps)), run.ExpiresAt.UTC().Format(time.RFC3339))
	case outcome == Planned:
		return counted(len(run.Steps)) + " planned; nothing was changed"
	default:
		return counted(len(run.Steps)) + " done"
	}
}

func counted(steps int) string {
	if steps == 1 {
		return "1 step is"
	}
	return fmt.Sprintf("%d steps are", steps)
}

// steps is the loop of a run.
func (r *Runner) steps(ctx context.Context, c *Cluster, a Action) (Outcome, error) {
	refused := r.before(ctx, c, a)
	if refused != nil && (c.Acting || c.Seen == nil) {
		return ended(ctx, c, refused)
	}
	for ctx.Err() == nil {
		if err := c.timeLeft(); err != nil {
			return Failed, err
		}
		if c.Acting || len(c.Run.Steps) == 0 { // a plan changes nothing that had to be seen anew
			c.Seen = c.Live.Observe(ctx, c.Acting)
		}
		step, err := r.next(ctx, c, a)
		switch {
		case err != nil && ctx.Err() != nil:
			return Interrupted, errInterrupted
		case err != nil:
			c.Run.refusal(err)
			if refused != nil { // the guards' word goes before the plan's
				err = refused
			}
			return ended(ctx, c, err)
		case step == nil:
			return r.complete(ctx, c, refused)
		case !c.Acting:
			if err := r.check(ctx, c, step); err != nil && refused == nil {
				refused = err
			}
			if c.Run.Steps = append(c.Run.Steps, step); len(c.Run.Steps) >= maxPlanned {
				return r.complete(ctx, c, refused)
			}
			continue
		}
		if err := r.step(ctx, c, a, step); err != nil {
			return ended(ctx, c, err)
		}
	}
	return Interrupted, errInterrupted
}

var errInterrupted = errors.New("the program was told to stop; the next step was not begun")

// before asks the guards before anything is planned. A run by hand need not wait
// for what would only tell that there is nothing to do.
func (r *Runner) before(ctx context.Context, c *Cluster, a Action) error {
	for {
		c.Seen = c.Live.Observe(ctx, c.Acting)
		err := r.check(ctx, c, &Step{})
		b, blocked := AsBlocked(err)
		if err == nil || !blocked || !passes(c, b) {
			return err
		}
		if c.Acting {
			if step, planErr := a.Plan(ctx, c); planErr == nil && step == nil {
				return nil // the loop will find the same, and end as nothing_to_do
			}
		}
		if !r.waits(c, b) {
			return err
		}
		if err := r.wait(ctx, c, b); err != nil {
			return err
		}
		c.Run.Guards = nil // what was waited for is no refusal of the plan
	}
}

// next plans a step. What is too young to act on is waited for where the run may.
func (r *Runner) next(ctx context.Context, c *Cluster, a Action) (*Step, error) {
	for {
		step, err := a.Plan(ctx, c)
		b, blocked := AsBlocked(err)
		if !blocked || !r.waits(c, b) {
			return step, err
		}
		if err := r.wait(ctx, c, b); err != nil {
			return nil, err
		}
		c.Seen = c.Live.Observe(ctx, c.Acting)
	}
}

// complete ends a run that has no further step.
func (r *Runner) complete(ctx context.Context, c *Cluster, refused error) (Outcome, error) {
	switch {
	case len(c.Run.Steps) == 0 && (refused == nil || !c.Acting):
		return NothingToDo, nil
	case refused != nil:
		return ended(ctx, c, refused)
	case !c.Acting:
		return Planned, nil
	default:
		return Succeeded, nil
	}
}

// ended gives the outcome of a run that ends with an error.
func ended(ctx context.Context, c *Cluster, err error) (Outcome, error) {
	b, blocked := AsBlocked(err)
	if ctx.Err() != nil && (blocked || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return Interrupted, fmt.Errorf("the program was told to stop: %w", err)
	}
	if blocked {
		if n := done(c.Run); n > 0 && c.Acting {
			return Refused, fmt.Errorf("%s done, and then: %w", counted(n), b)
		}
		return Refused, err
	}
	return Failed, err
}

func done(run *Run) (n int) {
	for _, s := range run.Steps {
		if s.Done() && s.Action != StepWait {
			n++
		}
	}
	return n
}

// timeLeft bounds the time of a run, waits not counted.
func (c *Cluster) timeLeft() error {
	took := c.Now().Sub(c.Run.StartedAt) - c.Run.Waited
	if limit := c.Policy.MaxDuration; limit > 0 && took > limit {
		return fmt.Errorf("the run took longer than max_duration (%s) and ends before its next step", limit)
	}
	return nil
}

// check asks all guards and keeps their verdicts. The error is the first refusal.
func (r *Runner) check(ctx context.Context, c *Cluster, s *Step) error {
	var first error
	verdicts := make([]Verdict, 0, len(r.Guards))
	for _, g := range r.Guards {
		err := g.Check(ctx, c, s)
		v := Verdict{Guard: g.Name(), Verdict: Allow}
		if err != nil {
			b, blocked := AsBlocked(err)
			if v.Verdict = Refusal; !blocked {
				v.Verdict = Unsure
				b = &Blocked{Reason: err.Error()}
			}
			v.Reason = b.Reason
			refusal := *b
			refusal.Guard = g.Name()
			if held, ok := AsBlocked(first); !ok || held.After > 0 && refusal.After == 0 {
				first = &refusal // one that does not pass by itself says more
			}
		}
		verdicts = append(verdicts, v)
	}
	c.Run.merge(verdicts, c.Acting)
	return first
}

// refusal adds what the action itself refuses to the guards' verdicts.
func (r *Run) refusal(err error) {
	if b, ok := AsBlocked(err); ok && b.Guard != "" {
		r.Guards = append(r.Guards, Verdict{Guard: b.Guard, Verdict: Refusal, Reason: b.Reason})
	}
}

// merge keeps the verdicts of a round. In a plan a refusal of any step stays seen.
func (r *Run) merge(round []Verdict, acting bool) {
	if acting || len(r.Guards) != len(round) {
		r.Guards = round
		return
	}
	for i, v := range round {
		if r.Guards[i].Verdict == Allow {
			r.Guards[i] = v
		}
	}
}
