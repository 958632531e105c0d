// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
)

var compactionMetrics = []Metric{
	gauge("cluster_revision", "Highest revision of the key space that an endpoint names."),
	gauge("cluster_compact_revision", "Revision the key space was last compacted to; 0 when never. Starts over when the revision regresses."),
}

// proofPause is the least time between two looks at the revision before the lowest
// readable one.
const proofPause = time.Minute

// compaction finds the compacted revision, which no request gives: a count at a
// revision says "compacted" in 0.2 ms, so the lowest readable revision is found by
// bisection between the last known one and the head.
type compaction struct {
	subject

	mu        sync.Mutex
	clusterID uint64
	head      int64
	lowest    int64 // lowest readable revision that was found; 0: not looked yet
	proved    time.Time
}

func newCompaction(Deps) Collector {
	return &compaction{subject: newSubject("compaction", "How far the history of the key space was compacted (KV.Range at a revision, count only, by bisection).", compactionMetrics)}
}

func (c *compaction) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	b := c.batch()
	candidates := furthest(ctx, view)
	if len(candidates) == 0 {
		b.fail(errors.New("no endpoint answers"))
		return b.done()
	}
	b.add("cluster_revision", float64(candidates[0].status.Revision))
	known, prove := c.known(candidates[0].status, time.Now())
	lowest, err := lowestOf(ctx, view, candidates, known, prove)
	if err != nil {
		b.fail(err)
		return b.done()
	}
	c.keep(lowest)
	if lowest <= 1 { // the first revision can be read: nothing was ever compacted
		lowest = 0
	}
	b.add("cluster_compact_revision", float64(lowest))
	return b.done()
}

// known gives the lowest readable revision of an earlier scrape; 0 where there is
// none, or where this is another cluster or an earlier state of it. An earlier state
// may have outgrown the head that was seen last, so from time to time prove asks to
// look whether it still is the lowest.
func (c *compaction) known(head etcd.Status, now time.Time) (lowest int64, prove bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if head.ClusterID != c.clusterID || head.Revision < c.head {
		c.lowest = 0
	}
	c.clusterID, c.head = head.ClusterID, head.Revision
	if prove = now.Sub(c.proved) >= proofPause; prove {
		c.proved = now
	}
	return c.lowest, prove
}

func (c *compaction) keep(lowest int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lowest = lowest
}

// candidate is an endpoint that may be asked, with its Status.
type candidate struct {
	endpoint etcd.Endpoint
	status   etcd.Status
}

// furthest gives the endpoints of the cluster that most endpoints belong to, the
// one with the highest revision first.
func furthest(ctx context.Context, view *etcd.View) []candidate {
	var all []candidate
	size := map[uint64]int{}
	for i, s := range view.Statuses(ctx) {
		if s != nil {
			all = append(all, candidate{view.Endpoints()[i], *s})
			size[s.ClusterID]++
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(size[b.status.ClusterID], size[a.status.ClusterID]),
			cmp.Compare(a.status.ClusterID, b.status.ClusterID),
			cmp.Compare(b.status.Revision, a.status.Revision))
	})
	return slices.DeleteFunc(all, func(c candidate) bool { return c.status.ClusterID != all[0].status.ClusterID })
}

// lowestOf asks the first candidate, and where that fails another one.
func lowestOf(ctx context.Context, view *etcd.View, candidates []candidate, known int64, prove bool) (int64, error) {
	var errs []error
	for _, c := range candidates[:min(len(candidates), 2)] {
		if c.status.Revision < known {
			errs = append(errs, fmt.Errorf("%s: is behind the compacted revision %d", c.endpoint.URL, known))
			continue
		}
		lowest, err := etcd.LowestReadable(ctx, view.API(c.endpoint), known, c.status.Revision, prove)
		if err == nil {
			return lowest, nil
		}
		view.Count(err)
		errs = append(errs, fmt.Errorf("%s: find compacted revision: %w", c.endpoint.URL, err))
	}
	return 0, errors.Join(errs...)
}
