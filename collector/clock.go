// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/clockskew"
	"github.com/etcdops/etcdops/internal/etcd"
)

var clockMetrics = []Metric{
	gauge("endpoint_clock_skew_seconds", "The member's clock minus the exporter's; positive: the member is ahead. Estimated from the Date headers of its HTTP answers.", "url"),
	gauge("endpoint_clock_skew_error_seconds", "Half-width of the interval that the true skew lies in.", "url"),
	gauge("endpoint_clock_source", "Always 1. source: client_port (the endpoint itself), metrics_url (the one configured in metrics_urls).", "url", "source"),
}

const (
	// samplePause is the least time between two samples of an endpoint whose skew
	// is known to wideError; before that, one a second is allowed.
	samplePause     = 5 * time.Second
	samplePauseWide = time.Second
	wideError       = 50 * time.Millisecond
	sampleTimeout   = 3 * time.Second
	// missedSamples in a row make an estimate too old to be served.
	missedSamples = 3
	// jitter is how much earlier than the pause a periodic scrape may come.
	jitter = 50 * time.Millisecond
)

type clock struct {
	subject
	background *Background

	mu      sync.Mutex
	keepers map[etcd.Endpoint]*timekeeper
}

func newClock(d Deps) Collector {
	return &clock{
		subject:    newSubject("clock", "How far each member's clock is from the exporter's, sampled in the background.", clockMetrics),
		background: d.Background, keepers: map[etcd.Endpoint]*timekeeper{},
	}
}

// timekeeper holds what is known of one endpoint's clock.
type timekeeper struct {
	mu        sync.Mutex
	estimator clockskew.Estimator
	source    string
	scheduled time.Time // when the newest sample was asked for
	busy      bool
	missed    int
	err       error // of the newest sample
}

func (c *clock) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	b := c.batch()
	endpoints := view.Endpoints()
	c.forgetOthers(endpoints)
	keepers := etcd.Each(endpoints, func(e etcd.Endpoint) *timekeeper {
		if _, err := view.Status(ctx, e); err != nil {
			return nil
		}
		keeper := c.keeper(e)
		c.sample(ctx, keeper, view.API(e))
		return keeper
	})
	for i, keeper := range keepers {
		if keeper == nil {
			continue
		}
		url := endpoints[i].URL
		skew, width, source, err := keeper.reading(time.Now())
		if err != nil {
			b.fail(fmt.Errorf("%s: %w", url, err))
			continue
		}
		if source == "" { // the first sample is still on its way
			continue
		}
		b.add("endpoint_clock_skew_seconds", skew.Seconds(), url)
		b.add("endpoint_clock_skew_error_seconds", width.Seconds(), url)
		b.add("endpoint_clock_source", 1, url, source)
	}
	return b.done()
}

// sample takes the first sample at once, so that the first scrape has a figure,
// and schedules each later one for the moment at which it tells the most.
func (c *clock) sample(ctx context.Context, k *timekeeper, api etcd.API) {
	now := time.Now()
	k.mu.Lock()
	first, due := k.scheduled.IsZero(), !k.busy && now.Sub(k.scheduled) >= k.pause(now)-jitter
	if due {
		k.busy, k.scheduled = true, now
	}
	at := k.estimator.Next(now)
	k.mu.Unlock()
	switch {
	case !due:
	case first:
		if taken := k.take(ctx, api); taken > 0 {
			// A second look a little later makes up for the time the first one
			// took, so that the error starts at half a second and not above.
			wait(ctx, max(2*taken, 5*time.Millisecond))
			k.take(ctx, api)
		}
		k.idle()
	default:
		c.background.Go(func(ctx context.Context) {
			defer k.idle()
			if wait(ctx, time.Until(at)) {
				k.take(ctx, api)
			}
		})
	}
}

func (c *clock) keeper(e etcd.Endpoint) *timekeeper {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keepers[e] == nil {
		c.keepers[e] = &timekeeper{}
	}
	return c.keepers[e]
}

func (c *clock) forgetOthers(known []etcd.Endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.keepers, func(e etcd.Endpoint, _ *timekeeper) bool { return !slices.Contains(known, e) })
}

// take asks the endpoint for the time and gives how long that took, 0 where it failed.
func (k *timekeeper) take(ctx context.Context, api etcd.API) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	at, err := api.ServerTime(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		err = k.addLocked(at)
	}
	if k.err = err; err != nil {
		k.missed++
		return 0
	}
	k.missed = 0
	return at.Received.Sub(at.Sent)
}

func (k *timekeeper) addLocked(at etcd.ServerTime) error {
	server, err := clockskew.ParseDate(at.Date)
	if err != nil {
		return err
	}
	if err := k.estimator.Add(clockskew.Sample{Sent: at.Sent, Received: at.Received, Server: server}); err != nil {
		return err
	}
	k.source = at.Source
	return nil
}

func (k *timekeeper) idle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy = false
}

func (k *timekeeper) pause(now time.Time) time.Duration {
	if _, width, ok := k.estimator.Estimate(now); ok && width <= wideError || k.missed > 0 {
		return samplePause
	}
	return samplePauseWide
}

// reading is the present estimate. source is empty before the first sample; the
// error tells why there is no figure.
func (k *timekeeper) reading(now time.Time) (skew, width time.Duration, source string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	skew, width, ok := k.estimator.Estimate(now)
	if k.missed >= missedSamples || k.err != nil && !ok {
		return 0, 0, "", fmt.Errorf("no clock source: %w", k.err)
	}
	if !ok {
		return 0, 0, "", nil
	}
	return skew, width, k.source, nil
}

// wait gives false where ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
