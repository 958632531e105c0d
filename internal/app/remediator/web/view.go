// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/etcdops/etcdops/internal/display"
	"github.com/etcdops/etcdops/remediate"
)

const (
	// maxRuns is how many runs the page shows; the API has the rest.
	maxRuns = 50
	// maxName and maxLine bound a name and a sentence on the page, in characters.
	maxName, maxLine = 100, 400
	// lateHeartbeat is the age from which the heartbeat is called late: Alertmanager
	// repeats it every 10 minutes where it is routed as shipped.
	lateHeartbeat = 30 * time.Minute
)

// level is how bad something is; the page shows it as a word and a symbol, and by
// colour only besides.
type level int

const (
	good level = iota
	unknown
	warning
	bad
)

// String is the level's class in the style sheet and the id of its symbol.
func (l level) String() string { return [...]string{"good", "unknown", "warning", "bad"}[l] }

// cell is one figure; without a text it is shown as a dash. Plain ones have no
// symbol.
type cell struct {
	Plain bool
	Level level
	Text  string
	Note  string // a second, smaller line
}

func plain(text, note string) cell { return cell{Plain: true, Text: text, Note: note} }

// instant is a time as a person and as a program reads it; both empty: never.
type instant struct{ Near, Stamp string }

// finding is one thing that a person should know.
type finding struct {
	Level level
	Text  string
	Where []string
}

type fact struct {
	Name string
	cell
}

// pageView is all that the template shows.
type pageView struct {
	Version, Rendered string
	Level             level
	State             string
	Findings          []finding
	Facts             []fact
	Running           []runningView
	Policies          []policyView
	Intents           []intentView
	Runs              []runView
	More              int // runs left out
}

type runningView struct {
	runView
	Step string
	Bar  *float64 // percent; nil: not known
	Far  string   // how far, in words
}

type policyView struct {
	Name, Action, Cluster, Matchers        string
	Mode, Alert, Cooldown, Budget, Breaker cell
}

type intentView struct {
	Policy, Cluster, Alert, Reason, Tries string
	Since, Next                           instant
}

func name(text string) string { return display.Clean(text, maxName) }

func line(text string) string { return display.Clean(text, maxLine) }

// moment tells a time relative to now.
func moment(now, t time.Time) instant {
	if t.IsZero() {
		return instant{}
	}
	near := display.Whole(now.Sub(t)) + " ago"
	switch away := t.Sub(now); {
	case away.Abs() < time.Second:
		near = "just now"
	case away > 0:
		near = "in " + display.Whole(away)
	}
	return instant{Near: near, Stamp: t.UTC().Format(time.RFC3339)}
}

func newPageView(s subject) pageView {
	p := pageView{Version: name(s.Version), Rendered: display.Stamp(s.Now)}
	p.Findings = findings(s)
	p.Level, p.State = overall(s, p.Findings)
	p.Facts = facts(s)
	for _, r := range s.State.Running {
		p.Running = append(p.Running, newRunningView(s.Now, r))
	}
	for _, policy := range s.State.Policies {
		p.Policies = append(p.Policies, policyRows(s.Now, policy)...)
	}
	for _, i := range s.State.Intents {
		p.Intents = append(p.Intents, intentView{
			Policy: name(i.Policy), Cluster: name(i.Cluster), Alert: name(i.Alert), Reason: line(i.LastReason),
			Tries: display.Grouped(int64(i.Tries)), Since: moment(s.Now, i.Since), Next: moment(s.Now, i.Next),
		})
	}
	for i, r := range s.Runs {
		if i == maxRuns {
			p.More = len(s.Runs) - maxRuns
			break
		}
		p.Runs = append(p.Runs, newRunView(s.Now, r))
	}
	return p
}

// overall puts the program's state into a few words. What a person should look at
// colours it, whatever the program is about.
func overall(s subject, found []finding) (level, string) {
	l, state := doing(s)
	if len(found) == 0 || found[0].Level <= l {
		return l, state
	}
	if state == "ready" {
		return found[0].Level, "needs a look"
	}
	return found[0].Level, state + ", needs a look"
}

// doing says what the program is about, the gravest first.
func doing(s subject) (level, string) {
	open := slices.ContainsFunc(s.State.Policies, func(p Policy) bool {
		return slices.ContainsFunc(p.Clusters, func(c Standing) bool { return c.BreakerOpen })
	})
	waits := slices.ContainsFunc(s.Runs, awaits)
	switch {
	case s.State.JournalFault != "":
		return bad, "plans only"
	case !s.State.PausedSince.IsZero():
		return warning, "paused"
	case len(s.State.Running) > 0:
		return good, "at work"
	case !s.State.Leader:
		return unknown, "standing by"
	case open:
		return bad, "breaker open"
	case waits:
		return warning, "waits for approval"
	default:
		return good, "ready"
	}
}

func awaits(r remediate.Run) bool { return r.Outcome == remediate.AwaitingApproval }

