// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"iter"
	"math"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"github.com/etcdops/etcdops/collector"
)

// readings are the series of a result by metric, without the namespace. What a
// collector did not learn, or was not asked for, is not there: the page says so
// with a dash and never with a 0.
type readings map[string][]*dto.Metric

func newReadings(result *collector.Result) readings {
	r := readings{}
	for _, family := range result.Families {
		r[strings.TrimPrefix(family.GetName(), collector.Namespace+"_")] = family.GetMetric()
	}
	return r
}

// has says whether the metric has any series.
func (r readings) has(metric string) bool { return len(r[metric]) > 0 }

// each gives the series that have all of the labels, which are names and values
// in turn. A value that is no number is not known.
func (r readings) each(metric string, labels ...string) iter.Seq2[*dto.Metric, float64] {
	return func(yield func(*dto.Metric, float64) bool) {
		for _, m := range r[metric] {
			v := valueOf(m)
			if math.IsNaN(v) || math.IsInf(v, 0) || !matches(m, labels) {
				continue
			}
			if !yield(m, v) {
				return
			}
		}
	}
}

// value gives the first of them; false where there is none.
func (r readings) value(metric string, labels ...string) (float64, bool) {
	for _, v := range r.each(metric, labels...) {
		return v, true
	}
	return 0, false
}

// values gives what the label is in the metrics, each value once, in the order they
// come in.
func (r readings) values(label string, metrics ...string) []string {
	var all []string
	seen := map[string]bool{}
	for _, metric := range metrics {
		for m := range r.each(metric) {
			if v := labelOf(m, label); !seen[v] {
				seen[v] = true
				all = append(all, v)
			}
		}
	}
	return all
}

// is says whether a series is there and has the value.
func (r readings) is(want float64, metric string, labels ...string) bool {
	v, ok := r.value(metric, labels...)
	return ok && v == want
}

func matches(m *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if labelOf(m, labels[i]) != labels[i+1] {
			return false
		}
	}
	return true
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func valueOf(m *dto.Metric) float64 {
	switch {
	case m.GetGauge() != nil:
		return m.GetGauge().GetValue()
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	default:
		return m.GetUntyped().GetValue()
	}
}
