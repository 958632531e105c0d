// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// health refuses unless every voter answers its Status and a linearizable read, and
// all agree on the cluster and on one leader. The alarm NOSPACE does not matter here.
type health struct{}

func (health) Name() string { return "health" }

func (health) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	seen, err := observed(c)
	if err != nil {
		return err
	}
	for _, m := range seen.Voters() {
		if err := voterHealth(seen, m); err != nil {
			return err
		}
	}
	if len(seen.Disagreements) > 0 {
		return remediate.Refuse("the endpoints do not agree: %s", plain(seen.Disagreements[0]))
	}
	leader, ok := seen.Leader()
	switch {
	case !ok:
		return remediate.Refuse("the voters do not agree on one leader")
	case !leader.Voter():
		return remediate.Refuse("%s is said to lead and is a learner", name(leader))
	}
	for _, m := range seen.Voters() {
		if m.Status.RaftTerm != leader.Status.RaftTerm {
			return remediate.Refuse("%s is in raft term %d, the leader in %d", name(m), m.Status.RaftTerm, leader.Status.RaftTerm)
		}
	}
	return nil
}

func voterHealth(seen *remediate.Observation, m remediate.Member) error {
	switch {
	case m.StatusErr != nil:
		return remediate.Refuse("%s does not answer: %s", name(m), plain(m.StatusErr.Error()))
	case m.URL == "":
		return remediate.Refuse("no endpoint speaks for %s", name(m))
	case m.ReadErr != nil:
		return remediate.Refuse("%s does not answer a linearizable read: %s", name(m), plain(m.ReadErr.Error()))
	case m.Status.Leader == 0:
		return remediate.Refuse("%s knows no leader", name(m))
	case m.Status.MemberID != m.ID:
		return remediate.Refuse("the endpoint of %s answers for member %s", name(m), etcd.FormatID(m.Status.MemberID))
	case m.Status.ClusterID == 0 || m.Status.ClusterID != seen.ClusterID:
		return remediate.Refuse("%s is of cluster %s, the others of %s", name(m), etcd.FormatID(m.Status.ClusterID), etcd.FormatID(seen.ClusterID))
	default:
		return nil
	}
}
