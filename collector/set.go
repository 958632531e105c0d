// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/etcdops/etcdops/internal/etcd"
)

// Set is the collectors of one cluster.
type Set struct {
	cluster    *etcd.Cluster
	collectors []Collector
	log        *slog.Logger
	background *Background
	places     *semaphore.Weighted
	own        subject
	rounds     singleflight.Group
	last       atomic.Pointer[Result]

	mu      sync.Mutex
	failing map[string]failure // by collector
}

// ErrBusy says that too many rounds were under way for the whole time, ErrClosed
// that the cluster is not configured any more.
var (
	ErrBusy   = errors.New("too many scrapes are running already")
	ErrClosed = errors.New("the cluster is not configured any more")
)

// Result is what a scrape of all collectors learned.
type Result struct {
	Families []*dto.MetricFamily
	At       time.Time
	Took     time.Duration
}

// NewSet makes the collectors that enabled names. places bounds the rounds that
// all sets together may have under way.
func NewSet(cluster *etcd.Cluster, enabled []string, deps Deps, places *semaphore.Weighted, log *slog.Logger) *Set {
	s := &Set{cluster: cluster, log: log, background: deps.Background, places: places, own: newSubject("exporter", "", exporterMetrics), failing: map[string]failure{}}
	for _, choice := range All() {
		if !slices.Contains(enabled, choice.Name) {
			continue
		}
		c := choice.New(deps)
		if c, ok := c.(optional); ok && !c.applies() {
			continue
		}
		if c, ok := c.(starter); ok {
			c.start()
		}
		s.collectors = append(s.collectors, c)
	}
	return s
}

// starter is a collector that does not wait for the first scrape.
type starter interface {
	start()
}

// optional is a collector that only some clusters have anything for.
type optional interface {
	applies() bool
}

// Names are the enabled collectors.
func (s *Set) Names() []string {
	var names []string
	for _, c := range s.collectors {
		names = append(names, c.Name())
	}
	return names
}

// Last is the result of the newest scrape of all collectors, nil before the first.
func (s *Set) Last() *Result { return s.last.Load() }

// Scrape asks the cluster within timeout; only narrows it to named collectors,
// empty means all. Equal scrapes at one time share one round, which goes on when
// the scraper that began it hangs up.
func (s *Set) Scrape(ctx context.Context, only []string, timeout time.Duration) ([]*dto.MetricFamily, error) {
	only = slices.Compact(slices.Sorted(slices.Values(only)))
	key := fmt.Sprint(only, timeout)
	shared := s.rounds.DoChan(key, func() (families any, err error) {
		open := s.background.Do(func(life context.Context) {
			life, cancel := context.WithTimeout(life, timeout)
			defer cancel()
			if s.places.Acquire(life, 1) != nil {
				err = ErrBusy
				return
			}
			defer s.places.Release(1)
			families, err = s.round(life, only)
		})
		if !open {
			err = ErrClosed
		}
		return families, err
	})
	select {
	case r := <-shared:
		families, _ := r.Val.([]*dto.MetricFamily)
		return families, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Set) round(ctx context.Context, only []string) ([]*dto.MetricFamily, error) {
	start := time.Now()
	registry := prometheus.NewRegistry()
	if err := registry.Register(static{s, s.collect(ctx, only)}); err != nil {
		return nil, err
	}
	families, err := registry.Gather()
	if err != nil {
		s.log.Error("a metric was left out of the scrape", "err", err)
	}
	if len(only) == 0 {
		s.last.Store(&Result{families, start, time.Since(start)})
	}
	return families, nil
}

// outcome is one collector's part of a round.
type outcome struct {
	name    string
	metrics []prometheus.Metric
	err     error
	took    time.Duration
}

// collect runs the collectors side by side. Their requests end a little before
// the round does, so that there is time left to tell of it.
func (s *Set) collect(ctx context.Context, only []string) []prometheus.Metric {
	deadline, _ := ctx.Deadline() // Scrape has set one
	left := time.Until(deadline)
	asking, cancel := context.WithTimeout(ctx, left-min(left/5, 500*time.Millisecond))
	defer cancel()
	view := s.cluster.View(asking)
	defer view.Close()
	waiting := map[string]Collector{}
	outcomes := make(chan outcome, len(s.collectors))
	for _, c := range s.collectors {
		if len(only) > 0 && !slices.Contains(only, c.Name()) {
			continue
		}
		waiting[c.Name()] = c
		s.background.Go(func(context.Context) { outcomes <- run(asking, c, view) })
	}
	b := s.own.batch()
	take := func(o outcome) {
		delete(waiting, o.name)
		s.report(o.name, o.err)
		b.out = append(b.out, o.metrics...)
		b.add("exporter_collector_success", number(o.err == nil), o.name)
		b.add("exporter_collector_duration_seconds", o.took.Seconds(), o.name)
	}
	for len(waiting) > 0 {
		select {
		case o := <-outcomes:
			take(o)
			continue
		case <-ctx.Done():
		}
		for len(outcomes) > 0 { // both may have been ready: what is there counts
			take(<-outcomes)
		}
		s.cut(ctx, b, view, waiting)
		break
	}
	for call, count := range view.Errors() {
		b.add("exporter_rpc_errors_total", float64(count), call.Method, call.Code)
	}
	return b.out
}

// cut ends the wait for collectors that overran the round.
func (s *Set) cut(ctx context.Context, b *batch, view *etcd.View, waiting map[string]Collector) {
	for name, c := range waiting {
		s.report(name, ctx.Err())
		b.add("exporter_collector_success", 0, name)
		if c, ok := c.(latecomer); ok {
			b.out = append(b.out, c.late(view)...)
		}
	}
}

// latecomer is a collector that has something to say even when its time is over.
type latecomer interface {
	late(view *etcd.View) []prometheus.Metric
}

// run calls one collector; a panic in it costs its own series alone.
func run(ctx context.Context, c Collector, view *etcd.View) (o outcome) {
	start := time.Now()
	defer func() {
		if r := recover(); r != nil {
			o.err = fmt.Errorf("panic: %v", r)
		}
		o.name, o.took = c.Name(), time.Since(start)
	}()
	o.metrics, o.err = c.Collect(ctx, view)
	return o
}

// failure is what the log was told of a collector.
type failure struct {
	text   string
	logged time.Time
}

// logPause is the least time between two lines on one collector that goes on
// failing in ever new words, such as those with a port number in them.
const logPause = 5 * time.Minute

// report logs a collector's failure when it begins, changes and ends, not at
// each scrape.
func (s *Set) report(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, failed := s.failing[name]
	switch {
	case err == nil && failed:
		delete(s.failing, name)
		s.log.Info("collector works again", "collector", name)
	case err != nil && (!failed || err.Error() != before.text && time.Since(before.logged) >= logPause):
		s.failing[name] = failure{err.Error(), time.Now()}
		s.log.Warn("collector failed", "collector", name, "err", err)
	}
}

// static hands the metrics of a finished round to a registry, with the tables as
// their descriptions.
type static struct {
	set     *Set
	metrics []prometheus.Metric
}

func (s static) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range s.set.own.descs {
		ch <- desc
	}
	for _, c := range s.set.collectors {
		for _, m := range c.Metrics() {
			ch <- prometheus.NewDesc(m.FullName(), m.Help, m.Labels, nil)
		}
	}
}

func (s static) Collect(ch chan<- prometheus.Metric) {
	for _, m := range s.metrics {
		ch <- m
	}
}
