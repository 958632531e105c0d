// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/collector"
)

// TestNamesAreMetrics: the page reads a scrape by name, so a metric that is renamed
// would become a silent dash.
func TestNamesAreMetrics(t *testing.T) {
	known := map[string]bool{}
	for _, m := range collector.ExporterMetrics() {
		known[m.Name] = true
	}
	for _, choice := range collector.All() {
		for _, m := range choice.New(collector.Deps{}).Metrics() {
			known[m.Name] = true
		}
	}
	name := regexp.MustCompile(`"((?:keyspace|backup|endpoint|cluster|member|alarm|certificate|exporter)_[a-z_]+)"`)
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			switch m[1] {
			case "cluster_id", "member_id": // labels
				continue
			}
			if used++; !known[m[1]] {
				t.Errorf("%s reads %s, which no collector has", source, m[1])
			}
		}
	}
	if used < 15 {
		t.Errorf("only %d names were found: is this still how the page reads them?", used)
	}
}
