// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
)

var healthMetrics = []Metric{
	gauge("endpoint_healthy", "1 when the endpoint answered a read of the probe key in time. check: linearizable_read (through the leader and a quorum; a learner has none), serializable_read (from the member itself). A refused permission on the key counts as healthy.", "url", "check"),
	gauge("endpoint_check_duration_seconds", "How long that read took; of one that failed, until it did.", "url", "check"),
}

type health struct{ subject }

func newHealth(Deps) Collector {
	return &health{newSubject("health", "A read through each endpoint, linearizable and serializable (KV.Range, count only).", healthMetrics)}
}

// check is one read of the probe key.
type check struct {
	name string
	took time.Duration
	err  error
}

// learnersOf tells the endpoints whose member was a learner when it last answered:
// one that is down has no linearizable read to fail.
func learnersOf(view *etcd.View) map[string]bool {
	list, _ := view.LastMembers()
	learners := map[string]bool{}
	for url, id := range view.NamedBy() {
		for _, m := range list.Members {
			if m.ID == id && m.Learner {
				learners[url] = true
			}
		}
	}
	return learners
}

func (c *health) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	b := c.batch()
	type answer struct {
		up     bool
		checks []check
	}
	answers := etcd.Each(view.Endpoints(), func(e etcd.Endpoint) answer {
		checks := []check{{name: "linearizable_read"}, {name: "serializable_read"}}
		var up bool
		var wg sync.WaitGroup
		start := time.Now()
		for i := range checks {
			wg.Go(func() {
				checks[i].took, checks[i].err = view.Check(ctx, e, i == 0)
				if checks[i].took == 0 { // it was waited for in vain
					checks[i].took = time.Since(start)
				}
			})
		}
		wg.Go(func() {
			_, err := view.Status(ctx, e)
			up = err == nil
		})
		wg.Wait()
		return answer{up, checks}
	})
	learners := learnersOf(view)
	for i, e := range view.Endpoints() {
		for _, check := range answers[i].checks {
			refused := errors.Is(check.err, etcd.ErrLearner)
			if linearizable := check.name == "linearizable_read"; linearizable && (refused || !answers[i].up && learners[e.URL]) {
				continue
			}
			b.add("endpoint_healthy", number(answers[i].up && check.err == nil), e.URL, check.name)
			if answers[i].up {
				b.add("endpoint_check_duration_seconds", check.took.Seconds(), e.URL, check.name)
			}
		}
	}
	return b.done()
}
