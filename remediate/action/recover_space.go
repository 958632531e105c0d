// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

const (
	// What makes a defragmentation worth its while when the database is full, in bytes
	// and as a share.
	worthBytes = 1 << 20
	worthShare = 0.05

	sampleWait = 5 * time.Second // the revision clock is read that often
	maxWaits   = 60              // in one run, for the clock to have its sample
)

// recoverSpace makes a full cluster take writes again, with the least that works:
// compact, defragment, disarm. Where that is not enough and the policy allows it,
// it prunes events, waits until a compaction may go past the last delete, and
// compacts and defragments once more. Until the alarm is gone none of this needs a
// put or a lease.
//
// What is next follows from the live state, the steps of the run, and the last delete
// that the journal knows of: so a new run goes on where one was cut short.
type recoverSpace struct {
	prune  *pruneEvents
	defrag *defrag
	disarm *disarm
}

func newRecoverSpace() *recoverSpace {
	return &recoverSpace{prune: newPruneEvents(), defrag: newDefrag(), disarm: newDisarm()}
}

// Name implements remediate.Action.
func (*recoverSpace) Name() string { return remediate.ActionRecoverSpace }

// Plan implements remediate.Action.
func (a *recoverSpace) Plan(ctx context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	if err := measurable(c.Seen); err != nil {
		return nil, err
	}
	seen := c.Seen
	if !c.Acting {
		seen = foreseen(c)
	}
	switch fullVoters, fullLearner := tooFull(seen); {
	case len(fullVoters) > 0:
		return a.makeRoom(ctx, c)
	case !seen.HasAlarm(etcd.AlarmNoSpace):
		return nil, nil
	case fullLearner != "":
		return nil, fmt.Errorf("the voters have room again and the learner %s has not; etcd does not defragment learners: "+
			"remove it, add it anew, and run recover_space again", fullLearner)
	default:
		return a.planDisarm(ctx, c, seen)
	}
}

// measurable refuses where nobody can tell whether there is room.
func measurable(seen *remediate.Observation) error {
	if seen.AlarmsErr != nil {
		return fmt.Errorf("learn the alarms: %w", seen.AlarmsErr)
	}
	if seen.Quota() <= 0 {
		return refuse(refusedQuota, 0, "the quota of a voter is not known, so nobody can tell whether its database is full")
	}
	for _, m := range seen.Voters() {
		if !m.Answers() {
			return refuse(refusedPlan, soon, "%s does not answer, so nobody can tell whether its database is full", m.Label())
		}
	}
	return nil
}

// tooFull gives the voters whose databases are so large that no alarm may be
// disarmed, and the name of such a learner.
func tooFull(seen *remediate.Observation) (voters []remediate.Member, learner string) {
	for _, m := range seen.Members {
		switch {
		case !m.Answers() || !isFull(m, seen.Quota()):
		case m.Voter():
			voters = append(voters, m)
		default:
			learner = m.Label()
		}
	}
	return voters, learner
}

// planDisarm plans to take the alarm off the next member. In a plan the databases
// are as the steps before will have left them, if all goes well.
func (a *recoverSpace) planDisarm(ctx context.Context, c *remediate.Cluster, seen *remediate.Observation) (*remediate.Step, error) {
	view := *c
	view.Seen = seen
	s, err := a.disarm.Plan(ctx, &view)
	if s != nil && !c.Acting && c.Run.Has(remediate.StepDefrag, "") {
		s.Reason = fmt.Sprintf("the alarm NOSPACE of %s, once every database is below %d %% of the quota of %s", s.Member, fullShare, bytesText(seen.Quota()))
	}
	return s, err
}

// makeRoom plans the next step while a voter's database is too large.
func (a *recoverSpace) makeRoom(ctx context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	if lastIs(c.Run, remediate.StepPrune) { // all that may go, before the wait
		s, err := a.prune.Plan(ctx, c)
		if b, ok := remediate.AsBlocked(err); ok && b.Guard == refusedValues {
			c.Log.Warn("the prune ends early, and what it deleted has to do", "reason", b.Reason)
		} else if s != nil || err != nil {
			return s, err
		}
		return a.planWait(c)
	}
	if revision, _ := lastDelete(c); c.Acting && lastIs(c.Run, remediate.StepWait) && !oldEnough(c, revision) {
		return a.planWait(c)
	}
	var young error // why there is no compaction: the refusal keep
	if !c.Run.Has(remediate.StepWait, "") || c.Acting {
		s, err := a.planCompact(ctx, c)
		if b, ok := remediate.AsBlocked(err); ok && b.Guard == refusedKeep {
			young = err
		} else if s != nil || err != nil {
			return s, err
		}
		if s, err = a.planDefrag(ctx, c); s != nil || err != nil {
			return s, err
		}
	}
	if young != nil {
		return nil, young
	}
	return a.further(ctx, c)
}

