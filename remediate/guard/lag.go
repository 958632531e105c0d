// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

const (
	// maxLag is by how many raft entries a member may be behind.
	maxLag = 1000
	// lagAgain is when to look again at a member that is behind.
	lagAgain = 30 * time.Second
)

// lag refuses while a member, learner or voter, has not applied what the others
// have: to take another one out of service now would cost more than a moment.
type lag struct{}

func (lag) Name() string { return "lag" }

func (lag) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	seen, err := observed(c)
	if err != nil {
		return err
	}
	head := headIndex(seen)
	if head == 0 {
		return errors.New("how far the raft log is written is not known")
	}
	for _, m := range seen.Members {
		if !m.Answers() {
			return fmt.Errorf("how far %s is behind is not known: it does not answer", name(m))
		}
		if behind := head - min(m.Status.RaftAppliedIndex, head); behind > maxLag {
			return remediate.RefuseFor(lagAgain, "%s is %d raft entries behind, more than %d", name(m), behind, maxLag)
		}
	}
	return nil
}

// headIndex is the highest raft index that a member names.
func headIndex(seen *remediate.Observation) uint64 {
	var head uint64
	for _, m := range seen.Members {
		if m.Answers() {
			head = max(head, m.Status.RaftIndex)
		}
	}
	return head
}
