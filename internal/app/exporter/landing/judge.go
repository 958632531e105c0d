// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// The ranks of a cluster's state.
const (
	rankCalm = iota
	rankFindings
	rankOutage
)

// judge gathers what is wrong and puts the cluster's state in two words.
func (v *clusterView) judge(r readings, q quorum) {
	outage := v.outage(r, q)
	if alarms := v.alarms(r); outage == "" {
		outage = alarms
	}
	if differ := v.data(r); outage == "" {
		outage = differ
	}
	for i := range v.Endpoints {
		v.endpoint(&v.Endpoints[i], q)
	}
	v.clocks()
	v.membership(r)
	v.backups()
	if v.Stale {
		v.Findings.note(warning, "No scrape for "+v.Age+": all of this is as old")
	}
	v.Findings = v.Findings.done()
	v.Others = max(len(v.Findings)-1, 0)
	v.Level = v.Findings.worst()
	serving := !slices.ContainsFunc(v.Findings, func(f finding) bool { return !f.Upkeep || f.Level == bad && !f.Aside })
	switch {
	case outage != "":
		v.State, v.rank = outage, rankOutage
	case !serving:
		v.State, v.rank = "degraded", rankFindings
	case q.known || r.has("endpoint_up"):
		v.State = "healthy"
		if len(v.Findings) > 0 && !v.Stale {
			v.State, v.rank = "needs attention", rankFindings
		}
	default:
		v.State, v.Level = "not known", max(v.Level, unknown)
	}
	if v.Stale {
		v.State += " (stale)"
	}
}

// outage says in which way the cluster does not serve, or nothing.
func (v *clusterView) outage(r readings, q quorum) string {
	noLeader := r.is(0, "cluster_has_leader")
	switch {
	case q.asked > 0 && q.up == 0 && q.blind == q.asked:
		v.Findings.add(bad, "Nothing can be seen of this cluster: the exporter reaches no endpoint, etcd itself may be well")
		return "unreachable"
	case q.asked > 0 && q.up == 0:
		v.Findings.add(bad, "No endpoint answers")
		return "unreachable"
	case q.lost() && (!noLeader || q.upVoters < q.size):
		v.Findings.add(bad, fmt.Sprintf("Quorum is lost: %s, %d are needed: no writes, no linearizable reads", q.voterCell().Text, q.size))
		return "quorum lost"
	case noLeader:
		v.Findings.add(bad, "No member knows a leader: no writes, no linearizable reads")
		return "no leader"
	}
	switch {
	case q.known && q.tolerance < 0: // most likely they have no endpoint here
		v.Findings.note(warning, "Fewer voters than a quorum are seen healthy, though reads through the quorum work: give every member an endpoint here, or turn discovery on")
	case q.known && q.tolerance == 0 && q.voters > 1 && q.healthy < q.voters:
		v.Findings.add(warning, "One more failure loses the quorum")
	case q.known && q.healthy < q.voters:
		v.Findings.add(warning, "Not every voter is healthy")
	}
	return ""
}

func (v *clusterView) alarms(r readings) string {
	var kinds []string
	for m, active := range r.each("alarm_active") {
		if active != 1 {
			continue
		}
		kind := labelOf(m, "alarm")
		text := "Alarm " + clean(kind)
		switch kind {
		case "NOSPACE":
			text += ": etcd refuses writes until space is freed and the alarm is disarmed"
		case "CORRUPT":
			text += ": the members' data differs or is damaged, etcd refuses to serve"
		}
		v.Findings.add(bad, text, memberOf(m))
		if !slices.Contains(kinds, clean(kind)) {
			kinds = append(kinds, clean(kind))
		}
	}
	if len(kinds) == 0 {
		return ""
	}
	return strings.Join(kinds, " and ") + " alarm"
}

func (v *clusterView) endpoint(e *endpointView, q quorum) {
	f := &v.Findings
	switch {
	case e.State.Text == "defragmenting":
		f.add(warning, "Defragmentation in progress: the member's reads and writes wait", e.place(""))
	case e.State.Text == "down" && e.blind():
		f.add(warning, "Endpoint cannot be seen: check CA, certificates, server name, user and name service", e.place(e.State.Note))
	case e.State.Text == "down":
		f.add(warning, "Endpoint is down", e.place(e.State.Note))
	}
	if e.Role.Level == bad && q.leader {
		f.add(warning, "Member knows no leader while others do", e.place(""))
	}
	for _, read := range e.Reads {
		// Without a leader or a quorum no linearizable read can work.
		if read.Level == bad && (read.Name != "linearizable" || q.leader && !q.lost()) {
			f.add(warning, strings.ToUpper(read.Name[:1])+read.Name[1:]+" read fails", e.place(""))
		}
	}
	switch e.Database.Level {
	case bad:
		f.note(bad, "Database is nearly at its quota: at the quota etcd refuses all writes", e.place(e.Database.Text))
	case warning:
		f.note(warning, "Database nears its quota", e.place(e.Database.Text))
	}
	if e.Disk.Level != good {
		f.note(warning, "Disk has too little room for a defragmentation", e.place(e.Disk.Text))
	}
	if e.Cert.Level != good {
		f.note(e.Cert.Level, e.Cert.problem("Server certificate"), e.place(e.Cert.Text))
	}
}

// clocks tells members that differ from a clock of ours that is wrong: then all
// differ from us and agree among themselves.
func (v *clusterView) clocks() {
	var off []*endpointView
	all, together := 0, interval{low: -1 << 62, high: 1 << 62}
	for i := range v.Endpoints {
		e := &v.Endpoints[i]
		if !e.skew.known {
			continue
		}
		all++
		together.low, together.high = max(together.low, e.skew.low), min(together.high, e.skew.high)
		if e.skew.surely() > maxSkew {
			off = append(off, e)
		}
	}
	ours := all > 1 && len(off) == all && together.low-together.high < time.Second
	for _, e := range off {
		text := "Clock is more than a second off"
		if ours {
			text = "All members' clocks differ from the exporter's alike: the exporter's own is wrong"
		}
		v.Findings.note(warning, text, e.place(e.Clock.Text))
	}
}

func (v *clusterView) membership(r readings) {
	for _, views := range []struct {
		of, text string
		level    level
	}{
		{"cluster_id", "Endpoints belong to different clusters", bad},
		{"membership", "Voters have different member lists", bad},
		{"leader", "Voters name different leaders", warning},
	} {
		if n, ok := r.value("cluster_views", "of", views.of); ok && n > 1 {
			v.Findings.add(views.level, fmt.Sprintf("%s: %s answers", views.text, grouped(n)))
		}
	}
	for m, started := range r.each("member_started") {
		if started == 0 {
			v.Findings.add(warning, "Member was added and never started: as a voter it raises the quorum and adds nothing", memberOf(m))
		}
	}
	if n, ok := r.value("cluster_members_unmonitored"); ok && n > 0 {
		v.Findings.note(warning, "No endpoint here leads to "+count(n, "started member", "started members"))
	}
	if n, ok := r.value("cluster_endpoints_unlisted"); ok && n > 0 {
		v.Findings.note(warning, count(n, "endpoint answers", "endpoints answer")+" for a member that is not in the member list")
	}
}

// memberOf names the member of a series: by name, else by id.
func memberOf(m *dto.Metric) string {
	return cmp.Or(clean(labelOf(m, "member")), clean(labelOf(m, "member_id")), "a member without a name")
}
