// SPDX-License-Identifier: Apache-2.0

// Package tests holds the bundle to what its users expect of every rule, runbook and
// panel. That alerts fire, and when, is in the promtool tests beside it.
package tests

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

var root = filepath.Join("..", "..")

// rule is a rule of Prometheus.
type rule struct {
	Alert       string            `yaml:"alert"`
	Record      string            `yaml:"record"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type group struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

func read(t testing.TB, elements ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func files(t testing.TB, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
	if err != nil || len(found) == 0 {
		t.Fatalf("nothing is called %s (%v)", pattern, err)
	}
	return found
}

// groups are those of alerts/.
func groups(t testing.TB) (all []group) {
	t.Helper()
	for _, file := range files(t, "alerts/*.yaml") {
		var content struct {
			Groups []group `yaml:"groups"`
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &content); err != nil {
			t.Fatalf("%s: %v", filepath.Base(file), err)
		}
		all = append(all, content.Groups...)
	}
	return all
}

func alerts(t testing.TB) (all []rule) {
	t.Helper()
	for _, g := range groups(t) {
		for _, r := range g.Rules {
			if r.Alert != "" {
				all = append(all, r)
			}
		}
	}
	return all
}

var exported = regexp.MustCompile("^\\| `([a-z_]+)` \\|")

// known says who exports a metric. What is not ours is in testdata/: etcd's as captured
// from real members, and the few of others.
func known(t testing.TB) map[string]bool {
	t.Helper()
	names := map[string]bool{"up": true, "ALERTS": true} // Prometheus' own
	for line := range strings.Lines(read(t, "docs", "metrics.md")) {
		if found := exported.FindStringSubmatch(line); found != nil {
			names[found[1]] = true
		}
	}
	if len(names) < 50 {
		t.Fatalf("docs/metrics.md names %d metrics", len(names))
	}
	for _, file := range files(t, "mixin/tests/testdata/*.txt") {
		text, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer text.Close()
		for lines := bufio.NewScanner(text); lines.Scan(); {
			if name := lines.Text(); !strings.HasPrefix(name, "#") {
				names[name] = true
			}
		}
	}
	for _, g := range groups(t) {
		for _, r := range g.Rules {
			if r.Record != "" {
				names[r.Record] = true
			}
		}
	}
	return names
}

// selected are the metrics that an expression names, each of a choice of names apart.
func selected(t testing.TB, expr string) (names []string) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return nil
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if selector, is := node.(*parser.VectorSelector); is {
			for _, m := range selector.LabelMatchers {
				if m.Name == model.MetricNameLabel {
					names = append(names, strings.Split(m.Value, "|")...)
				}
			}
		}
		return nil
	})
	return names
}

// exists checks that whatever an expression selects is exported by somebody.
func exists(t testing.TB, names map[string]bool, expr string) {
	t.Helper()
	for _, name := range selected(t, expr) {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if trimmed := strings.TrimSuffix(name, suffix); names[trimmed] {
				base = trimmed
			}
		}
		if !names[base] {
			t.Errorf("nobody exports %q, which is in\n%s", name, expr)
		}
	}
}
