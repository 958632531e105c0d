// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/etcdops/etcdops/remediate"
)

// anew gives what is in force once it is the run's turn, if it still allows the run.
func (d *Dispatcher) anew(run *remediate.Run, p remediate.Policy, how How) (setup, remediate.Policy, error) {
	s := d.now()
	if run.Trigger.Kind == remediate.TriggerAlert && !how.approved {
		if _, open := d.present(intentOf(run)); !open {
			return s, p, errors.New("the alert was resolved before it was the run's turn")
		}
	}
	if run.Policy == "" {
		return s, p, nil
	}
	now, known := s.policy(run.Policy)
	allowed := known && now.Action == run.Action && slices.Contains(now.Clusters, run.Cluster)
	if allowed && run.Trigger.Kind == remediate.TriggerAlert {
		allowed = now.Mode == remediate.ModeEnforce || how.approved && now.Mode == remediate.ModeApprove
	}
	if !allowed {
		return s, p, fmt.Errorf("policy %s does not allow the run any more", run.Policy)
	}
	return s, now, nil
}

// orders asks the guards whose word may change in the middle of a step.
func orders(ctx context.Context, guards []remediate.Guard, c *remediate.Cluster) error {
	for _, g := range guards {
		if name := g.Name(); name != "paused" && name != "election" {
			continue
		}
		if err := g.Check(ctx, c, &remediate.Step{}); err != nil {
			return &remediate.Blocked{Guard: g.Name(), Reason: err.Error()}
		}
	}
	return nil
}
