// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// clusterView is one cluster's section, and its row of the overview.
type clusterView struct {
	Name, Anchor string
	State        string // what an operator wants to know first
	Level        level
	Scrape       string // the path that scrapes it
	Age, Took    string
	At           string
	Stale        bool
	Overview     bool // the page begins with a table of clusters
	Findings     findings
	Others       int // of them, beside the first
	Facts        []fact
	Endpoints    []endpointView
	Keys         []keysView
	Stores       []storeView
	Drills       bool // a store has one

	Voters, Leader, Database, Cert, Backup cell // of the overview

	rank int // of the state: the higher, the sooner it is shown
}

func newClusterView(c Cluster, now time.Time, single bool) clusterView {
	v := clusterView{Name: clean(c.Name), Anchor: anchor(c.Name), Scrape: "/probe?cluster=" + url.QueryEscape(c.Name)}
	if single {
		v.Scrape = "/metrics"
	}
	r := readings{}
	if c.Last != nil {
		r = newReadings(c.Last)
		age := now.Sub(c.Last.At)
		v.Age, v.Took, v.At, v.Stale = lapse(age), lapse(c.Last.Took), stamp(c.Last.At), age > staleAfter
	}
	for _, e := range c.Endpoints {
		v.Endpoints = append(v.Endpoints, newEndpointView(c.Name, e, r, now))
	}
	if c.Last == nil {
		v.State, v.Level = "not scraped yet", unknown
		return v
	}
	q := newQuorum(r, v.Endpoints)
	v.Leader = leaderCell(r, v.Endpoints)
	v.Voters = q.voterCell()
	at := c.Last.At
	if at.After(now) { // our clock was set back
		at = now
	}
	v.Keys = newKeysViews(r, at, now)
	v.Stores = newStoreViews(r, at, now)
	v.Drills = slices.ContainsFunc(v.Stores, func(s storeView) bool { return s.Drill.Text != "" })
	v.keyspace()
	v.facts(r, now, q)
	v.worst()
	v.judge(r, q)
	return v
}

// anchor makes an id of a name. The configuration allows names of letters,
// digits and - _ . alone; whatever else comes is written in hex.
func anchor(name string) string {
	var id strings.Builder
	id.WriteString("cluster-")
	for _, b := range []byte(name) {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_', b == '.':
			id.WriteByte(b)
		default:
			fmt.Fprintf(&id, "~%02x", b)
		}
	}
	return id.String()
}

func (v *clusterView) fact(name string, c cell) {
	if c.Text == "" {
		c.Text = "–"
	}
	v.Facts = append(v.Facts, fact{name, c})
}

// facts are the figures of the section's head. What a cluster may lack for good,
// such as a client certificate, has no dash.
func (v *clusterView) facts(r readings, now time.Time, q quorum) {
	v.fact("Voters", v.Voters)
	v.fact("Failure tolerance", q.toleranceCell())
	v.fact("Leader", v.Leader)
	v.fact("Alarms", alarmCell(r))
	v.fact("Views", viewsCell(r))
	if c := hashCell(r, now); c.Text != "" {
		v.fact("Data", c)
	}
	v.fact("Revision", revisionCell(r))
	if learners, _ := r.value("cluster_members", "role", "learner"); learners > 0 {
		v.fact("Learners", cell{good, grouped(learners), "they do not vote"})
	}
	if unstarted, _ := r.value("cluster_members_unstarted"); unstarted > 0 {
		v.fact("Unstarted members", cell{warning, grouped(unstarted), ""})
	}
	for _, c := range []struct{ name, role string }{{"Client certificate", "client"}, {"Peer certificates", "peer"}, {"CA", "issuer"}} {
		cert := newCertificate(r, now, c.role)
		if cert.Text == "" {
			continue
		}
		v.fact(c.name, cert.cell)
		if cert.Level != good {
			v.Findings.note(cert.Level, cert.problem(c.name), cert.Note+": "+cert.Text)
		}
	}
	v.fact("Collectors", v.collectors(r))
}

