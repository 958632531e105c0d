// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"context"
	"slices"
	"time"

	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/journal"
)

// Times of an open intent (rule 12): Alertmanager's own repeat would come hours
// later.
const (
	firstRetry = time.Minute
	lastRetry  = 10 * time.Minute
	intentAge  = 6 * time.Hour
)

// Wake has the intents looked at now.
func (d *Dispatcher) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run tries open intents until ctx ends, and then waits for the runs under way:
// they end after the present transaction or member.
func (d *Dispatcher) Run(ctx context.Context) {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for ctx.Err() == nil {
		d.look(ctx)
		select {
		case <-tick.C:
		case <-d.wake:
		case <-ctx.Done():
		}
	}
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.runs.Wait()
}

// RetryNow has every open intent tried without waiting for its turn, as after a pause.
func (d *Dispatcher) RetryNow(ctx context.Context) {
	for _, i := range d.o.Journal.Intents() {
		i.NextTry = d.o.Now()
		if err := d.o.Journal.UpdateIntent(ctx, i); err != nil {
			d.o.Log.Error("an intent cannot be kept", "policy", i.Policy, "cluster", i.Cluster, "err", err)
		}
	}
	d.Wake()
}

// look starts what is due, and closes what is too old.
func (d *Dispatcher) look(ctx context.Context) {
	now, s := d.o.Now(), d.now()
	d.expire(ctx, now)
	for _, i := range d.o.Journal.Intents() {
		p, known := s.policy(i.Policy)
		_, reachable := s.target(i.Cluster)
		switch {
		case !known || !reachable || !slices.Contains(p.Clusters, i.Cluster):
			d.close(ctx, i, "gone", "the configuration does not allow it any more")
		case now.Sub(i.AcceptedAt) > intentAge:
			d.close(ctx, i, journal.ClosedExpired, "")
		case !i.NextTry.After(now) && d.take(i):
			if now, open := d.present(i); !open || now.NextTry.After(d.o.Now()) { // it was tried since we looked
				d.leave(i)
				continue
			}
			d.runs.Go(func() { d.try(ctx, s, p, i) })
		}
	}
}

// take marks an intent as queued; false where it is already, or waits for a
// person's approval.
func (d *Dispatcher) take(i journal.Intent) bool {
	key := intentKey{i.Policy, i.Cluster}
	if d.awaiting(key) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting[key] || d.stopped {
		return false
	}
	d.waiting[key] = true
	return true
}

func (d *Dispatcher) leave(i journal.Intent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, intentKey{i.Policy, i.Cluster})
}

func (d *Dispatcher) awaiting(key intentKey) bool {
	for _, r := range d.o.Journal.Awaiting() {
		if r.Policy == key.policy && r.Cluster == key.cluster {
			return true
		}
	}
	return false
}

// try makes one run of an intent.
func (d *Dispatcher) try(ctx context.Context, s setup, p remediate.Policy, i journal.Intent) {
	defer d.leave(i)
	run := &remediate.Run{
		ID: newID(d.o.Now()), Cluster: i.Cluster, Policy: i.Policy, Action: p.Action, Mode: p.Mode, AcceptedAt: i.AcceptedAt,
		Trigger: remediate.Trigger{Kind: remediate.TriggerAlert, Alert: i.Alert, Fingerprint: i.Fingerprint},
	}
	err := d.execute(ctx, s, run, p, p.Mode == remediate.ModeEnforce, How{})
	if err != nil && ctx.Err() == nil {
		d.o.Log.Error("a run cannot be carried out", "policy", i.Policy, "cluster", i.Cluster, "err", err)
	}
	if ctx.Err() != nil && (run.Outcome == remediate.Interrupted || run.Outcome == "") {
		return // the intent is looked at afresh at the next start
	}
	ctx = context.WithoutCancel(ctx)
	if now, open := d.present(i); open {
		d.after(ctx, now, run, err, !now.NextTry.Equal(i.NextTry))
	}
}

// present gives the intent as it is now: it may have been resolved meanwhile.
func (d *Dispatcher) present(i journal.Intent) (journal.Intent, bool) {
	for _, now := range d.o.Journal.Intents() {
		if now.Policy == i.Policy && now.Cluster == i.Cluster {
			return now, true
		}
	}
	return i, false
}

// after says what becomes of an intent after a run. soon says that somebody wants it
// tried again at once: what kept it may have passed while it was tried.
func (d *Dispatcher) after(ctx context.Context, i journal.Intent, run *remediate.Run, err error, soon bool) {
	switch run.Outcome {
	case remediate.Succeeded, remediate.NothingToDo, remediate.Planned, remediate.Expired:
		d.close(ctx, i, journal.ClosedDone, run.Reason)
		return
	case remediate.Failed:
		if run.Applied() { // the first failure ends it: a person looks, or the alert comes again
			d.close(ctx, i, "failed", run.Reason)
			return
		}
	}
	i.Tries++
	i.LastReason = run.Reason
	if err != nil {
		i.LastReason = err.Error()
	}
	wait := backOff(i.Tries)
	if run.RetryAfter > 0 {
		wait = min(wait, max(run.RetryAfter, time.Second))
	}
	if i.NextTry = d.o.Now(); !soon {
		i.NextTry = i.NextTry.Add(wait)
	}
	if err := d.o.Journal.UpdateIntent(ctx, i); err != nil {
		d.o.Log.Error("an intent cannot be kept", "policy", i.Policy, "cluster", i.Cluster, "err", err)
	}
}

// backOff doubles from a minute to ten.
func backOff(tries int) time.Duration {
	wait := firstRetry
	for ; tries > 1 && wait < lastRetry; tries-- {
		wait *= 2
	}
	return min(wait, lastRetry)
}

func (d *Dispatcher) close(ctx context.Context, i journal.Intent, why, reason string) {
	i.Closed, i.ClosedWhy = true, why
	if reason != "" {
		i.LastReason = reason
	}
	if err := d.o.Journal.UpdateIntent(ctx, i); err != nil {
		d.o.Log.Error("an intent cannot be closed", "policy", i.Policy, "cluster", i.Cluster, "err", err)
	}
}

// expire ends runs whose approval did not come.
func (d *Dispatcher) expire(ctx context.Context, now time.Time) {
	for _, r := range d.o.Journal.Awaiting() {
		if now.Before(r.ExpiresAt) {
			continue
		}
		r.Outcome, r.Reason, r.FinishedAt = remediate.Expired, "no approval came in time", now
		if err := d.o.Journal.PutRun(ctx, r); err != nil {
			d.o.Log.Error("an expired run cannot be recorded", "run", r.ID, "err", err)
			continue
		}
		if d.o.Finished != nil {
			d.o.Finished(r)
		}
		if i, open := d.present(journal.Intent{Policy: r.Policy, Cluster: r.Cluster}); open {
			d.close(ctx, i, journal.ClosedDone, r.Reason)
		}
	}
}
