// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

const (
	// A defragmentation of 2 GB took 13 s on a common disk; a slow one is ten times
	// slower, and a client that gives up does not end the member's work.
	defragTime      = 60 * time.Second
	defragTimePerGB = 10 * time.Second // for each 10^9 bytes of the database

	moveTime = 15 * time.Second // for the request; etcd itself gives up after some 7 s
	moved    = 10 * time.Second // until the members agree on the new leader
	back     = 30 * time.Second // until a defragmented member answers again

	// worked is the least share of the estimate, as a divisor, by which a database
	// must have become smaller.
	worked = 10
	// slack is what a fresh database holds unused, in bytes, and writes may add.
	slack = 1 << 20
)

// defrag rewrites the databases of voters that are mostly empty: one at a time,
// followers first, the leader last and only after it handed over.
type defrag struct{}

func newDefrag() *defrag { return &defrag{} }

// handover is the Detail of a step that moves the leadership.
type handover struct{ target uint64 }

// ownDefrag is the Detail of a defragmentation.
type ownDefrag struct{ leads bool }

// Name implements remediate.Action.
func (*defrag) Name() string { return remediate.ActionDefrag }

// Plan implements remediate.Action.
func (a *defrag) Plan(_ context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	needy := a.needy(c)
	if len(needy) == 0 {
		return nil, nil
	}
	leader, ok := c.Seen.Leader()
	if !ok {
		return nil, refuse(refusedPlan, soon, "the voters name no common leader, and it must be the last")
	}
	for _, m := range needy {
		if m.ID != leader.ID {
			return defragStep(m, false, "%s", spoil(m)), nil
		}
	}
	return a.planLeader(c, leader)
}

// needy are the members that are worth it and were not done in this run, most
// reclaimable first.
func (*defrag) needy(c *remediate.Cluster) []remediate.Member {
	needy := slices.DeleteFunc(c.Seen.Voters(), func(m remediate.Member) bool {
		return !m.Started() || !m.Answers() || taken(c.Run, remediate.StepDefrag, m.ID) || !worthIt(m, c.Policy.Defrag)
	})
	slices.SortStableFunc(needy, func(a, b remediate.Member) int { return cmp.Compare(b.Reclaimable(), a.Reclaimable()) })
	return needy
}

// worthIt says whether a member's database holds enough that is unused. A size in
// use of zero is none that etcd reports: it is not known then.
func worthIt(m remediate.Member, d remediate.Defrag) bool {
	return m.Status.DBInUse > 0 && m.Reclaimable() > 0 &&
		m.Reclaimable() >= d.MinReclaimable && m.Fragmentation() >= d.MinFragmentation
}

// planLeader plans for the leader, once no follower needs anything.
func (*defrag) planLeader(c *remediate.Cluster, leader remediate.Member) (*remediate.Step, error) {
	switch {
	case !c.Policy.Defrag.MoveLeader:
		return defragStep(leader, true, "%s; it leads, and move_leader is off", spoil(leader)), nil
	case len(c.Seen.Voters()) == 1:
		return defragStep(leader, true, "%s; it is the only voter: nothing is served meanwhile", spoil(leader)), nil
	case taken(c.Run, remediate.StepMoveLeader, leader.ID) && !c.Acting:
		return defragStep(leader, false, "%s; it follows by then", spoil(leader)), nil
	case taken(c.Run, remediate.StepMoveLeader, leader.ID):
		return nil, refuse(refusedPlan, soon, "%s leads again although it handed over in this run", leader.Label())
	}
	target, ok := successor(c, leader)
	if !ok {
		return nil, refuse(refusedPlan, soon, "no other voter is healthy, so %s cannot hand over the leadership", leader.Label())
	}
	s := remediate.MemberStep(remediate.StepMoveLeader, leader,
		"leadership goes to %s first: %s has %s", target.Label(), leader.Label(), spoil(leader))
	s.BeforeBytes, s.Detail = 0, handover{target.ID}
	return s, nil
}

// successor chooses who is to lead: no voter in need is left but the leader, so every
// other one will do; one that was defragmented by this run before any other, then the
// one that answers fastest.
func successor(c *remediate.Cluster, leader remediate.Member) (remediate.Member, bool) {
	others := slices.DeleteFunc(c.Seen.Voters(), func(m remediate.Member) bool { return m.ID == leader.ID || !sound(m) })
	if len(others) == 0 {
		return remediate.Member{}, false
	}
	rank := func(m remediate.Member) int {
		if taken(c.Run, remediate.StepDefrag, m.ID) {
			return 0
		}
		return 1
	}
	return slices.MinFunc(others, func(a, b remediate.Member) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.ReadTook, b.ReadTook))
	}), true
}

func defragStep(m remediate.Member, leads bool, format string, args ...any) *remediate.Step {
	s := remediate.MemberStep(remediate.StepDefrag, m, format, args...)
	s.Estimate, s.Detail = m.Reclaimable(), ownDefrag{leads}
	return s
}

// spoil tells what there is to gain.
func spoil(m remediate.Member) string {
	return fmt.Sprintf("%s of %s reclaimable (%.0f %%)", bytesText(m.Reclaimable()), bytesText(m.Status.DBSize), 100*m.Fragmentation())
}

// Apply implements remediate.Action.
func (a *defrag) Apply(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	switch detail := s.Detail.(type) {
	case handover:
		return moveLeader(ctx, c, s, detail.target)
	case ownDefrag:
		return defragment(ctx, c, s, detail.leads)
	}
	return fmt.Errorf("step %s was not planned by this action", s.Action)
}

