// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type target struct{ Expr, LegendFormat string }

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ Type, UID string }
	Targets                  []target
	FieldConfig              struct {
		Defaults  struct{ Unit, NoValue string }
		Overrides []struct {
			Properties []struct {
				ID    string
				Value any
			}
		}
	}
}

type dashboard struct {
	UID, Title, Description string
	Tags                    []string
	Links                   []struct{ Type, URL string }
	Annotations             struct {
		List []struct{ Name, Expr string }
	}
	Templating struct {
		List []struct{ Name string }
	}
	Panels []panel
}

func dashboards(t testing.TB) map[string]dashboard {
	t.Helper()
	all := map[string]dashboard{}
	for _, file := range files(t, "dashboards/*.json") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", filepath.Base(file), err)
		}
		all[filepath.Base(file)] = d
	}
	return all
}

// filled are Grafana's variables as any value will do for a parser.
var filled = strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h")

func TestDashboards(t *testing.T) {
	names, uids := known(t), map[string]string{}
	for file, d := range dashboards(t) {
		t.Run(file, func(t *testing.T) {
			if d.UID == "" || uids[d.UID] != "" || len(d.UID) > 40 {
				t.Errorf("uid %q is none of its own (%s has it)", d.UID, uids[d.UID])
			}
			uids[d.UID] = file
			if d.UID+".json" != file || d.Title == "" || d.Description == "" || len(d.Tags) == 0 {
				t.Errorf("uid %q, title %q, description %q, tags %q", d.UID, d.Title, d.Description, d.Tags)
			}
			var variables []string
			for _, v := range d.Templating.List {
				variables = append(variables, v.Name)
			}
			if len(variables) < 3 || !slices.Equal(variables[:3], []string{"datasource", "cluster", "job"}) {
				t.Errorf("the variables are %v", variables)
			}
			for _, a := range d.Annotations.List {
				exists(t, names, filled.Replace(a.Expr))
			}
			if len(d.Annotations.List) < 2 || !slices.ContainsFunc(d.Links, func(l struct{ Type, URL string }) bool { return strings.HasSuffix(l.URL, "/docs/runbooks") }) {
				t.Errorf("annotations %v, links %v", d.Annotations.List, d.Links)
			}
			ids := map[int]bool{}
			for _, p := range d.Panels {
				if ids[p.ID] {
					t.Errorf("panel %q has the id of another", p.Title)
				}
				ids[p.ID] = true
				if p.Type != "row" {
					t.Run(p.Title, func(t *testing.T) { checkPanel(t, names, p) })
				}
			}
			overlaps(t, d.Panels)
		})
	}
}

func checkPanel(t *testing.T, names map[string]bool, p panel) {
	if p.Title == "" || len(p.Description) < 10 {
		t.Errorf("title %q, description %q", p.Title, p.Description)
	}
	if p.Type == "text" {
		return
	}
	if p.Datasource.UID != "${datasource}" {
		t.Errorf("its data source is fixed: %q", p.Datasource.UID)
	}
	if unit := p.FieldConfig.Defaults.Unit; unit == "" && p.Type != "table" {
		t.Error("it has no unit")
	}
	if p.FieldConfig.Defaults.NoValue == "" {
		t.Error("it does not say what no value means")
	}
	if len(p.Targets) == 0 {
		t.Error("it asks for nothing")
	}
	for _, target := range p.Targets {
		exists(t, names, filled.Replace(target.Expr))
		if p.Type == "timeseries" && (target.LegendFormat == "" || target.LegendFormat == "__auto") {
			t.Errorf("no legend for %s", target.Expr)
		}
		if strings.Contains(target.Expr, "rate(") && !strings.Contains(target.Expr, "$__") {
			t.Errorf("a rate over a fixed range: %s", target.Expr)
		}
	}
}

// overlaps wants every panel within 24 columns, and none on another.
func overlaps(t *testing.T, panels []panel) {
	t.Helper()
	for i, a := range panels {
		if a.GridPos.X+a.GridPos.W > 24 || a.GridPos.W <= 0 || a.GridPos.H <= 0 {
			t.Errorf("panel %q is at %+v", a.Title, a.GridPos)
		}
		for _, b := range panels[:i] {
			beside := a.GridPos.X+a.GridPos.W <= b.GridPos.X || b.GridPos.X+b.GridPos.W <= a.GridPos.X
			above := a.GridPos.Y+a.GridPos.H <= b.GridPos.Y || b.GridPos.Y+b.GridPos.H <= a.GridPos.Y
			if !beside && !above {
				t.Errorf("panels %q and %q are on one another", a.Title, b.Title)
			}
		}
	}
}
