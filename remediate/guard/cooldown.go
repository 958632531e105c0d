// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// cooldown refuses for a while after a run that changed something. The ledger counts
// finished runs only, so that a run does not stand in its own way.
type cooldown struct{}

func (cooldown) Name() string { return "cooldown" }

func (cooldown) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	if c.Policy.Cooldown <= 0 || byHand(c) && c.Run.IgnoreCooldown {
		return nil
	}
	l, err := ledger(c)
	if err != nil {
		return err
	}
	at, err := now(c)
	if err != nil {
		return err
	}
	last := l.LastSpent(c.Name, c.Policy.Account())
	if last.IsZero() || l.Unfinished(c.Name, c.Policy.Account()) {
		return nil
	}
	// A last run that lies ahead, since our clock was set back, refuses as well.
	if left := last.Add(c.Policy.Cooldown).Sub(at); left > 0 {
		return remediate.RefuseFor(left, "cool-down of %s after the run of %s: %s left", span(c.Policy.Cooldown), last.UTC().Format(time.RFC3339), span(left))
	}
	return nil
}
