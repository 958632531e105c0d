// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/etcdops/etcdops/test/lab"
)

// namespace may be left out of the names of the exporter's own metrics.
const namespace = "etcdops_"

// Scrape is one answer of /metrics or /probe, parsed.
type Scrape struct {
	t        testing.TB
	Families map[string]*dto.MetricFamily
	Text     string
	Took     time.Duration
}

// Scrape asks for a path, usually /metrics, which must answer 200; headers are
// names and values in turn.
func (e *Exporter) Scrape(path string, headers ...string) *Scrape {
	e.t.Helper()
	s, err := e.scrape(path, headers...)
	must(e.t, err)
	return s
}

// scrape may be called from any goroutine of the test.
func (e *Exporter) scrape(path string, headers ...string) (*Scrape, error) {
	a, err := e.do(http.MethodGet, path, headers...)
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d after %s: %.300s", path, a.Status, a.Took, a.Body)
	}
	return parse(e.t, a.Body, a.Took)
}

func parse(t testing.TB, text string, took time.Duration) (*Scrape, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	return &Scrape{t: t, Families: families, Text: text, Took: took}, nil
}

// with is the same scrape in the hands of a subtest, which its failures are
// charged to.
func (s *Scrape) with(t testing.TB) *Scrape {
	other := *s
	other.t = t
	return &other
}

// native is a member's own /metrics, as the lab's client sees it.
func native(t testing.TB, l *lab.Lab, m *lab.Member) *Scrape {
	t.Helper()
	secure, err := l.TLSConfig()
	must(t, err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(patient(t), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.HTTPURL()+"/metrics", nil)
	must(t, err)
	began := time.Now()
	response, err := client.Do(request)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	s, err := parse(t, string(body), time.Since(began))
	must(t, err)
	return s
}

// family finds a family by its name, with our namespace or as it is.
func (s *Scrape) family(name string) *dto.MetricFamily {
	if f := s.Families[namespace+name]; f != nil {
		return f
	}
	return s.Families[name]
}

// series are those of a metric that carry all the given labels, which are names
// and values in turn; they may carry more.
func (s *Scrape) series(name string, labels ...string) []*dto.Metric {
	s.t.Helper()
	if len(labels)%2 != 0 {
		s.t.Fatalf("series %s: labels %q are not pairs", name, labels)
	}
	var found []*dto.Metric
	for _, m := range s.family(name).GetMetric() {
		own := labelsOf(m)
		all := true
		for i := 0; i < len(labels); i += 2 {
			value, ok := own[labels[i]]
			all = all && ok && value == labels[i+1]
		}
		if all {
			found = append(found, m)
		}
	}
	return found
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, pair := range m.GetLabel() {
		labels[pair.GetName()] = pair.GetValue()
	}
	return labels
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

// Lookup gives the value of the one series of that name and those labels; it is
// an error when there is none, or more than one.
func (s *Scrape) Lookup(name string, labels ...string) (float64, error) {
	s.t.Helper()
	found := s.series(name, labels...)
	if len(found) != 1 {
		return 0, fmt.Errorf("%d series %s%q, want one; there are %v", len(found), name, labels, s.Labels(name))
	}
	return valueOf(found[0]), nil
}

// Value is Lookup, and the test ends when there is not exactly one.
func (s *Scrape) Value(name string, labels ...string) float64 {
	s.t.Helper()
	value, err := s.Lookup(name, labels...)
	must(s.t, err)
	return value
}

// Want is an error unless the one series has that value.
func (s *Scrape) Want(want float64, name string, labels ...string) error {
	s.t.Helper()
	value, err := s.Lookup(name, labels...)
	if err == nil && value != want {
		err = fmt.Errorf("%s%q is %v, want %v", name, labels, value, want)
	}
	return err
}

// WantNone is an error when there is such a series.
func (s *Scrape) WantNone(name string, labels ...string) error {
	s.t.Helper()
	if found := s.series(name, labels...); len(found) > 0 {
		return fmt.Errorf("%s%q is there: %v", name, labels, found[0])
	}
	return nil
}

// Has tells whether there is such a series.
func (s *Scrape) Has(name string, labels ...string) bool {
	s.t.Helper()
	return len(s.series(name, labels...)) > 0
}

// Count counts the series of that name and those labels.
func (s *Scrape) Count(name string, labels ...string) int {
	s.t.Helper()
	return len(s.series(name, labels...))
}

// Sum adds up the series of that name and those labels.
func (s *Scrape) Sum(name string, labels ...string) float64 {
	s.t.Helper()
	sum := 0.0
	for _, m := range s.series(name, labels...) {
		sum += valueOf(m)
	}
	return sum
}

// Labels are the label sets of all series of that name and those labels.
func (s *Scrape) Labels(name string, labels ...string) []map[string]string {
	s.t.Helper()
	var sets []map[string]string
	for _, m := range s.series(name, labels...) {
		sets = append(sets, labelsOf(m))
	}
	return sets
}

// LabelsOne is the label set of the one such series.
func (s *Scrape) LabelsOne(name string, labels ...string) map[string]string {
	s.t.Helper()
	sets := s.Labels(name, labels...)
	if len(sets) != 1 {
		s.t.Fatalf("%d series %s%q, want one; there are %v", len(sets), name, labels, s.Labels(name))
	}
	return sets[0]
}

// Of lists the metrics that have a series of that endpoint, without the
// namespace, in order.
func (s *Scrape) Of(url string) []string {
	s.t.Helper()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.Families)) {
		short := strings.TrimPrefix(name, namespace)
		if s.Has(short, "url", url) {
			names = append(names, short)
		}
	}
	return names
}

// Up is an error unless endpoint_up of that endpoint is 1.
func (s *Scrape) Up(url string) error {
	s.t.Helper()
	return s.Want(1, "endpoint_up", "url", url)
}

// Down is an error unless the endpoint is down for that reason, and has no
// series of its own but those that say so.
func (s *Scrape) Down(url, reason string) error {
	s.t.Helper()
	if err := s.Want(0, "endpoint_up", "url", url); err != nil {
		return err
	}
	if err := s.Want(1, "endpoint_failure", "url", url, "reason", reason); err != nil {
		return err
	}
	for _, name := range s.Of(url) {
		switch name {
		case "endpoint_up", "endpoint_failure", "certificate_not_after_timestamp_seconds":
		case "endpoint_healthy":
			if s.Sum(name, "url", url) != 0 {
				return fmt.Errorf("%s is down and healthy", url)
			}
		default:
			return fmt.Errorf("%s is down (%s) and has %s", url, reason, name)
		}
	}
	return nil
}
