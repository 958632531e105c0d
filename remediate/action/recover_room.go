// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"

	"github.com/etcdops/etcdops/remediate"
)

// farRevisions are so many that a compaction over them may well free something, and
// fellLittle is the share of the size in use before it, in percent, above which a
// member does not show that.
const (
	farRevisions = 1000
	fellLittle   = 95
)

// planCompact plans the compactions of a round: one to a revision short of what is old
// enough, and where that seems to have freed nothing, or the last delete is still
// ahead, one over the rest. A member may count its free space at its next write alone
// (3.6.16), and when it is full there is no other: a delete of nothing is none.
func (a *recoverSpace) planCompact(ctx context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	past, _ := lastDelete(c)
	var before []*remediate.Step
	for _, s := range round(c.Run).Steps {
		if s.Action == remediate.StepCompact {
			before = append(before, s)
		}
	}
	switch {
	case len(before) >= 2 || len(before) == 1 && !c.Acting:
		return nil, nil
	case len(before) == 1 && past <= before[0].Revision && len(unfallen(c, before[0])) == 0:
		return nil, nil
	}
	s, err := (&compact{past: past}).next(ctx, c)
	if s == nil || err != nil {
		return nil, err
	}
	if len(before) == 1 {
		s.Reason = fmt.Sprintf("to revision %d: where the first compaction freed something members count it at a write, and full ones take no other", s.Revision)
		return s, nil
	}
	compacted, err := c.Live.Compacted(ctx, s.URL)
	if err != nil {
		return nil, fmt.Errorf("learn the last compaction of %s: %w", s.Member, err)
	}
	if c.Acting && s.Revision-1 > compacted {
		s.Revision--
	}
	s.Reason = fmt.Sprintf("to revision %d, which was current %s ago: %d revisions go", s.Revision, c.Policy.Compact.Keep, s.Revision-compacted)
	s.Detail = distance(s.Revision - compacted)
	return s, nil
}

// distance is the Detail of a compaction: how many revisions it gives up.
type distance int64

// unfallen are the full voters whose size in use has not fallen by a compaction.
func unfallen(c *remediate.Cluster, compaction *remediate.Step) (ids []uint64) {
	full, _ := tooFull(c.Seen)
	for _, m := range full {
		if m.Status.DBInUse*100 >= compaction.BeforeBytes*fellLittle {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// planDefrag plans the next defragmentation of a round: of each voter that has
// something to give. A plan cannot know what its compaction will free, and counts on
// one that goes far.
func (a *recoverSpace) planDefrag(ctx context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	view := *c
	view.Run, view.Seen = round(c.Run), believed(c.Seen)
	view.Policy.Defrag.MinReclaimable, view.Policy.Defrag.MinFragmentation = worthBytes, worthShare
	s, err := a.defrag.Plan(ctx, &view)
	if s != nil || err != nil || c.Acting {
		return s, err
	}
	i := slices.IndexFunc(view.Run.Steps, func(s *remediate.Step) bool { return s.Action == remediate.StepCompact })
	if i < 0 {
		return nil, nil
	}
	if went, ok := view.Run.Steps[i].Detail.(distance); !ok || went < farRevisions {
		return nil, nil
	}
	return a.planHalf(ctx, &view, "gives back what the compaction will have freed")
}

// planLast plans the last means before a person is asked: it defragments a full voter
// that was not defragmented since the last compaction, although by its own account
// there is nothing to give. That account may be from before the compaction, and while
// nothing may be written it can stay so.
func (a *recoverSpace) planLast(ctx context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	view := *c
	view.Run, view.Seen = round(c.Run), clone(c.Seen)
	view.Policy.Defrag.MinReclaimable, view.Policy.Defrag.MinFragmentation = worthBytes, worthShare
	return a.planHalf(ctx, &view, "its account of what is in use may be from before the compaction, and there is nothing else left to try")
}

// planHalf plans a defragmentation as though half of what full voters hold were
// unused, and gives that reason for it.
func (a *recoverSpace) planHalf(ctx context.Context, view *remediate.Cluster, reason string) (*remediate.Step, error) {
	full, _ := tooFull(view.Seen)
	for _, m := range full {
		i := slices.IndexFunc(view.Seen.Members, func(o remediate.Member) bool { return o.ID == m.ID })
		view.Seen.Members[i].Status.DBInUse = max(m.Status.DBSize/2, 1)
	}
	s, err := a.defrag.Plan(ctx, view)
	switch {
	case s == nil:
	case s.Action == remediate.StepDefrag:
		s.Estimate, s.Reason = 0, reason
	default:
		s.Reason = "the leader hands over before it is defragmented"
	}
	return s, err
}
