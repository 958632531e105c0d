// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"cmp"
	"context"

	"github.com/etcdops/etcdops/remediate"
)

// election refuses where another replica leads (rule 13), and whatever would act in a
// process that does not take part.
type election struct {
	held  Election
	aside bool
}

func (election) Name() string { return "election" }

func (g election) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	switch {
	case g.aside && c.Acting:
		return remediate.Refuse("another replica may be acting: this process runs with --mode=plan and takes no part in the election")
	case g.held == nil:
		return nil
	}
	if holds, why := g.held.Holds(c.Name); !holds {
		return remediate.Refuse("another replica may be acting: %s", plain(cmp.Or(why, "this one does not lead")))
	}
	return nil
}
