// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
)

var compactionMetrics = []Metric{
	gauge("cluster_revision", "Highest revision of the key space that an endpoint names."),
	gauge("cluster_compact_revision", "Revision the key space was last compacted to; 0 when never. Starts over when the revision regresses."),
}

// compaction finds the compacted revision, which no request gives: a count at a
// revision says "compacted" in 0.2 ms, so the lowest readable revision is found by
// bisection between the last known one and the head.
type compaction struct {
	subject

	mu        sync.Mutex
	clusterID uint64
	head      int64
	lowest    int64 // lowest readable revision that was found; 0: not looked yet
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
	head := candidates[0].status
	b.add("cluster_revision", float64(head.Revision))
	c.mu.Lock()
	defer c.mu.Unlock()
	if head.ClusterID != c.clusterID || head.Revision < c.head {
		c.lowest = 0
	}
	c.clusterID, c.head = head.ClusterID, head.Revision
	for _, candidate := range candidates {
		if candidate.status.Revision < c.lowest {
			b.fail(fmt.Errorf("%s: is behind the compacted revision %d", candidate.endpoint.URL, c.lowest))
			continue
		}
		lowest, err := lowestReadable(ctx, view.API(candidate.endpoint), c.lowest, candidate.status.Revision)
		if err != nil {
			view.Count(err)
			b.fail(fmt.Errorf("%s: find compacted revision: %w", candidate.endpoint.URL, err))
			continue
		}
		c.lowest = lowest
		compacted := lowest
		if lowest <= 1 {
			compacted = 0
		}
		b.add("cluster_compact_revision", float64(compacted))
		b.errs = nil // one member's answer is enough
		break
	}
	return b.done()
}

// candidate is an endpoint that may be asked, with its Status.
type candidate struct {
	endpoint etcd.Endpoint
	status   etcd.Status
}

// furthest gives at most two endpoints of the cluster that most endpoints belong
// to, the one with the highest revision first.
func furthest(ctx context.Context, view *etcd.View) []candidate {
	statuses := view.Statuses(ctx)
	size := map[uint64]int{}
	for _, s := range statuses {
		if s != nil {
			size[s.ClusterID]++
		}
	}
	var best, second *candidate
	for i, s := range statuses {
		if s == nil {
			continue
		}
		now := &candidate{view.Endpoints()[i], *s}
		switch {
		case best == nil || size[s.ClusterID] > size[best.status.ClusterID]:
			best, second = now, nil
		case s.ClusterID != best.status.ClusterID:
		case s.Revision > best.status.Revision:
			best, second = now, best
		case second == nil || s.Revision > second.status.Revision:
			second = now
		}
	}
	var found []candidate
	for _, c := range []*candidate{best, second} {
		if c != nil {
			found = append(found, *c)
		}
	}
	return found
}

// lowestReadable bisects between known, the lowest readable revision of an earlier
// scrape (0: none), and head. Where nothing was compacted since, that is one
// request.
func lowestReadable(ctx context.Context, api etcd.API, known, head int64) (int64, error) {
	low, high := max(known, 1), head // low may be compacted, high is readable
	if high < 1 {
		return 1, nil
	}
	readable, err := isReadable(ctx, api, min(low, high))
	if err != nil || readable {
		return min(low, high), err
	}
	for low++; low < high; {
		middle := low + (high-low)/2
		if readable, err = isReadable(ctx, api, middle); err != nil {
			return 0, err
		}
		if readable {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return high, nil
}

func isReadable(ctx context.Context, api etcd.API, revision int64) (bool, error) {
	err := api.Read(ctx, etcd.Read{Revision: revision})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, etcd.ErrCompacted):
		return false, nil
	default:
		return false, err
	}
}