func (v *clusterView) collectors(r readings) cell {
	var failing, puzzling []string
	total := 0
	for m, success := range r.each("exporter_collector_success") {
		if total++; success == 1 {
			continue
		}
		name := clean(labelOf(m, "collector"))
		failing = append(failing, name)
		if !v.explains(name) {
			puzzling = append(puzzling, name)
		}
	}
	if len(puzzling) > 0 {
		v.Findings.note(warning, "Collectors did not learn all they ask for; the exporter's log says why", puzzling...)
	}
	if len(failing) > 0 {
		return cell{warning, strings.Join(failing, ", ") + " failing", fmt.Sprintf("of %d", total)}
	}
	if total == 0 {
		return cell{}
	}
	return cell{good, fmt.Sprintf("all %d succeed", total), ""}
}

// explains says whether a finding of its own will tell why the collector fails.
func (v *clusterView) explains(collector string) bool {
	switch collector {
	case "keyspace":
		return slices.ContainsFunc(v.Keys, func(k keysView) bool { return k.failing })
	case "backup":
		return slices.ContainsFunc(v.Stores, func(s storeView) bool { return s.listed && !s.up })
	default:
		return false
	}
}

// worst picks the figures of the overview: of each the worst endpoint's.
func (v *clusterView) worst() {
	used, earliest := -1.0, 0.0
	for _, e := range v.Endpoints {
		if e.Database.Text != "" && e.Database.used > used {
			used, v.Database = e.Database.used, e.Database.cell
		}
		if e.Cert.Text != "" && (v.Cert.Text == "" || e.Cert.notAfter < earliest) {
			earliest, v.Cert = e.Cert.notAfter, e.Cert.cell
		}
	}
	v.Backup = worstBackup(v.Stores)
}

func leaderCell(r readings, endpoints []endpointView) cell {
	var names, ids []string
	for _, e := range endpoints {
		if e.Role.Text != "leader" || e.ID != "" && slices.Contains(ids, e.ID) {
			continue // several endpoints may lead to one member
		}
		ids = append(ids, e.ID)
		names = append(names, cmp.Or(e.Member, e.ID, e.URL))
	}
	switch {
	case len(names) > 0:
		c := cell{good, strings.Join(names, ", "), strings.Join(ids, ", ")}
		if len(names) > 1 {
			c.Level = warning
		}
		return c
	case r.is(0, "cluster_has_leader"):
		return cell{bad, "none", ""}
	case r.is(1, "cluster_has_leader"):
		return cell{good, "at none of the endpoints", ""}
	default:
		return cell{}
	}
}

func alarmCell(r readings) cell {
	var raised []string
	for m, active := range r.each("alarm_active") {
		if active == 1 {
			raised = append(raised, clean(labelOf(m, "alarm"))+" on "+memberOf(m))
		}
	}
	switch {
	case len(raised) > 0:
		return cell{bad, strings.Join(raised, ", "), ""}
	case r.has("alarm_active"):
		return cell{good, "none", ""}
	default:
		return cell{}
	}
}

func viewsCell(r readings) cell {
	var differ []string
	for m, views := range r.each("cluster_views") {
		if views > 1 {
			differ = append(differ, grouped(views)+" views of "+strings.ReplaceAll(clean(labelOf(m, "of")), "_", " "))
		}
	}
	switch {
	case len(differ) > 0:
		return cell{warning, strings.Join(differ, ", "), "the voters disagree"}
	case r.has("cluster_views") && !r.is(0, "cluster_views", "of", "cluster_id"):
		return cell{good, "all voters agree", ""}
	default:
		return cell{}
	}
}

func revisionCell(r readings) cell {
	revision, known := r.value("cluster_revision")
	if !known {
		return cell{}
	}
	c := cell{good, grouped(revision), ""}
	if compacted, ok := r.value("cluster_compact_revision"); ok {
		c.Note = "compacted to " + grouped(compacted)
		if compacted == 0 {
			c.Note = "never compacted"
		}
	}
	return c
}