// findings are what a person should look at, the gravest first.
func findings(s subject) []finding {
	var out []finding
	add := func(l level, text string, where ...string) {
		for i := range out {
			if out[i].Text == text {
				out[i].Where = append(out[i].Where, where...)
				return
			}
		}
		out = append(out, finding{l, text, where})
	}
	if s.State.JournalFault != "" {
		add(bad, "The journal cannot be relied upon: plans only, until a person has looked", line(s.State.JournalFault))
	}
	for _, p := range s.State.Policies {
		for _, c := range p.Clusters {
			where := name(p.Name) + " on " + name(c.Cluster)
			if c.BreakerOpen {
				add(bad, "Breaker is open: the policy is held back until a person resumes", where+": "+line(c.BreakerWhy))
			}
			if c.Firing && c.BudgetLeft <= 0 {
				add(warning, "Budget is spent while the alert fires", where)
			}
		}
	}
	for _, r := range lastOfEach(s.Runs) {
		what := name(r.Action) + " of " + name(r.Cluster)
		switch r.Outcome {
		case remediate.Failed:
			add(bad, "The last run failed", what+": "+line(r.Reason))
		case remediate.Interrupted:
			add(warning, "The last run was interrupted", what+": "+line(r.Reason))
		}
	}
	for _, r := range s.Runs {
		if awaits(r) {
			add(warning, "A run waits for approval", fmt.Sprintf("%s of %s, until %s: etcd_remediator approve %s", name(r.Action), name(r.Cluster), cmp.Or(moment(s.Now, r.ExpiresAt).Stamp, "it expires"), name(r.ID)))
		}
	}
	if !s.State.PausedSince.IsZero() {
		add(warning, "Paused: no run starts until a person resumes", "by "+cmp.Or(name(s.State.PausedBy), "somebody")+", "+moment(s.Now, s.State.PausedSince).Near)
	}
	if late := s.Now.Sub(s.Heartbeat); !s.Heartbeat.IsZero() && late > lateHeartbeat {
		add(warning, "Heartbeat is late: alerts may not come through", "the last one came "+display.Whole(late)+" ago")
	}
	slices.SortStableFunc(out, func(a, b finding) int { return cmp.Compare(b.Level, a.Level) })
	return out
}

// lastOfEach gives the newest finished run of each policy, action and cluster.
func lastOfEach(runs []remediate.Run) []remediate.Run {
	type key struct{ policy, action, cluster string }
	seen := map[key]bool{}
	var out []remediate.Run
	for _, r := range runs {
		k := key{r.Policy, r.Action, r.Cluster}
		if r.FinishedAt.IsZero() || seen[k] {
			continue
		}
		seen[k] = true
		out = append(out, r)
	}
	return out
}

func facts(s subject) []fact {
	st := s.State
	acts := cell{Level: good, Text: "yes", Note: "the only one; no election"}
	switch {
	case st.Election && st.Leader:
		acts.Note = "elected"
	case !st.Leader:
		acts = cell{Level: unknown, Text: "no, another does", Note: name(st.Holder)}
	}
	journal := cell{Level: good, Text: "fit"}
	if st.JournalFault != "" {
		journal = cell{Level: bad, Text: "not fit"}
	}
	pause := cell{Level: good, Text: "no"}
	if !st.PausedSince.IsZero() {
		pause = cell{Level: warning, Text: "yes", Note: moment(s.Now, st.PausedSince).Stamp}
	}
	beat := moment(s.Now, s.Heartbeat)
	heartbeat := cell{Level: good, Text: beat.Near, Note: beat.Stamp}
	switch {
	case s.Heartbeat.IsZero():
		heartbeat = plain("none yet", "since this process started")
	case s.Now.Sub(s.Heartbeat) > lateHeartbeat:
		heartbeat.Level = warning
	}
	return []fact{
		{"Mode", plain(name(st.Mode), "no policy goes beyond it")},
		{"Acts", acts},
		{"Paused", pause},
		{"Journal", journal},
		{"Under way", plain(display.Grouped(int64(len(st.Running))), display.Grouped(int64(st.QueueLength))+" in the queue")},
		{"Open intents", plain(display.Grouped(int64(len(st.Intents))), "")},
		{"Heartbeat", heartbeat},
	}
}

// policyRows is a row for each cluster of a policy.
func policyRows(now time.Time, p Policy) []policyView {
	row := policyView{Name: name(p.Name), Action: name(p.Action), Mode: plain(name(p.Mode), ""), Matchers: line(p.Matchers)}
	if len(p.Clusters) == 0 {
		return []policyView{row}
	}
	var rows []policyView
	for _, c := range p.Clusters {
		row.Cluster = name(c.Cluster)
		row.Alert = plain("quiet", "")
		if c.Firing {
			row.Alert = cell{Level: warning, Text: "fires"}
		}
		row.Cooldown = plain("over", "of "+display.Whole(p.Cooldown))
		switch {
		case p.Cooldown == 0:
			row.Cooldown = plain("none", "")
		case c.CooldownUntil.After(now):
			row.Cooldown = cell{Level: unknown, Text: display.Whole(c.CooldownUntil.Sub(now)) + " left", Note: "until " + c.CooldownUntil.UTC().Format(time.RFC3339)}
		}
		row.Budget = cell{Plain: c.BudgetLeft > 0, Level: warning, Text: fmt.Sprintf("%d of %d left", max(0, c.BudgetLeft), p.Budget), Note: "in 24 h"}
		row.Breaker = cell{Level: good, Text: "closed"}
		if c.BreakerOpen {
			row.Breaker = cell{Level: bad, Text: "open", Note: line(c.BreakerWhy)}
		}
		rows = append(rows, row)
	}
	return rows
}
