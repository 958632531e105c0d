// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

const (
	// eventsFlood is from how many events on the pager calls; scanOld how old a
	// count may be.
	eventsFlood = 100_000
	scanOld     = 30 * time.Minute
	// topGroups is how many groups are named, of hundreds there may be.
	topGroups = 5
	// The two series beside the named groups.
	otherGroup, leafGroup = "__other__", "__leaf__"
)

// keysView is one prefix whose keys are counted.
type keysView struct {
	Prefix  string
	Events  bool // its keys are Kubernetes' events, its groups their namespaces
	Keys    cell
	Groups  []groupView // the largest, and last the sum of all others
	Counted cell

	counted, failing, old bool
	age                   time.Duration // of the count, at the time of the scrape
}

// groupView is the keys that have the next path segment in common.
type groupView struct {
	Name   string
	Keys   string
	Share  string // of all keys of the prefix; empty: too small to tell
	Gather bool   // the sum of what is not named

	keys float64
}

// newKeysViews makes a row of every prefix that a scan was tried of. at is when
// the scrape was made: what it says of the time is judged by that, and an old
// scrape is reported as such.
func newKeysViews(r readings, at, now time.Time) []keysView {
	var all []keysView
	for _, prefix := range r.values("prefix", "keyspace_scan_success", "keyspace_keys") {
		all = append(all, newKeysView(r, prefix, at, now))
	}
	return all
}

func newKeysView(r readings, prefix string, at, now time.Time) keysView {
	v := keysView{Prefix: middle(prefix), Events: strings.HasSuffix(prefix, "/events/")}
	keys, counted := r.value("keyspace_keys", "prefix", prefix)
	if v.counted = counted; counted {
		v.Keys.Text = grouped(keys)
		v.Groups = largest(r, prefix, keys)
	}
	if v.Events && keys > eventsFlood {
		v.Keys.Level = warning
	}
	ended, known := r.value("keyspace_scan_timestamp_seconds", "prefix", prefix)
	if known {
		v.age, v.Counted.Text = since(at, ended), ago(since(now, ended))
		v.old = v.age > scanOld
	}
	if took, ok := r.value("keyspace_scan_duration_seconds", "prefix", prefix); ok && known {
		v.Counted.Note = "took " + lapse(seconds(took))
	}
	if v.failing = r.is(0, "keyspace_scan_success", "prefix", prefix); v.failing {
		v.Counted.Text, v.Counted.Note = cmp.Or(v.Counted.Text, "never"), "the newest try failed"
	}
	if v.failing || v.old {
		v.Counted.Level = warning
	}
	return v
}

// largest are the groups that hold most of the prefix's keys.
func largest(r readings, prefix string, total float64) []groupView {
	var groups []groupView
	others := groupView{Name: "all others", Gather: true}
	for m, keys := range r.each("keyspace_group_keys", "prefix", prefix) {
		group := groupView{Name: middle(labelOf(m, "group")), keys: keys}
		switch name := labelOf(m, "group"); {
		case keys <= 0:
			continue
		case name == otherGroup:
			others.keys += keys
			continue
		case name == leafGroup:
			group.Name, group.Gather = "right under the prefix", true
		}
		groups = append(groups, group)
	}
	slices.SortStableFunc(groups, func(a, b groupView) int { return cmp.Compare(b.keys, a.keys) })
	for len(groups) > topGroups {
		others.keys += groups[len(groups)-1].keys
		groups = groups[:len(groups)-1]
	}
	if others.keys > 0 {
		groups = append(groups, others)
	}
	for i := range groups {
		g := &groups[i]
		g.Keys = grouped(g.keys)
		if total > 0 && g.keys >= total/100 && g.keys <= total {
			g.Share = percent(g.keys, total)
		}
	}
	return groups
}

// keyspace says what is wrong with the keys, or with counting them.
func (v *clusterView) keyspace() {
	for _, k := range v.Keys {
		if k.Keys.Level == warning {
			place := k.Prefix + ": " + k.Keys.Text
			if len(k.Groups) > 0 && !k.Groups[0].Gather {
				place += ", of them " + k.Groups[0].Keys + " in " + k.Groups[0].Name
			}
			v.Findings.note(warning, "Flood of events: more than "+grouped(eventsFlood)+" are stored", place)
		}
		switch {
		case k.failing && !k.counted:
			v.Findings.note(warning, "Keys cannot be counted; the exporter's log says why", k.Prefix+": never counted")
		case k.failing:
			v.Findings.note(warning, "Keys cannot be counted; the exporter's log says why", k.Prefix+": last counted "+k.Counted.Text)
		case k.old:
			v.Findings.note(warning, "Keys were last counted more than "+lapse(scanOld)+" ago", k.Prefix+": "+k.Counted.Text)
		}
	}
}
