// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

const (
	compactTime = 30 * time.Second // for the request, which does not wait for the work
	// quiet is how long no member's size in use may have fallen for the work that
	// goes on after a compaction to count as done, and maxSettle bounds the wait: on
	// 3.6 the size of some members does not fall before their next write.
	quiet      = 5 * time.Second
	maxSettle  = 2 * time.Minute
	statusTime = 2 * time.Second // for one member's Status while we wait
)

// compact gives up history that is older than Policy.Compact.Keep.
type compact struct {
	// past is the last delete of a prune, which a compaction must pass to free
	// anything: only then may the head itself be compacted, once it is old enough.
	past int64
}

func newCompact() *compact { return &compact{} }

// Name implements remediate.Action.
func (*compact) Name() string { return remediate.ActionCompact }

// Plan implements remediate.Action.
func (a *compact) Plan(ctx context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	if c.Run.Has(remediate.StepCompact, "") {
		return nil, nil
	}
	return a.next(ctx, c)
}

// next plans a compaction from the live state, whatever the run did before; nil:
// nothing that is old enough is left.
func (a *compact) next(ctx context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	keep := c.Policy.Compact.Keep
	old, ok := c.History.RevisionAt(c.Now().Add(-keep))
	if !ok {
		return nil, tooYoung(c, keep)
	}
	reader, ok := c.Seen.Reader()
	if !ok {
		return nil, refuse(refusedPlan, soon, "no voter answers its Status and a read")
	}
	head := c.Seen.Revision()
	if old > head {
		return nil, refuse(refusedKeep, soon, "revision %d was seen before and the cluster is at %d: it is another, or was restored", old, head)
	}
	to := min(old, max(head-1, a.past))
	compacted, err := c.Live.Compacted(ctx, reader.URL)
	if err != nil {
		return nil, fmt.Errorf("learn the last compaction of %s: %w", reader.Label(), err)
	}
	if to <= compacted {
		return nil, nil
	}
	s := remediate.MemberStep(remediate.StepCompact, reader,
		"to revision %d, which was current %s ago: %d revisions go, %d stay", to, keep, to-compacted, head-to)
	s.Revision, s.BeforeBytes = to, largestInUse(c.Seen)
	return s, nil
}

// tooYoung says when the first sample of the revision clock will be old enough.
func tooYoung(c *remediate.Cluster, keep time.Duration) error {
	at, _, ok := c.History.FirstSample()
	if !ok {
		return refuse(refusedKeep, keep, "no revision has been seen yet, and one that was current %s ago is needed", keep)
	}
	seen := c.Now().Sub(at)
	return refuse(refusedKeep, max(keep-seen, 0)+time.Second,
		"the cluster's revision has been watched for %s, and one that was current %s ago is needed: it is never guessed", seen.Round(time.Second), keep)
}

// Apply implements remediate.Action. When ctx ends it does not wait any longer for
// the work that etcd does on its own.
func (*compact) Apply(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), compactTime)
	defer cancel()
	err := c.Live.Compact(call, s.URL, s.Revision)
	if err != nil && !errors.Is(err, etcd.ErrCompacted) { // somebody else went as far meanwhile
		return fmt.Errorf("compact to revision %d at %s: %w", s.Revision, s.Member, err)
	}
	settle(ctx, c, s)
	return nil
}

// settle waits until the sizes in use fall no more.
func settle(ctx context.Context, c *remediate.Cluster, s *remediate.Step) {
	lowest := map[string]int64{}
	begun, fell := time.Now(), time.Now()
	for {
		for url, size := range inUse(ctx, c) {
			if low, known := lowest[url]; !known || size < low {
				lowest[url], fell = size, time.Now()
			}
		}
		took := time.Since(begun)
		c.Progress(s, int64(took.Seconds()), int64(maxSettle.Seconds()))
		if time.Since(fell) >= quiet || took >= maxSettle || !rest(ctx, askEvery) {
			return
		}
	}
}

// inUse asks all voters side by side; who does not answer is left out.
func inUse(ctx context.Context, c *remediate.Cluster) map[string]int64 {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	var (
		mu      sync.Mutex
		sizes   = map[string]int64{}
		waiting sync.WaitGroup
	)
	for _, m := range c.Seen.Voters() {
		api := c.Live.Scan(m.URL)
		if !m.Answers() || api == nil {
			continue
		}
		waiting.Go(func() {
			status, err := api.Status(ctx)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			sizes[m.URL] = status.DBInUse
		})
	}
	waiting.Wait()
	return sizes
}

// Verify implements remediate.Action. That no size fell is no error: on 3.6 it may
// only do so at a member's next write.
func (*compact) Verify(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	compacted, err := c.Live.Compacted(ctx, s.URL)
	if err != nil {
		return fmt.Errorf("learn the last compaction of %s: %w", s.Member, err)
	}
	if compacted < s.Revision {
		return fmt.Errorf("%s says that it is compacted to revision %d, and was told to compact to %d", s.Member, compacted, s.Revision)
	}
	s.AfterBytes = largestInUse(c.Seen)
	return nil
}

// largestInUse is the most that a voter's database holds, in bytes.
func largestInUse(o *remediate.Observation) int64 {
	var largest int64
	for _, m := range o.Voters() {
		if m.Answers() {
			largest = max(largest, m.Status.DBInUse)
		}
	}
	return largest
}
