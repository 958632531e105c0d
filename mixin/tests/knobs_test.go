// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-jsonnet"
	"github.com/prometheus/prometheus/promql/parser"
)

// bundle is the mixin, with some knobs set.
type bundle struct {
	Alerts struct {
		Groups []group `json:"groups"`
	} `json:"prometheusAlerts"`
	Rules struct {
		Groups []group `json:"groups"`
	} `json:"prometheusRules"`
	Dashboards map[string]json.RawMessage `json:"grafanaDashboards"`
}

func render(t *testing.T, knobs string) (b bundle) {
	t.Helper()
	vm := jsonnet.MakeVM()
	vm.Importer(&jsonnet.FileImporter{JPaths: []string{root}})
	text, err := vm.EvaluateAnonymousSnippet("mine.jsonnet",
		fmt.Sprintf("local m = (import 'mixin/mixin.libsonnet') { _config+:: {%s} }; { [f]: m[f] for f in ['prometheusAlerts', 'prometheusRules', 'grafanaDashboards'] }", knobs))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b bundle) rules() (all []rule) {
	for _, g := range slices.Concat(b.Rules.Groups, b.Alerts.Groups) {
		all = append(all, g.Rules...)
	}
	return all
}

// TestClusterLabel: who calls the label otherwise has it so everywhere.
func TestClusterLabel(t *testing.T) {
	b := render(t, "clusterLabel: 'etcd_cluster', clusterLabels: ['job', 'etcd_cluster']")
	old := regexp.MustCompile(`\b(by|on|ignoring|group_left) ?\([^)]*\bcluster\b|[^-]\bcluster(=~|!=|=\"|=\\\\")|\$labels\.cluster\b`)
	for _, r := range b.rules() {
		if found := old.FindString(r.Expr + fmt.Sprint(r.Annotations)); found != "" {
			t.Errorf("%s%s still has %q", r.Alert, r.Record, found)
		}
	}
	for name, text := range b.Dashboards {
		if found := old.FindString(string(text)); found != "" {
			t.Errorf("%s still has %q", name, found)
		}
	}
}

// TestGroupsOff: what is switched off is gone, and nothing else.
func TestGroupsOff(t *testing.T) {
	with, without := render(t, ""), render(t, "groups+: { remediation: false, errorbudget: false }")
	names := func(b bundle) (all []string) {
		for _, g := range b.Alerts.Groups {
			if len(g.Rules) > 0 {
				all = append(all, g.Name)
			}
		}
		return slices.Sorted(slices.Values(all))
	}
	left := slices.DeleteFunc(names(with), func(n string) bool { return n == "etcdops-remediation" || n == "etcdops-errorbudget" })
	if len(left) != len(names(with))-2 && len(left) == 0 || !slices.Equal(left, names(without)) {
		t.Errorf("groups %q without two of %q", names(without), names(with))
	}
}

// TestKnobs: with any of these knobs every rule is one that Prometheus takes.
func TestKnobs(t *testing.T) {
	for name, knobs := range map[string]string{
		"selectors":        `exporterSelector: 'job="a",env="b"', exporterUpSelector: 'job="a"', nativeSelector: 'job=~"etcd|kube-etcd"', remediatorSelector: 'job="c"', remediatorUpSelector: 'job="c"', alertmanagerSelector: 'job="d"'`,
		"one label":        "clusterLabels: ['cluster']",
		"many labels":      "clusterLabels: ['job', 'cluster', 'region'], exporterLabels: ['instance']",
		"labels of alerts": "alertLabels: { team: 'platform' }",
		"scaled":           "timeScale: 240",
		"runbooks":         "runbookURLPattern: 'https://wiki.example/%s'",
	} {
		t.Run(name, func(t *testing.T) {
			b := render(t, knobs)
			for _, r := range b.rules() {
				if _, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr); err != nil {
					t.Errorf("%s%s: %v\n%s", r.Alert, r.Record, err, r.Expr)
				}
				if name == "labels of alerts" && r.Alert != "" && r.Labels["team"] != "platform" {
					t.Errorf("%s has the labels %v", r.Alert, r.Labels)
				}
				if name == "runbooks" && r.Alert != "" && r.Annotations["runbook_url"] != "https://wiki.example/"+r.Alert {
					t.Errorf("%s leads to %s", r.Alert, r.Annotations["runbook_url"])
				}
			}
			if len(b.Dashboards) != 5 {
				t.Errorf("dashboards %q", slices.Sorted(maps.Keys(b.Dashboards)))
			}
		})
	}
}

// TestDocumentedKnobs renders the example of docs/alerting.md.
func TestDocumentedKnobs(t *testing.T) {
	_, example, _ := strings.Cut(read(t, "docs", "alerting.md"), "```jsonnet\n")
	example, _, found := strings.Cut(example, "```")
	if !found {
		t.Fatal("docs/alerting.md has no example")
	}
	vm := jsonnet.MakeVM()
	vm.Importer(&jsonnet.FileImporter{JPaths: []string{root}})
	for _, field := range []string{"prometheusAlerts", "prometheusRules", "grafanaDashboards"} {
		if _, err := vm.EvaluateAnonymousSnippet(filepath.Join(root, "mine.jsonnet"), fmt.Sprintf("(%s).%s", example, field)); err != nil {
			t.Error(err)
		}
	}
}