// further plans what deletes: a compaction and a defragmentation were not enough.
func (a *recoverSpace) further(ctx context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	var refused error
	if c.Policy.PruneEvents != nil && !c.Run.Has(remediate.StepPrune, "") {
		s, err := a.prune.Plan(ctx, c)
		if _, ok := remediate.AsBlocked(err); ok {
			refused = err
		} else if s != nil || err != nil {
			return s, err
		}
	}
	// An earlier run of ours may have been cut short between its deletes and the
	// compaction past them.
	waiting, err := a.pending(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case waiting && (c.Acting || !c.Run.Has(remediate.StepWait, "")):
		return a.planWait(c)
	case !c.Acting && refused != nil:
		return nil, refused
	case !c.Acting && len(c.Run.Steps) > 0:
		return nil, nil // what comes after these steps nobody can tell now
	case c.Acting:
		if s, err := a.planLast(ctx, c); s != nil || err != nil {
			return s, err
		}
	}
	if refused != nil {
		return nil, refused
	}
	return nil, stillFull(c)
}

// pending says whether there are deletes of ours that no compaction went past.
func (a *recoverSpace) pending(ctx context.Context, c *remediate.Cluster) (bool, error) {
	revision, _ := lastDelete(c)
	if revision == 0 || revision > c.Seen.Revision() {
		return false, nil
	}
	reader, ok := c.Seen.Reader()
	if !ok {
		return false, refuse(refusedPlan, soon, "no voter answers its Status and a read")
	}
	compacted, err := c.Live.Compacted(ctx, reader.URL)
	if err != nil {
		return false, fmt.Errorf("learn the last compaction of %s: %w", reader.Label(), err)
	}
	return compacted < revision, nil
}

// planWait plans to wait until a compaction may go past the last delete.
func (a *recoverSpace) planWait(c *remediate.Cluster) (*remediate.Step, error) {
	keep := c.Policy.Compact.Keep
	if !c.Acting {
		return &remediate.Step{
			Action: remediate.StepWait, Until: c.Now().Add(keep),
			Reason: fmt.Sprintf("until the last delete is %s old: a compaction may not go past it before; then compact, defragment and disarm", keep),
		}, nil
	}
	revision, at := lastDelete(c)
	waits := 0
	for _, s := range c.Run.Steps {
		if s.Action == remediate.StepWait {
			waits++
		}
	}
	if waits >= maxWaits {
		return nil, fmt.Errorf("the revision clock has no sample of revision %d after %d waits", revision, waits)
	}
	s := &remediate.Step{
		Action: remediate.StepWait, Until: at.Add(keep), Revision: revision,
		Reason: fmt.Sprintf("until the last delete, revision %d, is %s old: a compaction may not go past it before", revision, keep),
	}
	if s.Until.Before(c.Now().Add(sampleWait)) && !oldEnough(c, revision) {
		s.Until = c.Now().Add(sampleWait)
	}
	return s, nil
}

// Apply implements remediate.Action. The runner itself waits.
func (a *recoverSpace) Apply(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	if part := a.part(s); part != nil {
		return part.Apply(ctx, c, s)
	}
	return nil
}

// Verify implements remediate.Action.
func (a *recoverSpace) Verify(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	part := a.part(s)
	if part == nil {
		return nil
	}
	if err := part.Verify(ctx, c, s); err != nil {
		return err
	}
	if full, _ := tooFull(c.Seen); s.Action != remediate.StepDefrag || len(full) > 0 || c.Seen.HasAlarm(etcd.AlarmNoSpace) {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, writeTime) // nothing is left to disarm that would try one
	defer cancel()
	if err := c.Live.TryWrite(call, s.URL); err != nil {
		return fmt.Errorf("every database has room again, and writes are refused all the same: %w", err)
	}
	return nil
}

// part is the action that a step is a part of; nil for a wait.
func (a *recoverSpace) part(s *remediate.Step) remediate.Action {
	switch s.Action {
	case remediate.StepCompact:
		return newCompact()
	case remediate.StepDefrag, remediate.StepMoveLeader:
		return a.defrag
	case remediate.StepPrune:
		return a.prune
	case remediate.StepDisarm:
		return a.disarm
	}
	return nil
}

// lastIs says whether the last step of a run is of that kind.
func lastIs(run *remediate.Run, kind string) bool {
	return len(run.Steps) > 0 && run.Steps[len(run.Steps)-1].Action == kind
}

// round is the run without what came before its last prune or wait: what was done
// before the deletes has to be done again after them.
func round(run *remediate.Run) *remediate.Run {
	begins := 0
	for i, s := range run.Steps {
		if s.Action == remediate.StepPrune || s.Action == remediate.StepWait {
			begins = i + 1
		}
	}
	cut := *run
	cut.Steps = slices.Clone(run.Steps[begins:])
	return &cut
}
