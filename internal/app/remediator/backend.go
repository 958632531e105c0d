// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/app/remediator/web"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/dispatch"
)

var _ web.Backend = (*app)(nil)

// State implements web.Backend.
func (a *app) State() web.State {
	s := web.State{Mode: a.options.Mode, Leader: true, QueueLength: a.dispatcher.Queued()}
	s.PausedSince, s.PausedBy = a.journal.Paused()
	if err := a.journal.Fit(); err != nil {
		s.JournalFault = err.Error()
	}
	v := a.config.Load()
	if s.Election = v.Remediation.Election.Enabled && !a.clusters.idle; s.Election {
		s.Leader, s.Holder = a.leads()
	}
	for _, p := range v.Remediation.Policies {
		s.Policies = append(s.Policies, a.policy(policy(p, a.options.Mode), p))
	}
	for _, i := range a.journal.Intents() {
		s.Intents = append(s.Intents, web.Intent{
			Policy: i.Policy, Cluster: i.Cluster, Alert: i.Alert, Since: i.AcceptedAt,
			Tries: i.Tries, Next: i.NextTry, LastReason: i.LastReason,
		})
	}
	for _, r := range a.dispatcher.Running() {
		one := web.Running{Run: *r.Run, Done: r.Done, All: r.All}
		if full, ok := a.journal.Run(r.Run.ID); ok {
			one.Run = *full
		}
		s.Running = append(s.Running, one)
	}
	return s
}

// leads says whether this process may act on any cluster, and who holds the others.
func (a *app) leads() (bool, string) {
	leads := false
	var others []string
	for _, c := range a.clusters.present() {
		holds, who := a.clusters.Holds(c.config.Name)
		leads = leads || holds
		if !holds && who != "" {
			others = append(others, c.config.Name+": "+who)
		}
	}
	return leads, strings.Join(others, "; ")
}

func (a *app) policy(p remediate.Policy, written config.Policy) web.Policy {
	out := web.Policy{
		Name: p.Name, Action: p.Action, Mode: p.Mode, Cooldown: p.Cooldown, Budget: p.MaxRunsPerDay,
		Matchers: strings.Join(written.Matchers, ", "),
	}
	for _, name := range p.Clusters {
		one := web.Standing{Cluster: name, BudgetLeft: max(p.MaxRunsPerDay-len(a.journal.Spent(name, p.Name)), 0)}
		if last := a.journal.LastSpent(name, p.Name); !last.IsZero() && p.Cooldown > 0 {
			one.CooldownUntil = last.Add(p.Cooldown)
		}
		one.BreakerOpen, one.BreakerWhy = a.journal.Breaker(name, p.Name)
		one.Firing = a.dispatcher.Firing(p.Name, name)
		out.Clusters = append(out.Clusters, one)
	}
	return out
}

// Runs implements web.Backend.
func (a *app) Runs() []remediate.Run {
	var all []remediate.Run
	for _, r := range a.journal.Runs(0) {
		all = append(all, *r)
	}
	return all
}

// Run implements web.Backend.
func (a *app) Run(id string) (remediate.Run, bool) {
	r, ok := a.journal.Run(id)
	if !ok {
		return remediate.Run{}, false
	}
	return *r, true
}

// Approve implements web.Backend. The run goes on after the answer.
func (a *app) Approve(_ context.Context, id, by string) error {
	err := a.dispatcher.ApproveSoon(a.working, id, by) //nolint:contextcheck // the run outlives the request
	switch {
	case errors.Is(err, dispatch.ErrUnknownRun):
		return web.ErrNotFound
	case errors.Is(err, dispatch.ErrExpired):
		return web.ErrExpired
	case errors.Is(err, dispatch.ErrNotAwaiting):
		return web.ErrNotAwaiting
	case err != nil:
		return fmt.Errorf("%w: %w", web.ErrUnavailable, err)
	}
	a.log.Info("a run was approved", "run", id, "by", by)
	return nil
}

// Pause implements web.Backend.
func (a *app) Pause(ctx context.Context, by string) error {
	a.log.Warn("paused: no run starts until it is resumed", "by", by)
	return a.journal.Pause(ctx, by)
}

// Resume implements web.Backend.
func (a *app) Resume(ctx context.Context, by string) error {
	if err := a.journal.Resume(ctx, by); err != nil {
		return err
	}
	a.log.Info("resumed; breakers are closed", "by", by)
	a.dispatcher.RetryNow(ctx)
	return nil
}

// firstLook waits until each cluster was looked at once and its election has spoken,
// so that a run by hand does not fail for having begun a moment ago; a few seconds at
// most.
func (c *clusters) firstLook(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, one := range c.present() {
		for !one.looked() && ctx.Err() == nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
}

// looked says whether what a run needs to know has come in.
func (c *cluster) looked() bool {
	switch {
	case !c.history.Looked():
		return false
	case c.election == nil:
		return true
	}
	holds, _ := c.election.holds()
	return holds || !c.election.Holds() && c.election.Leader() != ""
}
