// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/stack"
)

// barren are queries that have nothing to show of a lab that runs new versions of etcd,
// has no restore drill and no damaged backup, and on which no run failed: by dashboard,
// title and letter.
var barren = map[string]bool{
	"etcdops-member.json/Known hazards of the versions that run A": true,
	"etcdops-member.json/Members H":                                true,
	"etcdops-backups.json/Last drill A":                            true,
	"etcdops-backups.json/Stores K":                                true,
	"etcdops-backups.json/What is wrong in the stores A":           true,
	"etcdops-remediation.json/Policies E":                          true,
}

// chosen are Grafana's variables as it fills them in with All chosen.
var chosen = strings.NewReplacer(
	"$cluster", ".*", "$job", ".*", "$member", ".*", "$__rate_interval", "5s", "$__range", "5m",
)

// dashboards: after all that went wrong, each query of each panel has something to show.
func dashboards(t *testing.T, s *stack.Stack, began time.Time) {
	files, err := filepath.Glob(filepath.Join(root, "dashboards", "*.json"))
	must(t, err)
	if len(files) != 5 {
		t.Errorf("there are %d dashboards", len(files))
	}
	queries := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		var dashboard struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr, RefID string }
			}
		}
		must(t, json.Unmarshal(text, &dashboard))
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				queries++
				name := filepath.Base(file) + "/" + panel.Title + " " + target.RefID
				query := chosen.Replace(target.Expr)
				series, err := s.Series(t.Context(), query, began)
				switch {
				case err != nil:
					t.Errorf("%s: %v", name, err)
				case series == 0 && !barren[name]:
					t.Errorf("%s has nothing to show: %s", name, query)
				}
			}
		}
	}
	t.Logf("%d queries of %d dashboards", queries, len(files))
}
