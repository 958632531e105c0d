// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"

	"github.com/etcdops/etcdops/remediate"
)

// fewVoters is how many voters a cluster needs to bear the absence of one.
const fewVoters = 3

// voters refuses to take a member out of service, or to move the leadership, where
// fewer than three voters leave nobody to stand in. A compaction, a prune, a disarm
// and a snapshot take no member out of service, so that it lets them pass.
type voters struct{}

func (voters) Name() string { return "voters" }

func (voters) Check(_ context.Context, c *remediate.Cluster, s *remediate.Step) error {
	seen, err := observed(c)
	if err != nil {
		return err
	}
	if c.Policy.AllowSmallCluster || !concerns(c, s, remediate.StepDefrag, remediate.StepMoveLeader) {
		return nil
	}
	if n := len(seen.Voters()); n < fewVoters {
		return remediate.Refuse("%d of at least %d voters: nobody would serve meanwhile (allow_small_cluster accepts that)", n, fewVoters)
	}
	return nil
}
