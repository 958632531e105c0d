// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/etcdops/etcdops/internal/etcd"
)

// hostile are texts that an endpoint may put where a name is expected.
var hostile = []string{
	"", "\x00", "\xff", "\xfe\xff", "a\xc3", "\xed\xa0\x80", "line\nfeed", `quote"} 1`, `back\slash`, "\u202e",
	"{{.}}", "<script>", strings.Repeat("\xf0", 1000), "café",
}

// TestHostileLabels: no bytes of an endpoint's may fail a scrape or make a label
// that is no UTF-8, in any collector.
func TestHostileLabels(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, choice Choice) {
		c := choice.New(w.deps)
		for _, text := range hostile {
			members := []etcd.Member{
				{ID: idOf(0), Name: text, PeerURLs: []string{text, text}, ClientURLs: []string{text}},
				{ID: idOf(1), Name: text},
				{ID: idOf(1), Name: "twice"},
				{ID: idOf(2), Name: text + "\xff"},
			}
			for _, f := range w.fakes {
				f.list.Members = members
				f.status.Version, f.status.StorageVersion = text, text
				f.status.Errors = []string{text, "memberID:" + text + " alarm:NOSPACE", "memberID:161 alarm:" + text}
				f.alarms = []etcd.Alarm{{MemberID: idOf(1), Type: text}, {MemberID: idOf(1), Type: text + "\xff"}}
			}
			got := w.must(t, c)
			for name := range got {
				if strings.HasPrefix(name, "un") || !utf8.ValidString(name) {
					t.Errorf("%q: %q", text, name)
				}
			}
		}
	})
}

// TestNamesThatBecomeEqual: two that differ in bytes which are no UTF-8 alone are
// one series, and the first value counts.
func TestNamesThatBecomeEqual(t *testing.T) {
	t.Parallel()
	s := newSubject("test", "", []Metric{gauge("thing", "A thing.", "name", "other")})
	b := s.batch()
	b.add("thing", 1, "a\xff", "x")
	b.add("thing", 2, "a\xfe", "x")
	b.add("thing", 3, "a", "\xffx")
	b.add("thing", 4, "a,", "x") // no join of labels makes it another's twin
	b.add("thing", 5, "a", ",x")
	metrics, err := b.done()
	if err != nil {
		t.Error(err)
	}
	got := seriesOf(s.Metrics(), metrics)
	got.want(t, series{
		`thing{name="a�",other="x"}`: 1, `thing{name="a",other="�x"}`: 3, `thing{name="a,",other="x"}`: 4, `thing{name="a",other=",x"}`: 5,
	})
	if len(got) != 4 {
		t.Errorf("series are %v", got)
	}
}

// TestBatchErrors: what is not in the table is an error of the collector and not
// a series, nor a panic.
func TestBatchErrors(t *testing.T) {
	t.Parallel()
	s := newSubject("test", "", []Metric{gauge("thing", "A thing.", "name")})
	for name, add := range map[string]func(*batch){
		"no such metric": func(b *batch) { b.add("other", 1) },
		"too few labels": func(b *batch) { b.add("thing", 1) },
		"too many":       func(b *batch) { b.add("thing", 1, "a", "b") },
	} {
		b := s.batch()
		add(b)
		b.add("thing", 7, "good")
		b.fail(nil)
		metrics, err := b.done()
		if err == nil || len(metrics) != 1 {
			t.Errorf("%s: %d metrics, error %v", name, len(metrics), err)
		}
	}
}

// reserved labels belong to the scrape configuration; prometheus-operator sets
// several of them.
var reserved = []string{"endpoint", "instance", "job", "namespace", "pod", "service", "container", "cluster"}

// TestTables: names, labels and help of every row, whether a fixture shows it or not.
func TestTables(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*[a-z]$`)
	seen := map[string]bool{}
	tables := map[string][]Metric{"exporter": ExporterMetrics(), "process": ProcessMetrics()}
	for _, choice := range All() {
		c := choice.New(Deps{})
		tables[choice.Name] = c.Metrics()
		if c.Name() != choice.Name || c.Help() == "" {
			t.Errorf("collector %s is called %q, help %q", choice.Name, c.Name(), c.Help())
		}
	}
	for subject, rows := range tables {
		var metrics []prometheus.Metric
		for _, m := range rows {
			if !name.MatchString(m.Name) || seen[m.Name] || m.Help == "" || !strings.HasPrefix(m.FullName(), "etcdops_") {
				t.Errorf("%s: metric %q, help %q: malformed, or there twice", subject, m.Name, m.Help)
			}
			seen[m.Name] = true
			for _, l := range m.Labels {
				if !name.MatchString(l) || slices.Contains(reserved, l) {
					t.Errorf("%s: label %q of %s", subject, l, m.Name)
				}
			}
			s := newSubject(subject, "", rows)
			b := s.batch()
			b.add(m.Name, 1, make([]string, len(m.Labels))...)
			one, err := b.done()
			if err != nil {
				t.Error(err)
			}
			metrics = append(metrics, one...)
		}
		problems, err := testutil.CollectAndLint(table{rows, metrics})
		if err != nil {
			t.Error(err)
		}
		for _, p := range problems {
			t.Errorf("lint: %s: %s", p.Metric, p.Text)
		}
	}
}

// TestAll: the collectors of the contract, on unless it says otherwise.
func TestAll(t *testing.T) {
	t.Parallel()
	want := []string{"status", "health", "clock", "members", "alarms", "compaction", "tls", "keyspace", "backup"}
	var got []string
	for _, choice := range All() {
		if slices.Contains(want, choice.Name) && choice.Default {
			got = append(got, choice.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("collectors that are on: %v, want %v", got, want)
	}
}

// TestNothingWithoutEndpoints: no collector fails where there is nobody to ask.
func TestNothingWithoutEndpoints(t *testing.T) {
	t.Parallel()
	background := NewBackground(t.Context())
	defer background.Close()
	for _, choice := range All() {
		view := etcd.NewView(t.Context(), nil, nil, etcd.NewMemory())
		if _, err := choice.New(Deps{Background: background, Log: slog.New(slog.DiscardHandler)}).Collect(context.WithoutCancel(t.Context()), view); err != nil {
			t.Logf("%s: %v", choice.Name, err)
		}
	}
}
