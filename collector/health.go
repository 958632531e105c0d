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
		for i := range checks {
			wg.Go(func() { checks[i].took, checks[i].err = view.Check(ctx, e, i == 0) })
		}
		wg.Go(func() {
			_, err := view.Status(ctx, e)
			up = err == nil
		})
		wg.Wait()
		return answer{up, checks}
	})
	for i, e := range view.Endpoints() {
		for _, check := range answers[i].checks {
			if errors.Is(check.err, etcd.ErrLearner) {
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
