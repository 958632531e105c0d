// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// most is how many rules a group may have: one group is evaluated in one go.
const most = 20

func TestGroups(t *testing.T) {
	names := map[string]bool{}
	for _, g := range groups(t) {
		if len(g.Rules) == 0 || len(g.Rules) > most {
			t.Errorf("group %s has %d rules", g.Name, len(g.Rules))
		}
		if names[g.Name] || !strings.HasPrefix(g.Name, "etcdops-") {
			t.Errorf("group %q: not of a name of its own that begins with etcdops-", g.Name)
		}
		names[g.Name] = true
	}
}

var (
	name     = regexp.MustCompile(`^Etcd[A-Z][A-Za-z0-9]+$`)
	sentence = regexp.MustCompile(`^([A-Z]|etcd )[^{}]{9,}\.$`)
	value    = regexp.MustCompile(`\$value`)
)

func TestAlerts(t *testing.T) {
	for _, r := range alerts(t) {
		t.Run(r.Alert+" "+r.Labels["severity"], func(t *testing.T) {
			if !name.MatchString(r.Alert) || len(r.Alert) > 40 {
				t.Error("no good name: EtcdCamelCase, at most 40 characters")
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
				t.Errorf("severity %q", r.Labels["severity"])
			}
			if summary := r.Annotations["summary"]; !sentence.MatchString(summary) {
				t.Errorf("summary: no static sentence: %q", summary)
			}
			description := r.Annotations["description"]
			if !strings.Contains(description, "{{") || !strings.HasSuffix(description, ".") && !strings.HasSuffix(description, "}}") {
				t.Errorf("description: no sentence with templates: %q", description)
			}
			if !value.MatchString(description) && r.Alert != "EtcdRemediationHeartbeat" {
				t.Errorf("description: it does not give the value: %q", description)
			}
			if url := r.Annotations["runbook_url"]; !strings.HasSuffix(url, "/docs/runbooks/"+r.Alert+".md") {
				t.Errorf("runbook_url %q", url)
			}
		})
	}
}

// TestAlertMetrics: what an alert asks for is exported.
func TestAlertMetrics(t *testing.T) {
	names := known(t)
	for _, g := range groups(t) {
		for _, r := range g.Rules {
			t.Run(r.Alert+r.Record, func(t *testing.T) { exists(t, names, r.Expr) })
		}
	}
}

var headings = []string{"## Meaning", "## Impact", "## Diagnosis", "## Mitigation", "## Automated action"}

// TestRunbooks: each alert has one with its five headings and something below each, a
// row in the index, and no link that leads nowhere.
func TestRunbooks(t *testing.T) {
	pages := map[string]bool{"README": true}
	index := read(t, "docs", "runbooks", "README.md")
	for _, r := range alerts(t) {
		if pages[r.Alert] {
			continue
		}
		pages[r.Alert] = true
		t.Run(r.Alert, func(t *testing.T) {
			text := read(t, "docs", "runbooks", r.Alert+".md")
			if !strings.HasPrefix(text, "# "+r.Alert+"\n") {
				t.Error("its title is another")
			}
			var found []string
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "## ") {
					found = append(found, strings.TrimSpace(line))
				}
			}
			if !slices.Equal(found, headings) {
				t.Errorf("headings %q", found)
			}
			for _, part := range strings.Split(text, "\n## ")[1:] {
				if title, body, _ := strings.Cut(part, "\n"); strings.TrimSpace(body) == "" {
					t.Errorf("nothing is said of %s", title)
				}
			}
			if !strings.Contains(index, "["+r.Alert+"]("+r.Alert+".md)") {
				t.Error("docs/runbooks/README.md does not list it")
			}
		})
	}
	for _, file := range files(t, "docs/runbooks/*.md") {
		if page := strings.TrimSuffix(filepath.Base(file), ".md"); !pages[page] {
			t.Errorf("there is a runbook, and no alert %s", page)
		}
		leadsSomewhere(t, file)
	}
	leadsSomewhere(t, filepath.Join(root, "docs", "alerts.md"))
}

var link = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

func leadsSomewhere(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range link.FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(found[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), filepath.FromSlash(found[1]))); err != nil {
			t.Errorf("%s: a link leads nowhere: %v", filepath.Base(file), err)
		}
	}
}
