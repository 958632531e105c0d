// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// members refuses where a member of the list has never started, or where nobody
// speaks for one. Learners may exist; how far they are is the guard lag's to check.
type members struct{}

func (members) Name() string { return "members" }

func (members) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	seen, err := observed(c)
	if err != nil {
		return err
	}
	for _, m := range seen.Members {
		switch {
		case !m.Started():
			return remediate.Refuse("member %s was added and never started: it raises the quorum and adds nothing", etcd.FormatID(m.ID))
		case m.URL == "":
			return remediate.Refuse("no endpoint's Status names member %s: nobody knows how it is", name(m))
		case m.Learner && m.StatusErr != nil:
			return remediate.Refuse("learner %s does not answer: %s", name(m), plain(m.StatusErr.Error()))
		case !m.Learner && m.StatusErr == nil && m.Status.Learner:
			return remediate.Refuse("%s takes itself for a learner, the member list for a voter", name(m))
		}
	}
	return nil
}
