// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"cmp"
	"context"

	"github.com/etcdops/etcdops/remediate"
)

// election refuses where another replica leads (rule 13).
type election struct{ held Election }

func (election) Name() string { return "election" }

func (g election) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	if g.held == nil {
		return nil
	}
	if holds, why := g.held.Holds(c.Name); !holds {
		return remediate.Refuse("another replica may be acting: %s", plain(cmp.Or(why, "this one does not lead")))
	}
	return nil
}
