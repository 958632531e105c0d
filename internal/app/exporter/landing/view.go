// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// overviewFrom is the number of clusters from which on the page begins with a
// table of them.
const overviewFrom = 4

// level is how bad something is; the page shows it as a word and a symbol, and
// by colour only besides.
type level int

const (
	good level = iota
	unknown
	warning
	bad
)

// String is the level's class in the style sheet and the id of its symbol.
func (l level) String() string { return [...]string{"good", "unknown", "warning", "bad"}[l] }

// cell is one figure; without a text it is shown as a dash.
type cell struct {
	Level level
	Text  string
	Note  string // a second, smaller line
}

// fact is one figure of a cluster with its name.
type fact struct {
	Name string
	cell
}

// pageView is all that the template shows.
type pageView struct {
	Version  string
	Rendered string // UTC
	Single   bool
	Title    string
	Level    level
	Summary  string // of several clusters
	Overview bool
	Backups  bool          // a cluster has a store
	Clusters []clusterView // the worst first
}

func newPageView(now time.Time, version string, clusters []Cluster, single bool) pageView {
	p := pageView{Version: clean(version), Rendered: stamp(now), Single: single, Overview: len(clusters) >= overviewFrom}
	for _, c := range clusters {
		view := newClusterView(c, now, single)
		view.Overview = p.Overview
		p.Backups = p.Backups || len(view.Stores) > 0
		p.Clusters = append(p.Clusters, view)
	}
	slices.SortStableFunc(p.Clusters, func(a, b clusterView) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(b.Level, a.Level))
	})
	switch len(clusters) {
	case 0:
		p.Level, p.Title = unknown, "no cluster is configured"
		p.Summary = "No cluster is configured."
	case 1:
		p.Level, p.Title = p.Clusters[0].Level, p.Clusters[0].Name+": "+p.Clusters[0].State
	default:
		p.Level, p.Summary = p.Clusters[0].Level, summary(p.Clusters)
		p.Title = strings.TrimSuffix(p.Summary, ".")
	}
	return p
}

// summary counts the clusters by state, in the order they are shown in.
func summary(clusters []clusterView) string {
	counts, states := map[string]int{}, []string{}
	for _, c := range clusters {
		if counts[c.State]++; counts[c.State] == 1 {
			states = append(states, c.State)
		}
	}
	if len(states) == 1 {
		return fmt.Sprintf("All %d clusters: %s.", len(clusters), states[0])
	}
	for i, state := range states {
		states[i] = fmt.Sprintf("%d %s", counts[state], state)
	}
	return fmt.Sprintf("%d clusters: %s.", len(clusters), strings.Join(states, ", "))
}

// stamp prints an instant for people and for logs to be searched by.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
