// SPDX-License-Identifier: Apache-2.0

package metricsdoc

import (
	"os"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/collector"
	remediation "github.com/etcdops/etcdops/internal/app/remediator/web/table"
)

// TestFresh fails when docs/metrics.md was not generated from the present tables.
func TestFresh(t *testing.T) {
	committed, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var now strings.Builder
	if err := Write(&now); err != nil {
		t.Fatal(err)
	}
	if now.String() != string(committed) {
		t.Fatal("docs/metrics.md is stale: run make generate")
	}
}

// TestWhole finds every row of every table in the page.
func TestWhole(t *testing.T) {
	var page strings.Builder
	if err := Write(&page); err != nil {
		t.Fatal(err)
	}
	metrics := append(collector.ExporterMetrics(), collector.ProcessMetrics()...)
	for _, choice := range collector.All() {
		metrics = append(metrics, choice.New(collector.Deps{}).Metrics()...)
	}
	if len(metrics) < 40 {
		t.Fatalf("only %d metrics: the tables are not whole", len(metrics))
	}
	var names []string
	for _, m := range metrics {
		names = append(names, m.FullName())
	}
	for _, m := range remediation.Metrics() {
		names = append(names, m.FullName())
	}
	for _, name := range names {
		if !strings.Contains(page.String(), "`"+name+"`") {
			t.Errorf("%s is not in the page", name)
		}
	}
}