// defragment does one member. Once it has begun it is not given up when ctx ends: the
// member would go on, and nobody would wait for it.
func defragment(ctx context.Context, c *remediate.Cluster, s *remediate.Step, leads bool) error {
	seen := c.Live.Observe(ctx, true)
	if ctx.Err() != nil {
		return fmt.Errorf("defragment %s: %w", s.Member, ctx.Err())
	}
	m, err := unchanged(seen, s, leads)
	if err != nil {
		return err
	}
	if other := absent(seen, m.ID); other != "" {
		return refuse(refusedPlan, soon, "%s: one member at a time", other)
	}
	s.BeforeBytes, s.Estimate = m.Status.DBSize, m.Reclaimable()
	limit := defragTimeout(m.Status.DBSize)
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err = c.Live.Defragment(call, s.URL)
	if err != nil && call.Err() != nil {
		return fmt.Errorf("defragment %s: no answer within %s; the member may still be at it, and nothing else begins until it is done: %w",
			s.Member, limit, errors.Join(context.DeadlineExceeded, err))
	}
	if err != nil {
		return fmt.Errorf("defragment %s: %w", s.Member, err)
	}
	return nil
}

// defragTimeout is how long a client waits for a database of that many bytes.
func defragTimeout(size int64) time.Duration {
	return defragTime + time.Duration(float64(size)/1e9*float64(defragTimePerGB))
}

// unchanged gives the member of a step, if everything about it still is as it was
// when the step was planned.
func unchanged(seen *remediate.Observation, s *remediate.Step, leads bool) (remediate.Member, error) {
	m, ok := seen.MemberAt(s.URL)
	switch leader, agreed := seen.Leader(); {
	case !ok:
		return m, refuse(refusedPlan, soon, "%s does not answer as a member any more", s.URL)
	case etcd.FormatID(m.ID) != s.MemberID:
		return m, refuse(refusedPlan, soon, "%s is now %s (%s), and was %s when the step was planned", s.URL, m.Label(), etcd.FormatID(m.ID), s.MemberID)
	case !sound(m):
		return m, refuse(refusedPlan, soon, "%s is not a voter any more that answers its Status and a read", m.Label())
	case !agreed:
		return m, refuse(refusedPlan, soon, "the voters name no common leader any more")
	case (leader.ID == m.ID) != leads:
		return m, refuse(refusedPlan, soon, "%s is the leader now, which the step was not planned for", leader.Label())
	}
	return m, nil
}

// absent tells of a voter besides that one that does not take part at present.
func absent(seen *remediate.Observation, but uint64) string {
	for _, m := range seen.Members {
		switch {
		case m.ID == but:
		case m.Vitals.DefragInflight:
			return m.Label() + " is being defragmented"
		case m.Voter() && !sound(m):
			return m.Label() + " does not answer"
		}
	}
	return ""
}

// moveLeader hands the leadership over. Like a defragmentation it is not given up in
// the middle: the outcome must be known.
func moveLeader(ctx context.Context, c *remediate.Cluster, s *remediate.Step, target uint64) error {
	seen := c.Live.Observe(ctx, true)
	if ctx.Err() != nil {
		return fmt.Errorf("move leadership from %s: %w", s.Member, ctx.Err())
	}
	if _, err := unchanged(seen, s, true); err != nil {
		return err
	}
	to, ok := seen.Member(target)
	if !ok || !sound(to) {
		return refuse(refusedPlan, soon, "%s is not a healthy voter any more, and was to lead", etcd.FormatID(target))
	}
	c.History.Moved(target)
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), moveTime)
	defer cancel()
	if err := c.Live.MoveLeader(call, s.URL, target); err != nil {
		return fmt.Errorf("move leadership from %s to %s: %w", s.Member, to.Label(), err)
	}
	return nil
}

// Verify implements remediate.Action.
func (a *defrag) Verify(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	switch detail := s.Detail.(type) {
	case handover:
		return verifyMove(ctx, c, s, detail.target)
	default:
		return verifyDefrag(ctx, c, s)
	}
}

func verifyMove(ctx context.Context, c *remediate.Cluster, s *remediate.Step, target uint64) error {
	if !await(ctx, c, moved, func(o *remediate.Observation) bool {
		leader, ok := o.Leader()
		return ok && leader.ID == target
	}) {
		return fmt.Errorf("%s was told to hand over the leadership to %s, and %s later the voters do not name that one as their leader",
			s.Member, etcd.FormatID(target), moved)
	}
	return nil
}

func verifyDefrag(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	var m remediate.Member
	if !await(ctx, c, back, func(o *remediate.Observation) bool {
		m, _ = o.MemberAt(s.URL)
		return etcd.FormatID(m.ID) == s.MemberID && sound(m)
	}) {
		return fmt.Errorf("%s does not answer its Status and a read within %s of its defragmentation", s.Member, back)
	}
	s.AfterBytes = m.Status.DBSize
	gained := s.BeforeBytes - s.AfterBytes
	tight := m.Reclaimable() <= max(slack, m.Status.DBInUse/worked)
	if !tight && gained < s.Estimate/worked {
		return fmt.Errorf("the database of %s has %s after its defragmentation and had %s before; %s were to be had, so something is wrong with it",
			s.Member, bytesText(s.AfterBytes), bytesText(s.BeforeBytes), bytesText(s.Estimate))
	}
	return nil
}
