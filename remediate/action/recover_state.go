// SPDX-License-Identifier: Apache-2.0

package action

import (
	"fmt"
	"slices"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// lastDelete is the revision and time of the last delete of ours, of this run or an
// earlier one; 0: none is known of.
func lastDelete(c *remediate.Cluster) (revision int64, at time.Time) {
	revision, at = c.Ledger.LastDelete(c.Name)
	for _, s := range c.Run.Steps {
		if s.Action == remediate.StepPrune && s.Revision > revision && !s.FinishedAt.IsZero() {
			revision, at = s.Revision, s.FinishedAt
		}
	}
	return revision, at
}

// oldEnough says whether a compaction may go past a revision.
func oldEnough(c *remediate.Cluster, revision int64) bool {
	old, ok := c.History.RevisionAt(c.Now().Add(-c.Policy.Compact.Keep))
	return ok && old >= revision
}

// believed corrects sizes in use by those of the other voters: all hold the same, and
// the account of some is from before the last compaction.
func believed(seen *remediate.Observation) *remediate.Observation {
	var lowest int64
	for _, m := range seen.Voters() {
		if size := m.Status.DBInUse; size > 0 && (lowest == 0 || size < lowest) {
			lowest = size
		}
	}
	o := clone(seen)
	for i, m := range o.Members {
		if m.Voter() && lowest > 0 {
			o.Members[i].Status.DBInUse = min(m.Status.DBInUse, lowest)
		}
	}
	return o
}

// foreseen is what a plan expects of the databases once its steps are done: those
// that are to be defragmented hold what is in use, and less where the plan compacts.
func foreseen(c *remediate.Cluster) *remediate.Observation {
	o := clone(believed(c.Seen))
	for i, m := range o.Members {
		switch {
		case !m.Answers() || !taken(c.Run, remediate.StepDefrag, m.ID):
		case c.Run.Has(remediate.StepCompact, ""):
			o.Members[i].Status.DBSize = 1
		default:
			o.Members[i].Status.DBSize = min(m.Status.DBSize, max(m.Status.DBInUse, 1))
		}
	}
	return o
}

func clone(o *remediate.Observation) *remediate.Observation {
	copied := *o
	copied.Members = slices.Clone(o.Members)
	return &copied
}

// stillFull says what a person must do.
func stillFull(c *remediate.Cluster) error {
	m := fullest(c.Seen)
	done := "a compaction and a defragmentation"
	if c.Run.Has(remediate.StepPrune, "") {
		done = "pruning events, a compaction and a defragmentation"
	}
	hint := ""
	if c.Policy.PruneEvents == nil {
		hint = ", give the policy a prune_events"
	}
	return fmt.Errorf("the database of %s is still %s of its quota of %s after %s had nothing more to give (%s are in use): "+
		"raise --quota-backend-bytes on every member, delete what fills it (etcd_exporter top and the exporter's key counts tell what that is)%s, and run recover_space again",
		m.Label(), percent(m.Status.DBSize, c.Seen.Quota()), bytesText(c.Seen.Quota()), done, bytesText(m.Status.DBInUse), hint)
}
