// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// series is what was scraped, as `name{label="value",...}` without the namespace,
// labels in alphabetical order.
type series map[string]float64

// table hands metrics to a registry, with the collector's table as description.
type table struct {
	rows    []Metric
	metrics []prometheus.Metric
}

func (a table) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range a.rows {
		ch <- prometheus.NewDesc(m.FullName(), m.Help, m.Labels, nil)
	}
}

func (a table) Collect(ch chan<- prometheus.Metric) {
	for _, m := range a.metrics {
		ch <- m
	}
}

// seriesOf gathers metrics as a scrape would. A registry that checks all it is
// given (a series twice, labels that the table does not have, bytes that are no
// UTF-8) refuses what would fail a scrape: that shows as a series of its own.
func seriesOf(rows []Metric, metrics []prometheus.Metric) series {
	got := series{}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(table{rows, metrics}); err != nil {
		got["unregistrable: "+err.Error()] = 1
	}
	families, err := registry.Gather()
	if err != nil {
		got["ungatherable: "+err.Error()] = 1
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			got[seriesName(family, m)] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}

func seriesName(family *dto.MetricFamily, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	name := strings.TrimPrefix(family.GetName(), Namespace+"_")
	if len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	return name
}

// want checks some of the series: NaN stands for one that must be absent.
func (s series) want(t *testing.T, want series) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		value := want[name]
		got, found := s[name]
		switch {
		case value != value && found:
			t.Errorf("%s is %v, want no such series", name, got)
		case value == value && !found:
			t.Errorf("%s is missing, want %v", name, value)
		case value == value && got != value:
			t.Errorf("%s is %v, want %v", name, got, value)
		}
	}
}

// about is the series whose name contains text.
func (s series) about(text string) series {
	found := maps.Clone(s)
	maps.DeleteFunc(found, func(name string, _ float64) bool { return !strings.Contains(name, text) })
	return found
}
