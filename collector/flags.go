// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
)

var flagsMetrics = []Metric{
	gauge("endpoint_flag_info", "Always 1. A setting on the command line of the endpoint's member, from its /debug/vars, or for the member on this host from the manifest that --etcd.kubeadm-manifest names. flag: auto-compaction-mode, auto-compaction-retention, quota-backend-bytes, heartbeat-interval and election-timeout (milliseconds), snapshot-count, client-cert-auth, initial-cluster-state; nothing else of the command line is read out. value: in one form, so that 5m and 5m0s are the same. Absent where the command line does not tell it for certain: a default, the environment (ETCD_*), a configuration file (--config-file: then all of them), a bare number as retention without a mode beside it.", "url", "flag", "value"),
}

const (
	// flagsPause is the least time between two looks at an endpoint's flags: they
	// change with a restart alone.
	flagsPause   = 10 * time.Minute
	flagsTimeout = 3 * time.Second
	// flagsAge is how long flags are served that could not be read again.
	flagsAge = 3 * flagsPause
)

type flags struct {
	subject
	background *Background
	manifest   func() (url string, flags map[string]string, err error)
	log        *slog.Logger

	mu    sync.Mutex
	known map[etcd.Endpoint]flagsRead
}

// flagsRead is what is known of one endpoint's flags.
type flagsRead struct {
	asked, read time.Time // the newest look, and the newest that learned something
	values      map[string]string
}

func newFlags(d Deps) Collector {
	return &flags{
		subject:    newSubject("flags", "Which flags each member runs with (GET /debug/vars, at most once in 10 minutes an endpoint, in the background).", flagsMetrics),
		background: d.Background, manifest: d.ManifestFlags, log: d.Log, known: map[etcd.Endpoint]flagsRead{},
	}
}

// Collect serves what was read before. That flags cannot be had is no failure: a client
// port may be for gRPC alone.
func (c *flags) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	b := c.batch()
	endpoints := view.Endpoints()
	c.forgetOthers(endpoints)
	answers := etcd.Each(endpoints, func(e etcd.Endpoint) map[string]string {
		if _, err := view.Status(ctx, e); err != nil {
			return nil
		}
		values, due := c.look(e, time.Now())
		if due {
			c.background.Go(func(ctx context.Context) { c.read(ctx, e, view.API(e)) })
		}
		return values
	})
	for i, values := range answers {
		for flag, value := range values {
			b.add("endpoint_flag_info", 1, endpoints[i].URL, flag, value)
		}
	}
	return b.done()
}

// look gives what is known, and whether it is time to ask; then it counts as asked.
func (c *flags) look(e etcd.Endpoint, now time.Time) (values map[string]string, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.known[e]
	if now.Sub(known.read) < flagsAge {
		values = known.values
	}
	if due = now.Sub(known.asked) >= flagsPause; due {
		known.asked = now
		c.known[e] = known
	}
	return values, due
}

// read asks the member, and then the manifest. Their words are in no log line.
func (c *flags) read(ctx context.Context, e etcd.Endpoint, api etcd.API) {
	ctx, cancel := context.WithTimeout(ctx, flagsTimeout)
	defer cancel()
	values, err := api.Flags(ctx)
	if err != nil && c.manifest != nil {
		if url, flags, unread := c.manifest(); unread == nil && url == e.URL {
			values, err = flags, nil
		}
	}
	if err != nil {
		c.log.Debug("the member's flags cannot be had", "url", e.URL, "err", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.known[e]; ok { // else it was forgotten meanwhile
		known.read, known.values = time.Now(), values
		c.known[e] = known
	}
}

func (c *flags) forgetOthers(known []etcd.Endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.known, func(e etcd.Endpoint, _ flagsRead) bool { return !slices.Contains(known, e) })
}
