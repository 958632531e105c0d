// SPDX-License-Identifier: Apache-2.0

package web

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"

	"github.com/etcdops/etcdops/internal/app/remediator/web/table"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/webhook"
)

// webhookCodes are what the webhook may answer, all there from the start.
var webhookCodes = []int{200, 400, 401, 403, 405, 413, 415, 500, 503}

// Metrics counts what happens, and reads the rest from the program's state with each
// scrape. Every series that a policy can produce is there at 0 from the start.
type Metrics struct {
	registry  *prometheus.Registry
	counters  map[string]*prometheus.CounterVec
	durations *prometheus.HistogramVec
	lastRun   *prometheus.GaugeVec
	heartbeat atomic.Int64 // Unix nanoseconds; 0: never
}

// NewMetrics makes the program's registry. state is Backend.State.
func NewMetrics(state func() State) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), counters: map[string]*prometheus.CounterVec{}}
	live := &liveCollector{state: state, heartbeat: &m.heartbeat, descs: map[string]*prometheus.Desc{}}
	for _, row := range table.Metrics() {
		switch {
		case row.Name == table.Duration:
			m.durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: row.FullName(), Help: row.Help, Buckets: table.DurationBuckets()}, row.Labels)
			m.registry.MustRegister(m.durations)
		case row.Name == table.LastRun:
			m.lastRun = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: row.FullName(), Help: row.Help}, row.Labels)
			m.registry.MustRegister(m.lastRun)
		case row.Kind == table.Counter:
			m.counters[row.Name] = prometheus.NewCounterVec(prometheus.CounterOpts{Name: row.FullName(), Help: row.Help}, row.Labels)
			m.registry.MustRegister(m.counters[row.Name])
		default:
			live.descs[row.Name] = prometheus.NewDesc(row.FullName(), row.Help, row.Labels, nil)
		}
	}
	m.registry.MustRegister(
		live,
		versioncollector.NewCollector("etcd_remediator"),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.counters[table.TruncatedAlerts].WithLabelValues()
	for _, code := range webhookCodes {
		m.counters[table.WebhookRequests].WithLabelValues(strconv.Itoa(code))
	}
	for _, status := range []string{webhook.Firing, webhook.Resolved} {
		for _, matched := range []bool{false, true} {
			m.counters[table.WebhookAlerts].WithLabelValues(status, strconv.FormatBool(matched))
		}
	}
	return m
}

// Expect makes the series that the policies can produce. It is called at the start
// and after each reload; series of policies that are gone stay, as counters do.
func (m *Metrics) Expect(clusters []string, policies []remediate.Policy, guards []string) {
	for _, cluster := range clusters {
		m.counters[table.ReclaimedBytes].WithLabelValues(cluster)
		m.counters[table.PrunedKeys].WithLabelValues(cluster)
	}
	for _, p := range policies {
		m.durations.WithLabelValues(p.Action)
		for _, cluster := range p.Clusters {
			for _, outcome := range remediate.Outcomes {
				m.counters[table.Runs].WithLabelValues(cluster, p.Name, p.Action, string(outcome))
				m.lastRun.WithLabelValues(cluster, p.Name, string(outcome))
			}
			for _, guard := range guards {
				m.counters[table.Refused].WithLabelValues(cluster, p.Name, guard)
			}
		}
	}
}

// Remember takes over the time of a run that an earlier process finished.
func (m *Metrics) Remember(r remediate.Run) {
	at := r.FinishedAt
	if at.IsZero() {
		at = r.AcceptedAt // one that awaits approval, say
	}
	gauge := m.lastRun.WithLabelValues(r.Cluster, r.Policy, string(r.Outcome))
	gauge.Set(float64(at.UnixNano()) / 1e9)
}

