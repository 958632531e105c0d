// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"slices"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// day is the length of time that a budget is for, rolling.
const day = 24 * time.Hour

// budget refuses where a policy has had its runs of the last 24 hours. Where nothing
// tells of earlier runs it is one run until the first cool-down has passed (rule 13).
type budget struct{}

func (budget) Name() string { return "budget" }

func (budget) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	l, err := ledger(c)
	if err != nil {
		return err
	}
	at, err := now(c)
	if err != nil {
		return err
	}
	if c.Policy.MaxRunsPerDay > 0 && l.Unfinished(c.Name, c.Policy.Account()) {
		return nil
	}
	spent := slices.DeleteFunc(slices.Clone(l.Spent(c.Name, c.Policy.Account())), func(t time.Time) bool { return at.Sub(t) >= day })
	slices.SortFunc(spent, time.Time.Compare)
	runs := c.Policy.MaxRunsPerDay
	if complete, since := l.Complete(); !complete && len(spent) > 0 {
		// Without a time since when there are records nobody knows when it ends.
		if left := since.Add(c.Policy.Cooldown).Sub(at); since.IsZero() || left > 0 {
			return remediate.RefuseFor(max(left, time.Minute), "nothing tells of earlier runs (a new journal): one run until the first cool-down (%s) has passed", span(c.Policy.Cooldown))
		}
	}
	if runs <= 0 {
		return remediate.Refuse("the policy allows no run")
	}
	if len(spent) >= runs {
		left := spent[len(spent)-runs].Add(day).Sub(at)
		return remediate.RefuseFor(left, "%d of %d runs of the last 24 hours are spent: %s left", len(spent), runs, span(left))
	}
	return nil
}
