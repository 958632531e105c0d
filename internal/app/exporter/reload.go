// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/collector"
)

// reloadMetrics tell how the last reading of the configuration went.
type reloadMetrics struct {
	descs [2]*prometheus.Desc
	good  atomic.Bool
	at    atomic.Int64 // unix nanoseconds
}

func newReloadMetrics() *reloadMetrics {
	r := &reloadMetrics{}
	for i, m := range collector.ProcessMetrics() {
		r.descs[i] = prometheus.NewDesc(m.FullName(), m.Help, nil, nil)
	}
	return r
}

func (r *reloadMetrics) succeeded(now time.Time) {
	r.good.Store(true)
	r.at.Store(now.UnixNano())
}

func (r *reloadMetrics) failed() { r.good.Store(false) }

// Describe implements prometheus.Collector.
func (r *reloadMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range r.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *reloadMetrics) Collect(ch chan<- prometheus.Metric) {
	good := 0.0
	if r.good.Load() {
		good = 1
	}
	ch <- prometheus.MustNewConstMetric(r.descs[0], prometheus.GaugeValue, good)
	ch <- prometheus.MustNewConstMetric(r.descs[1], prometheus.GaugeValue, float64(r.at.Load())/1e9)
}
