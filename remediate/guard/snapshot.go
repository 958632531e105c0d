// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/internal/store/judge"
	"github.com/etcdops/etcdops/remediate"
)

const (
	// judgeTime bounds how long stores are listed and files read before one step.
	judgeTime = 10 * time.Minute
	// listAge is for how long a store's list is good: a prune has thousands of steps.
	listAge = 30 * time.Second
	// ahead is how far the time of a file may lie ahead of our clock.
	ahead = time.Minute
)

// snapshot refuses to delete keys without a sound and young snapshot to get them
// back from (rule 8).
type snapshot struct{}

func (snapshot) Name() string { return "snapshot" }

func (snapshot) Check(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	seen, err := observed(c)
	if err != nil {
		return err
	}
	if c.Policy.RequireSnapshot <= 0 || !concerns(c, s, remediate.StepPrune) {
		return nil
	}
	at, err := now(c)
	if err != nil {
		return err
	}
	if taken(c, at) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, judgeTime)
	defer cancel()
	why := "the cluster has no store of snapshots"
	for _, b := range c.Backups {
		if why = unfit(ctx, c, b, seen.Revision(), at); why == "" {
			return nil
		}
		why = plain(b.Name) + ": " + why
	}
	return remediate.Refuse("no sound snapshot younger than %s: %s", span(c.Policy.RequireSnapshot), why)
}

// taken says whether this very run has taken a snapshot; a plan counts one that it
// would take.
func taken(c *remediate.Cluster, at time.Time) bool {
	if c.Run == nil {
		return false
	}
	for _, s := range c.Run.Steps {
		planned := !c.Acting && s.StartedAt.IsZero() && s.Error == ""
		done := s.Done() && !s.StartedAt.IsZero() && s.File != "" && at.Sub(s.FinishedAt) < c.Policy.RequireSnapshot
		if s.Action == remediate.StepSnapshot && (planned || done) {
			return true
		}
	}
	return false
}

// unfit says why no snapshot of a store will do; empty: one does.
func unfit(ctx context.Context, c *remediate.Cluster, b remediate.Backup, head int64, at time.Time) string {
	if b.Judge == nil {
		return "its snapshots are not judged"
	}
	r := b.Judge.Report()
	fresh := r.Err == nil && at.Sub(r.Checked) < listAge && !at.Before(r.Checked)
	if fresh && judged(ctx, c, b, head, at) == "" {
		return ""
	}
	if err := b.Judge.Check(ctx); err != nil { // one that came since the last list may do
		return plain(err.Error())
	}
	return judged(ctx, c, b, head, at)
}

// judged is unfit by the list that the judge has.
func judged(ctx context.Context, c *remediate.Cluster, b remediate.Backup, head int64, at time.Time) string {
	for more := true; more && ctx.Err() == nil; {
		more = b.Judge.Next(ctx)
	}
	if ctx.Err() != nil {
		return fmt.Sprintf("its snapshots could not be judged within %s", span(judgeTime))
	}
	r := b.Judge.Report()
	switch {
	case r.Err != nil:
		return plain(r.Err.Error())
	case r.Sound == nil && len(r.Problems) > 0:
		return fmt.Sprintf("none is known to be sound (%s)", plain(r.Problems[0].Error()))
	case r.Sound == nil || r.Sound.Verdict == nil || !r.Sound.Verdict.Sound:
		return "none is known to be sound"
	}
	return tooOld(c, r.Sound, head, at)
}

// tooOld says why a sound snapshot is not young, or not of this history. A copy has a
// young time and old keys: where the file was looked into, its revision must not be
// below the one that was current so long ago.
func tooOld(c *remediate.Cluster, f *judge.File, head int64, at time.Time) string {
	limit := c.Policy.RequireSnapshot
	switch age := at.Sub(f.Time); {
	case age < -ahead:
		return fmt.Sprintf("the time of %s lies ahead", plain(f.Name))
	case age >= limit:
		return fmt.Sprintf("the newest sound one, %s, is %s old", plain(f.Name), span(age))
	}
	if !f.Verdict.Walked {
		return ""
	}
	holds := f.Verdict.Contents.StartRevision // the newest record may have been compacted away
	if holds > head {
		return fmt.Sprintf("%s holds revision %d, and the cluster is at %d: it is not of this cluster as it is now", plain(f.Name), holds, head)
	}
	if c.History == nil {
		return ""
	}
	if was, known := c.History.RevisionAt(at.Add(-limit)); known && holds < was {
		return fmt.Sprintf("%s ends at revision %d, which was passed more than %s ago (%d): it is a copy of an older one, or of another cluster", plain(f.Name), holds, span(limit), was)
	}
	return ""
}
