// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// corrupt refuses everything, for good, while the alarm CORRUPT is raised: members
// hold different data, and whatever is done may spread or hide it. NOSPACE passes.
type corrupt struct{}

func (corrupt) Name() string { return "corrupt" }

func (corrupt) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	seen, err := observed(c)
	if err != nil {
		return err
	}
	alarms, answered := seen.Alarms, false
	for _, m := range seen.Members {
		if m.Answers() {
			told, _ := etcd.ParseAlarms(m.Status.Errors)
			alarms, answered = append(slices.Clip(alarms), told...), true
		}
	}
	for _, a := range alarms {
		switch a.Type {
		case etcd.AlarmNoSpace:
		case etcd.AlarmCorrupt:
			return &remediate.Blocked{Reason: fmt.Sprintf("the alarm CORRUPT is raised for %s: a person must find out which data is right", who(seen, a.MemberID)), Lasting: true}
		default:
			return remediate.Refuse("an alarm that this program does not know is raised: %s", plain(a.Type))
		}
	}
	switch {
	case seen.AlarmsErr != nil:
		return fmt.Errorf("the alarms are not known: %s", plain(seen.AlarmsErr.Error()))
	case !answered:
		return errors.New("the alarms are not known: no member answers")
	}
	return nil
}

// who is the member with that id. etcd leaves the id out where it could not tell.
func who(seen *remediate.Observation, id uint64) string {
	if m, ok := seen.Member(id); ok {
		return name(m)
	}
	if id == 0 {
		return "a member that etcd could not name"
	}
	return "member " + etcd.FormatID(id)
}
