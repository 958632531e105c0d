// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// Request is a person's wish.
type Request struct {
	Action         string        `json:"action"`
	Cluster        string        `json:"cluster"`
	Policy         string        `json:"policy,omitempty"` // empty: the first of the action that allows the cluster
	Plan           bool          `json:"plan"`             // change nothing
	IgnoreCooldown bool          `json:"ignore_cooldown,omitempty"`
	By             string        `json:"by,omitempty"`
	Patience       time.Duration `json:"patience,omitempty"` // for guards that pass by themselves
}

// How says who looks on while a run goes.
type How struct {
	Patience time.Duration
	Progress func(s *remediate.Step, done, all int64)
	Step     func(r *remediate.Run, s *remediate.Step)

	approved bool // a person let it go on
	forget   bool // a person looks at a plan: it is no part of the history
}

// ByHand carries out a request, or plans it. The error says that there was no run.
func (d *Dispatcher) ByHand(ctx context.Context, q Request, how How) (*remediate.Run, error) {
	s := d.now()
	p, err := d.choose(s, q)
	if err != nil {
		return nil, err
	}
	now := d.o.Now()
	run := &remediate.Run{
		ID: newID(now), Cluster: q.Cluster, Policy: p.Name, Action: q.Action, Mode: remediate.ModeEnforce, AcceptedAt: now,
		Trigger: remediate.Trigger{Kind: remediate.TriggerHand, By: q.By}, IgnoreCooldown: q.IgnoreCooldown,
	}
	if q.Plan {
		run.Mode = remediate.ModePlan
	}
	done, err := d.enter()
	if err != nil {
		return nil, err
	}
	defer done()
	how.Patience, how.forget = q.Patience, q.Plan
	return run, d.execute(ctx, s, run, p, !q.Plan, how)
}

// Check says whether a request fits the configuration, without carrying it out.
func (d *Dispatcher) Check(q Request) error {
	_, err := d.choose(d.now(), q)
	return err
}

// enter counts a run that the program waits for at its end.
func (d *Dispatcher) enter() (done func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return nil, ErrStopping
	}
	d.runs.Add(1)
	return d.runs.Done, nil
}

// choose finds the parameters of a run by hand.
func (d *Dispatcher) choose(s setup, q Request) (remediate.Policy, error) {
	if _, ok := s.target(q.Cluster); !ok {
		return remediate.Policy{}, &UsageError{fmt.Sprintf("no cluster is called %q; configured: %v", q.Cluster, s.names())}
	}
	if q.Policy != "" {
		p, ok := s.policy(q.Policy)
		switch {
		case !ok:
			return p, &UsageError{fmt.Sprintf("no policy is called %q", q.Policy)}
		case p.Action != q.Action:
			return p, &UsageError{fmt.Sprintf("policy %s is for %s, not for %s", p.Name, p.Action, q.Action)}
		case !slices.Contains(p.Clusters, q.Cluster):
			return p, &UsageError{fmt.Sprintf("policy %s does not allow the cluster %s", p.Name, q.Cluster)}
		}
		return p, nil
	}
	for _, p := range s.policies {
		if p.Action == q.Action && slices.Contains(p.Clusters, q.Cluster) {
			return p, nil
		}
	}
	p, ok := d.o.Default(q.Action)
	if !ok {
		return p, &UsageError{fmt.Sprintf("%s needs a policy that allows the cluster %s: no policy of the configuration does", q.Action, q.Cluster)}
	}
	return p, nil
}

func (s setup) names() []string {
	var names []string
	for _, t := range s.targets {
		names = append(names, t.Name)
	}
	return names
}

// UsageError is a request that does not fit the configuration.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

// Approve carries out a run that waits for it: it is planned again. It returns when
// the run has ended.
func (d *Dispatcher) Approve(ctx context.Context, id, by string, how How) (*remediate.Run, error) {
	run, s, p, err := d.approvable(ctx, id, by)
	if err != nil {
		return nil, err
	}
	done, err := d.enter()
	if err != nil {
		d.leave(intentOf(run))
		return nil, err
	}
	defer done()
	return run, d.approved(ctx, s, p, run, how)
}

