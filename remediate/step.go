// SPDX-License-Identifier: Apache-2.0

package remediate

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// step checks, records, carries out and verifies one step.
func (r *Runner) step(ctx context.Context, c *Cluster, a Action, s *Step) error {
	if err := r.settle(ctx, c, s); err != nil {
		return err
	}
	if err := r.allowed(ctx, c, s); err != nil {
		return err
	}
	index := len(c.Run.Steps)
	s.StartedAt = c.Now()
	c.Run.Steps = append(c.Run.Steps, s)
	if err := r.Journal.PutStep(ctx, c.Run.ID, index, s); err != nil {
		c.Run.Steps = c.Run.Steps[:index] // it was not begun
		return fmt.Errorf("record the step: %w", err)
	}
	r.tell(c, s)
	err := r.carryOut(ctx, c, a, s)
	s.FinishedAt = c.Now()
	if err != nil {
		s.Error = err.Error()
	}
	if _, blocked := AsBlocked(err); blocked && (s.Action != StepPrune || s.Keys == 0) {
		s.StartedAt, s.FinishedAt = time.Time{}, time.Time{} // refused before it did anything: it spends nothing
	}
	r.tell(c, s)
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	if putErr := r.Journal.PutStep(keep, c.Run.ID, index, s); putErr != nil && err == nil {
		err = fmt.Errorf("record the end of the step: %w", putErr)
	}
	return err
}

func (r *Runner) tell(c *Cluster, s *Step) {
	if r.Watcher.Step != nil {
		r.Watcher.Step(c.Run, s)
	}
}

// carryOut does what the step is for. A wait is the runner's own business.
func (r *Runner) carryOut(ctx context.Context, c *Cluster, a Action, s *Step) error {
	if s.Action == StepWait {
		return r.sleep(ctx, c, s, s.Until.Sub(c.Now()))
	}
	if s.Action == StepDefrag && c.History != nil {
		id, err := strconv.ParseUint(s.MemberID, 16, 64)
		if err != nil {
			return fmt.Errorf("step names no member: %w", err)
		}
		defer c.History.Excuse(id)()
	}
	if err := a.Apply(ctx, c, s); err != nil {
		return err
	}
	c.Seen = c.Live.Observe(context.WithoutCancel(ctx), true)
	if err := a.Verify(context.WithoutCancel(ctx), c, s); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return nil
}

// settle lets the cluster come to rest after a member was worked on, before the
// next one is.
func (r *Runner) settle(ctx context.Context, c *Cluster, next *Step) error {
	if next.Action != StepDefrag && next.Action != StepMoveLeader || len(c.Run.Steps) == 0 {
		return nil
	}
	if last := c.Run.Steps[len(c.Run.Steps)-1]; last.Action != StepDefrag || !last.Done() {
		return nil
	}
	pause := &Step{Action: StepWait, Reason: "let the cluster settle"}
	return r.sleep(ctx, c, pause, c.Policy.Defrag.Settle)
}

// allowed asks the guards right before a step, and waits for those that pass by
// themselves where the run has the patience.
func (r *Runner) allowed(ctx context.Context, c *Cluster, s *Step) error {
	for {
		c.Seen = c.Live.Observe(ctx, true)
		err := r.check(ctx, c, s)
		b, blocked := AsBlocked(err)
		if !blocked || !r.waits(c, b) {
			return err
		}
		if err := r.wait(ctx, c, b); err != nil {
			return err
		}
	}
}

// passing are the guards whose refusal is a matter of time alone. A cool-down is
// one as well, but nobody waits hours for it.
var passing = []string{"stable", "keep", "defragmenting", "lag"}

func (r *Runner) waits(c *Cluster, b *Blocked) bool {
	return passes(c, b) && b.After <= r.patience
}

// passes says whether a person's run would only have to wait.
func passes(c *Cluster, b *Blocked) bool {
	return b.After > 0 && c.Run.Trigger.Kind == TriggerHand && slices.Contains(passing, b.Guard)
}

func (r *Runner) wait(ctx context.Context, c *Cluster, b *Blocked) error {
	r.patience -= b.After
	r.Log.Info("waiting for a guard", "guard", b.Guard, "for", b.After.Round(time.Second), "reason", b.Reason)
	return r.sleep(ctx, c, &Step{Action: StepWait, Reason: b.Error()}, b.After)
}

// sleep waits, and tells how far it is each second. The time is no part of the
// run's own.
func (r *Runner) sleep(ctx context.Context, c *Cluster, s *Step, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	begun := time.Now()
	defer func() { c.Run.Waited += time.Since(begun) }()
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		c.Progress(s, int64(time.Since(begun).Seconds()), int64(d.Seconds()))
		select {
		case <-end.C:
			return nil
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait: %w", ctx.Err())
		}
	}
}

// MemberStep begins a step on a member.
func MemberStep(kind string, m Member, format string, args ...any) *Step {
	return &Step{
		Action: kind, URL: m.URL, Member: m.Name, MemberID: etcd.FormatID(m.ID),
		Reason: fmt.Sprintf(format, args...), BeforeBytes: m.Status.DBSize,
	}
}