// RunEnded counts a run that came to an outcome. One that awaits approval counts
// with that outcome, and once more with the one it has in the end.
func (m *Metrics) RunEnded(r remediate.Run) {
	m.counters[table.Runs].WithLabelValues(r.Cluster, r.Policy, r.Action, string(r.Outcome)).Inc()
	m.Remember(r)
	if r.Outcome == remediate.AwaitingApproval {
		return
	}
	if !r.StartedAt.IsZero() && !r.FinishedAt.IsZero() {
		m.durations.WithLabelValues(r.Action).Observe(max(0, r.FinishedAt.Sub(r.StartedAt).Seconds()))
	}
	m.counters[table.ReclaimedBytes].WithLabelValues(r.Cluster).Add(float64(max(0, r.Reclaimed())))
	m.counters[table.PrunedKeys].WithLabelValues(r.Cluster).Add(float64(max(0, r.Pruned())))
}

// Refused counts a refusal of a guard, or of an action in a guard's name.
func (m *Metrics) Refused(cluster, policy, guard string) {
	m.counters[table.Refused].WithLabelValues(cluster, policy, guard).Inc()
}

// Alerts implements webhook.Observer.
func (m *Metrics) Alerts(status string, matched bool, n int) {
	m.counters[table.WebhookAlerts].WithLabelValues(status, strconv.FormatBool(matched)).Add(float64(n))
}

// Truncated implements webhook.Observer.
func (m *Metrics) Truncated(n uint64) {
	m.counters[table.TruncatedAlerts].WithLabelValues().Add(float64(n))
}

// Heartbeat implements webhook.Observer.
func (m *Metrics) Heartbeat(at time.Time) { m.heartbeat.Store(at.UnixNano()) }

// heartbeatAt is when the last heartbeat came; zero: none since the start.
func (m *Metrics) heartbeatAt() time.Time {
	if ns := m.heartbeat.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

// countRequests counts the webhook's answers, those to strangers among them.
func (m *Metrics) countRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &codeWriter{ResponseWriter: w, code: http.StatusOK}
		defer func() { m.counters[table.WebhookRequests].WithLabelValues(strconv.Itoa(c.code)).Inc() }()
		next.ServeHTTP(c, r)
	})
}

// codeWriter remembers the status code.
type codeWriter struct {
	http.ResponseWriter
	code int
}

func (c *codeWriter) WriteHeader(code int) {
	c.code = code
	c.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (c *codeWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// liveCollector reads the state with each scrape.
type liveCollector struct {
	state     func() State
	heartbeat *atomic.Int64
	descs     map[string]*prometheus.Desc
}

// Describe implements prometheus.Collector.
func (l *liveCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range l.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l *liveCollector) Collect(ch chan<- prometheus.Metric) {
	s := l.state()
	put := func(name string, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(l.descs[name], prometheus.GaugeValue, value, labels...)
	}
	put(table.Paused, number(!s.PausedSince.IsZero()))
	put(table.Leader, number(s.Leader))
	put(table.QueueLength, float64(s.QueueLength))
	put(table.Heartbeat, float64(l.heartbeat.Load())/1e9)
	for _, mode := range remediate.Modes {
		put(table.Mode, number(mode == s.Mode), mode)
	}
	type place struct{ cluster, name string }
	running, seen := map[place]int{}, map[place]bool{}
	for _, r := range s.Running {
		running[place{r.Run.Cluster, r.Run.Action}]++
	}
	for _, p := range s.Policies {
		for _, c := range p.Clusters {
			running[place{c.Cluster, p.Action}] += 0 // there, at 0 if nothing runs
			if seen[place{c.Cluster, p.Name}] {
				continue // a duplicate would fail the whole scrape
			}
			seen[place{c.Cluster, p.Name}] = true
			put(table.BudgetRemaining, float64(max(0, c.BudgetLeft)), c.Cluster, p.Name)
			put(table.BreakerOpen, number(c.BreakerOpen), c.Cluster, p.Name)
			put(table.AlertFiring, number(c.Firing), c.Cluster, p.Name)
		}
	}
	for _, at := range slices.Collect(maps.Keys(running)) {
		put(table.InProgress, float64(running[at]), at.cluster, at.name)
	}
}

func number(truth bool) float64 {
	if truth {
		return 1
	}
	return 0
}
