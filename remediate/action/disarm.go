// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

const (
	// fullShare of the quota, in percent, is what no database may reach: above it the
	// next writes would raise the alarm again.
	fullShare = 90

	disarmTime = 15 * time.Second // for the request
	writeTime  = 10 * time.Second
	disarmed   = 10 * time.Second // until every member has heard of it
)

// disarm takes the alarm NOSPACE off one member after the other. It has no way to
// take off CORRUPT, or all alarms at once.
type disarm struct{}

func newDisarm() *disarm { return &disarm{} }

// alarmed is the Detail of a step: the member whose alarm it is.
type alarmed struct{ member uint64 }

// Name implements remediate.Action.
func (*disarm) Name() string { return remediate.ActionDisarm }

// Plan implements remediate.Action.
func (*disarm) Plan(_ context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	if c.Seen.AlarmsErr != nil {
		return nil, fmt.Errorf("learn the alarms: %w", c.Seen.AlarmsErr)
	}
	for _, alarm := range c.Seen.Alarms {
		switch {
		case alarm.Type != etcd.AlarmNoSpace:
			continue
		case alarm.MemberID == 0:
			return nil, refuse(refusedPlan, 0, "an alarm NOSPACE names no member, and alarms are disarmed one member at a time")
		case !taken(c.Run, remediate.StepDisarm, alarm.MemberID):
			return planDisarm(c, alarm.MemberID)
		case c.Acting:
			return nil, fmt.Errorf("the alarm NOSPACE of %s is raised again after it was disarmed: something fills the database", labelOf(c.Seen, alarm.MemberID))
		}
	}
	return nil, nil
}

func planDisarm(c *remediate.Cluster, member uint64) (*remediate.Step, error) {
	if err := roomy(c.Seen); err != nil {
		return nil, err
	}
	by, ok := c.Seen.Reader()
	if !ok {
		return nil, refuse(refusedPlan, soon, "no voter answers its Status and a read")
	}
	largest := fullest(c.Seen)
	return &remediate.Step{
		Action: remediate.StepDisarm, URL: by.URL, Member: labelOf(c.Seen, member), MemberID: etcd.FormatID(member),
		Reason: fmt.Sprintf("the alarm NOSPACE of %s: the largest database, of %s, is %s of the quota of %s",
			labelOf(c.Seen, member), largest.Label(), percent(largest.Status.DBSize, c.Seen.Quota()), bytesText(c.Seen.Quota())),
		Detail: alarmed{member},
	}, nil
}

// roomy refuses unless every database, a learner's too, is known to be well below the
// lowest quota.
func roomy(seen *remediate.Observation) error {
	quota := seen.Quota()
	if quota <= 0 {
		return refuse(refusedQuota, 0, "the quota of a voter is not known, so nobody can tell whether there is room again")
	}
	for _, m := range seen.Members {
		switch {
		case !m.Answers():
			return refuse(refusedQuota, soon, "%s does not answer, so nobody can tell whether its database has room", m.Label())
		case isFull(m, quota):
			return refuse(refusedQuota, 0, "the database of %s is %s of the quota of %s: below %d %% the alarm may go",
				m.Label(), percent(m.Status.DBSize, quota), bytesText(quota), fullShare)
		}
	}
	return nil
}

// isFull says whether a member's database has reached the share of the quota (in
// bytes, more than 0) at which no alarm may be disarmed. No size is no answer.
func isFull(m remediate.Member, quota int64) bool {
	return m.Status.DBSize <= 0 || float64(m.Status.DBSize)*100 >= float64(quota)*fullShare
}

// percent is the share of the quota for a person, never rounded down.
func percent(size, quota int64) string {
	return fmt.Sprintf("%.0f %%", math.Ceil(float64(size)/float64(quota)*100))
}

// fullest gives the member with the largest database.
func fullest(seen *remediate.Observation) remediate.Member {
	var largest remediate.Member
	for _, m := range seen.Members {
		if m.Status.DBSize >= largest.Status.DBSize {
			largest = m
		}
	}
	return largest
}

// labelOf names a member that may be in the list no more: its alarm stays when it is
// removed.
func labelOf(seen *remediate.Observation, member uint64) string {
	if m, ok := seen.Member(member); ok {
		return m.Label()
	}
	return etcd.FormatID(member)
}

// Apply implements remediate.Action.
func (*disarm) Apply(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	detail, ok := s.Detail.(alarmed)
	if !ok {
		return fmt.Errorf("step %s was not planned by this action", s.Action)
	}
	seen := c.Live.Observe(ctx, true)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("disarm %s: %w", s.Member, ctx.Err())
	case seen.AlarmsErr != nil:
		return fmt.Errorf("learn the alarms: %w", seen.AlarmsErr)
	case !isAlarmed(seen, detail.member):
		return nil // it is gone already
	}
	if err := roomy(seen); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), disarmTime)
	defer cancel()
	if err := c.Live.Disarm(call, s.URL, detail.member); err != nil {
		return fmt.Errorf("disarm NOSPACE of %s: %w", s.Member, err)
	}
	return nil
}

// Verify implements remediate.Action.
func (*disarm) Verify(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	detail, ok := s.Detail.(alarmed)
	if !ok {
		return fmt.Errorf("step %s was not planned by this action", s.Action)
	}
	if !await(ctx, c, disarmed, func(o *remediate.Observation) bool {
		return o.AlarmsErr == nil && !isAlarmed(o, detail.member)
	}) {
		if c.Seen.AlarmsErr != nil {
			return fmt.Errorf("learn the alarms: %w", c.Seen.AlarmsErr)
		}
		return fmt.Errorf("the alarm NOSPACE of %s is still raised", s.Member)
	}
	if c.Seen.HasAlarm(etcd.AlarmNoSpace) {
		return nil // another member's is next
	}
	call, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	if err := c.Live.TryWrite(call, s.URL); err != nil {
		return fmt.Errorf("no alarm NOSPACE is left, and writes are refused all the same: %w", err)
	}
	return nil
}

// isAlarmed says whether that member's alarm NOSPACE is raised.
func isAlarmed(seen *remediate.Observation, member uint64) bool {
	for _, alarm := range seen.Alarms {
		if alarm.Type == etcd.AlarmNoSpace && alarm.MemberID == member {
			return true
		}
	}
	return false
}