// ApproveSoon is Approve for who does not wait for the run's end; ctx bounds the run.
func (d *Dispatcher) ApproveSoon(ctx context.Context, id, by string) error {
	run, s, p, err := d.approvable(ctx, id, by)
	if err != nil {
		return err
	}
	done, err := d.enter()
	if err != nil {
		d.leave(intentOf(run))
		return err
	}
	go func() {
		defer done()
		if err := d.approved(ctx, s, p, run, How{}); err != nil {
			d.o.Log.Error("an approved run cannot be carried out", "run", id, "err", err)
		}
	}()
	return nil
}

func (d *Dispatcher) approved(ctx context.Context, s setup, p remediate.Policy, run *remediate.Run, how How) error {
	defer d.settled(ctx, run)
	how.approved = true
	err := d.execute(ctx, s, run, p, true, how)
	if err != nil && run.Outcome == "" {
		d.unbegun(ctx, run, err)
	}
	return err
}

// unbegun ends a run that was approved and not begun, as where a reload has taken it
// from its policy meanwhile: it would seem to go on until the next start.
func (d *Dispatcher) unbegun(ctx context.Context, run *remediate.Run, why error) {
	run.Outcome, run.Reason, run.FinishedAt = remediate.Refused, why.Error(), d.o.Now()
	if ctx.Err() != nil {
		run.Outcome, run.Interrupted = remediate.Interrupted, true
	}
	if err := d.o.Journal.PutRun(context.WithoutCancel(ctx), run); err != nil {
		d.o.Log.Error("the end of an approved run cannot be recorded", "run", run.ID, "err", err)
		return
	}
	if d.o.Finished != nil {
		d.o.Finished(run)
	}
}

// approvable gives a run that waits, and takes it away from any other approval.
func (d *Dispatcher) approvable(ctx context.Context, id, by string) (*remediate.Run, setup, remediate.Policy, error) {
	s := d.now()
	run, ok := d.o.Journal.Run(id)
	if !ok {
		return nil, s, remediate.Policy{}, ErrUnknownRun
	}
	p, known := s.policy(run.Policy)
	switch {
	case run.Outcome == remediate.Expired,
		run.Outcome == remediate.AwaitingApproval && !d.o.Now().Before(run.ExpiresAt):
		return nil, s, p, ErrExpired
	case run.Outcome != remediate.AwaitingApproval:
		return nil, s, p, ErrNotAwaiting
	case !known || p.Action != run.Action || !slices.Contains(p.Clusters, run.Cluster):
		return nil, s, p, &UsageError{fmt.Sprintf("policy %q does not allow %s of %s any more", run.Policy, run.Action, run.Cluster)}
	case p.Mode == remediate.ModePlan:
		return nil, s, p, &UsageError{fmt.Sprintf("policy %s only plans now", p.Name)}
	}
	if !d.claim(intentKey{run.Policy, run.Cluster}) {
		return nil, s, p, ErrNotAwaiting
	}
	// From here on it does not expire, also where it has to wait for its turn.
	run.Trigger.By, run.Steps, run.Guards, run.Outcome, run.Reason = by, nil, nil, "", ""
	run.FinishedAt, run.ExpiresAt = time.Time{}, time.Time{}
	if err := d.o.Journal.PutRun(ctx, run); err != nil {
		d.leave(intentOf(run))
		return nil, s, p, fmt.Errorf("record the approval: %w", err)
	}
	return run, s, p, nil
}

func (d *Dispatcher) claim(key intentKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting[key] {
		return false
	}
	d.waiting[key] = true
	return true
}

// settled lets the intent of an approved run go on, or be done.
func (d *Dispatcher) settled(ctx context.Context, run *remediate.Run) {
	i, open := d.present(intentOf(run))
	if open && run.Outcome != remediate.Interrupted && run.Outcome != "" {
		d.after(context.WithoutCancel(ctx), i, run, nil, false)
	}
	d.leave(intentOf(run))
}
