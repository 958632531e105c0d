// SPDX-License-Identifier: Apache-2.0

// Package action holds the remedies, one a file: defrag, compact, prune_events,
// disarm, snapshot and recover_space.
//
// Each plans one step from the live state, so that a run that was cut short at any
// place can begin anew; looks right before it acts whether the state still is what
// the step was planned for; and says afterwards whether the step did what it was for.
package action

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// What a refusal of an action itself is filed under, beside the guards' own names.
const (
	refusedPlan     = "plan"     // the state is not what the step was, or would be, planned for
	refusedKeep     = "keep"     // no revision is old enough yet
	refusedQuota    = "quota"    // a database is too large, or it is not known whether it is
	refusedDisk     = "disk"     // too little room for a snapshot
	refusedStore    = "store"    // the store cannot take a snapshot of ours
	refusedValues   = "values"   // what is stored is no Kubernetes Event
	refusedPressure = "pressure" // the cluster suffers from what is done
)

const (
	// soon is when to look again at what passes by itself, as a leader that is not
	// elected yet.
	soon = 30 * time.Second
	// askEvery is the pause between two looks at what is waited for.
	askEvery = time.Second
)

// New makes an action for one run.
func New(name string) (remediate.Action, error) {
	switch name {
	case remediate.ActionDefrag:
		return newDefrag(), nil
	case remediate.ActionCompact:
		return newCompact(), nil
	case remediate.ActionPruneEvents:
		return newPruneEvents(), nil
	case remediate.ActionDisarm:
		return newDisarm(), nil
	case remediate.ActionSnapshot:
		return newTakeSnapshot(), nil
	case remediate.ActionRecoverSpace:
		return newRecoverSpace(), nil
	}
	return nil, fmt.Errorf("there is no action called %q", name)
}

// Refusals are the names under which actions refuse, for metrics that exist at 0
// from the start.
func Refusals() []string {
	return []string{refusedPlan, refusedKeep, refusedQuota, refusedDisk, refusedStore, refusedValues, refusedPressure}
}

// refuse makes a refusal under one of the names above. after says when it may have
// passed by itself; 0: nobody knows.
func refuse(under string, after time.Duration, format string, args ...any) error {
	return &remediate.Blocked{Guard: under, Reason: fmt.Sprintf(format, args...), After: after}
}

// taken says whether the run holds a step of that kind on that member, done or, in a
// plan, planned before. Members are told apart by id: their endpoint may be another
// the next time.
func taken(run *remediate.Run, kind string, id uint64) bool {
	return slices.ContainsFunc(run.Steps, func(s *remediate.Step) bool {
		return s.Action == kind && s.MemberID == etcd.FormatID(id) && s.Error == ""
	})
}

// sound says whether a voter takes part: it has started, and answers both its Status
// and a read that needs the quorum.
func sound(m remediate.Member) bool {
	return m.Voter() && m.Started() && m.Answers() && m.ReadErr == nil
}

// await looks at the cluster until it is as wanted, first at what was seen last. It
// gives false when that took longer than patience, or ctx ended.
func await(ctx context.Context, c *remediate.Cluster, patience time.Duration, wanted func(*remediate.Observation) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if c.Seen != nil && wanted(c.Seen) {
			return true
		}
		if !rest(ctx, askEvery) {
			return false
		}
		c.Seen = c.Live.Observe(ctx, true)
	}
}

// rest waits, and says whether ctx lives on.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// bytesText tells a size as a person would, in binary units.
func bytesText(n int64) string {
	const kilo, prefixes = 1024, "KMGTPE"
	if n < kilo {
		return fmt.Sprintf("%d B", n)
	}
	value, at := float64(n)/kilo, 0
	for ; value >= kilo && at < len(prefixes)-1; at++ {
		value /= kilo
	}
	return fmt.Sprintf("%.1f %ciB", value, prefixes[at])
}
