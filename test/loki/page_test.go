// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/loki/v3/pkg/logql/syntax"
)

// page is the handbook's on logs.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations", "logs.md"))
	must(t, err)
	return string(text)
}

// blocks are the page's fenced blocks of a language.
func blocks(t *testing.T, language string) (found []string) {
	t.Helper()
	fenced := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	for _, match := range fenced.FindAllStringSubmatch(page(t), -1) {
		found = append(found, match[1])
	}
	if len(found) == 0 {
		t.Fatalf("the page has no block of %s", language)
	}
	return found
}

// TestRunbooks: what a rule sends a person to is there.
func TestRunbooks(t *testing.T) {
	text := page(t)
	for _, r := range rules(t) {
		_, heading, _ := strings.Cut(r.Annotations["runbook_url"], "logs.md#")
		words := strings.ReplaceAll(regexp.QuoteMeta(heading), "-", " ")
		if heading == "" || !regexp.MustCompile(`(?mi)^#+ `+words+`$`).MatchString(text) {
			t.Errorf("%s sends to %q, which logs.md has not", r.Alert, r.Annotations["runbook_url"])
		}
		if !strings.Contains(text, r.Alert) {
			t.Errorf("logs.md does not name %s", r.Alert)
		}
	}
}

// TestQueries: what the page asks Loki is LogQL.
func TestQueries(t *testing.T) {
	for _, block := range blocks(t, "logql") {
		for query := range strings.SplitSeq(strings.TrimSpace(block), "\n\n") {
			if _, err := syntax.ParseExpr(query); err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
	}
}

var (
	component = regexp.MustCompile(`(?m)^([a-z_.]+) "(\w+)" \{$`)
	reference = regexp.MustCompile(`\b((?:loki|local)\.[a-z_.]+\.\w+)\.(?:receiver|targets|rules)\b`)
)

// TestAlloy: the configurations ship under the labels that the rules ask for, and hand
// on to what they have. Alloy's own parser is not to be had as a module.
func TestAlloy(t *testing.T) {
	for _, block := range blocks(t, "alloy") {
		has := map[string]bool{}
		for _, found := range component.FindAllStringSubmatch(block, -1) {
			has[found[1]+"."+found[2]] = true
		}
		for _, used := range reference.FindAllStringSubmatch(block, -1) {
			if !has[used[1]] {
				t.Errorf("%s is used, and there are %v", used[1], has)
			}
		}
		for _, pair := range []string{"{}", "[]", "()"} {
			if strings.Count(block, pair[:1]) != strings.Count(block, pair[1:]) {
				t.Errorf("%s do not match in\n%s", pair, block)
			}
		}
		for _, label := range []string{`"etcd-logs"`, "cluster", "instance"} {
			if !strings.Contains(block, label) {
				t.Errorf("no %s in\n%s", label, block)
			}
		}
	}
}
