// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/alertmanager/pkg/labels"
	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/test/stack"
)

// inhibition is one inhibition rule.
type inhibition struct {
	Sources []string `yaml:"source_matchers"`
	Targets []string `yaml:"target_matchers"`
	Equal   []string `yaml:"equal"`
}

func inhibitions(t testing.TB) []inhibition {
	t.Helper()
	text, err := os.ReadFile(alertmanagerFile)
	must(t, err)
	var config struct {
		Rules []inhibition `yaml:"inhibit_rules"`
	}
	must(t, yaml.Unmarshal(text, &config))
	if len(config.Rules) == 0 {
		t.Fatal("there is no inhibition rule")
	}
	return config.Rules
}

// mayMatch says whether matchers can match an alert: what is known of its labels does
// not speak against it. Labels that only the expression knows may have any value.
func mayMatch(t testing.TB, matchers []string, known map[string]string) bool {
	t.Helper()
	for _, text := range matchers {
		m, err := labels.ParseMatcher(text)
		must(t, err)
		if value, ok := known[m.Name]; ok && !m.Matches(value) {
			return false
		}
	}
	return true
}

// TestNoTriggerIsInhibited: an inhibited alert never reaches the webhook.
func TestNoTriggerIsInhibited(t *testing.T) {
	for _, name := range append(slices.Clone(stack.Triggers), heartbeat) {
		for _, severity := range []string{"critical", "warning", "info"} {
			for i, rule := range inhibitions(t) {
				if mayMatch(t, rule.Targets, map[string]string{"alertname": name, "severity": severity}) {
					t.Errorf("rule %d can inhibit %s (%s): %v", i, name, severity, rule.Targets)
				}
			}
		}
	}
}

// TestInhibitionsName: each rule has sources and targets among the alerts of the mixin,
// is bound to one cluster where its alerts have one, and holds back no page.
func TestInhibitionsName(t *testing.T) {
	rules := alerts(t)
	matched := func(matchers []string) (names []string) {
		for _, r := range rules {
			if mayMatch(t, matchers, r.labels()) {
				names = append(names, r.Alert)
				if r.Labels["severity"] == "critical" {
					names = append(names, "critical")
				}
			}
		}
		return names
	}
	exporterWide := []string{"EtcdRemediatorDown"} // a remediator has no cluster
	for i, rule := range inhibitions(t) {
		sources, targets := matched(rule.Sources), matched(rule.Targets)
		if len(sources) == 0 || len(targets) == 0 {
			t.Errorf("rule %d: sources %v, targets %v", i, sources, targets)
		}
		if slices.Contains(targets, "critical") {
			t.Errorf("rule %d can hold back a page: %v", i, targets)
		}
		if !slices.Contains(rule.Equal, "cluster") && !slices.Equal(sources, exporterWide) {
			t.Errorf("rule %d lets one cluster inhibit another: equal %v", i, rule.Equal)
		}
		for _, text := range append(slices.Clone(rule.Sources), rule.Targets...) {
			namesAreKnown(t, i, text, rules)
		}
	}
}

// namesAreKnown wants every name in a matcher of alert names to be that of an alert: a
// name that is misspelt inhibits nothing, and nobody would see it.
func namesAreKnown(t testing.TB, i int, text string, rules []rule) {
	t.Helper()
	m, err := labels.ParseMatcher(text)
	must(t, err)
	if m.Name != "alertname" {
		return
	}
	for name := range strings.SplitSeq(m.Value, "|") {
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.Alert == name }) {
			t.Errorf("rule %d: the mixin has no alert %s", i, name)
		}
	}
}
