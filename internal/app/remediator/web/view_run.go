// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/display"
	"github.com/etcdops/etcdops/remediate"
)

// mostCauses is how many reasons, sources and namespaces of deleted events are named.
const mostCauses = 4

// runView is one run.
type runView struct {
	ID, Cluster, Policy, Action, Mode string
	State                             cell
	At                                instant
	Took                              string
	Trigger, Reason                   string
	Result                            []string
	Steps                             []stepView
	Against                           []guardView // who refused, or could not tell
	Allowed                           string      // the names of the others
	Open                              bool        // the details are shown at once
}

type stepView struct {
	Number       int
	Action       string
	Member, URL  string
	Reason       string
	State        cell
	Size, Keys   cell
	Took         string
	At           instant
	Error        string
	Sample, File string
}

type guardView struct {
	Level        level
	Name, Reason string
}

// outcome gives the words for an outcome, and how bad it is.
func outcome(o remediate.Outcome) cell {
	switch o {
	case "":
		return cell{Level: good, Text: "under way"}
	case remediate.Succeeded:
		return cell{Level: good, Text: "succeeded"}
	case remediate.Failed:
		return cell{Level: bad, Text: "failed"}
	case remediate.Interrupted:
		return cell{Level: warning, Text: "interrupted"}
	case remediate.AwaitingApproval:
		return cell{Level: warning, Text: "waits for approval"}
	case remediate.NothingToDo:
		return cell{Level: unknown, Text: "nothing to do"}
	default:
		return cell{Level: unknown, Text: name(string(o))}
	}
}

func newRunView(now time.Time, r remediate.Run) runView {
	v := runView{
		ID: name(r.ID), Cluster: name(r.Cluster), Policy: name(r.Policy), Action: name(r.Action), Mode: name(r.Mode),
		State: outcome(r.Outcome), At: moment(now, cmp.Or(r.StartedAt, r.AcceptedAt)), Took: took(r.StartedAt, r.FinishedAt),
		Trigger: trigger(r.Trigger), Reason: line(r.Reason), Result: results(r),
		Open: r.Outcome == "" || r.Outcome == remediate.AwaitingApproval,
	}
	for i, s := range r.Steps {
		v.Steps = append(v.Steps, newStepView(now, i+1, s))
	}
	var allowed []string
	for _, g := range r.Guards {
		switch g.Verdict {
		case remediate.Allow:
			allowed = append(allowed, name(g.Guard))
		case remediate.Refusal:
			v.Against = append(v.Against, guardView{warning, name(g.Guard) + " refuses", line(g.Reason)})
		default:
			v.Against = append(v.Against, guardView{warning, name(g.Guard) + " cannot tell, and refuses", line(g.Reason)})
		}
	}
	v.Allowed = strings.Join(allowed, ", ")
	return v
}

func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	return display.Lapse(to.Sub(from))
}

func trigger(t remediate.Trigger) string {
	if t.Kind == remediate.TriggerHand {
		return "by hand" + prefixed(", ", name(t.By))
	}
	return "alert" + prefixed(" ", name(t.Alert)) + prefixed(", fingerprint ", name(t.Fingerprint))
}

// prefixed puts something before a text that is not empty.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// results sums up what a run did, or would do.
func results(r remediate.Run) []string {
	var out []string
	if n := r.Reclaimed(); n > 0 {
		out = append(out, display.Size(n)+" reclaimed")
	}
	if n := r.Pruned(); n > 0 {
		out = append(out, display.Count(n, "key", "keys")+" deleted")
	}
	done, planned, failed := 0, 0, 0
	for _, s := range r.Steps {
		switch {
		case s.Error != "":
			failed++
		case s.StartedAt.IsZero():
			planned++
		case s.Done():
			done++
		}
	}
	for _, c := range []struct {
		n    int
		word string
	}{{done, "done"}, {failed, "failed"}, {planned, "planned"}} {
		if c.n > 0 {
			out = append(out, display.Count(int64(c.n), "step ", "steps ")+c.word)
		}
	}
	return out
}

func newStepView(now time.Time, number int, s *remediate.Step) stepView {
	v := stepView{
		Number: number, Action: strings.ReplaceAll(name(s.Action), "_", " "),
		Member: cmp.Or(name(s.Member), name(s.MemberID)), URL: name(s.URL), Reason: line(s.Reason),
		At: moment(now, s.StartedAt), Took: took(s.StartedAt, s.FinishedAt), Error: line(s.Error),
		Sample: sample(s.Sample), File: line(s.File),
	}
	switch {
	case s.Error != "":
		v.State = cell{Level: bad, Text: "failed"}
	case s.StartedAt.IsZero():
		v.State = cell{Level: unknown, Text: "planned"}
	case s.FinishedAt.IsZero() && s.Until.After(now):
		v.State = cell{Level: good, Text: "waits", Note: "until " + s.Until.UTC().Format(time.RFC3339)}
	case s.FinishedAt.IsZero():
		v.State = cell{Level: good, Text: "under way"}
	default:
		v.State = cell{Level: good, Text: "done"}
	}
	switch {
	case s.BeforeBytes > 0 && s.AfterBytes > 0:
		v.Size = plain(display.Size(s.BeforeBytes)+" → "+display.Size(s.AfterBytes), "")
	case s.BeforeBytes > 0:
		v.Size = plain(display.Size(s.BeforeBytes), "")
	}
	if s.Estimate > 0 {
		v.Size.Plain, v.Size.Note = true, "expected to free "+display.Size(s.Estimate)
	}
	v.Keys = stepKeys(s)
	if n := len(s.Removed); n > 0 {
		v.File = strings.TrimPrefix(v.File+"; removed "+display.Count(int64(n), "older one", "older ones"), "; ")
	}
	return v
}

// stepKeys tells of keys and revisions.
func stepKeys(s *remediate.Step) cell {
	var out cell
	out.Plain = true
	if s.Keys > 0 || s.Kept > 0 {
		out.Text = display.Count(s.Keys, "key", "keys")
		if s.Kept > 0 {
			out.Text += ", " + display.Grouped(s.Kept) + " kept"
		}
	}
	if s.Revision > 0 {
		out.Note = "revision " + display.Grouped(s.Revision)
	}
	return out
}

// sample tells what was deleted: the cause of the flood.
func sample(s *remediate.Sample) string {
	if s == nil || s.Events == 0 {
		return ""
	}
	return fmt.Sprintf("of %s looked at: %s", display.Count(int64(s.Events), "event", "events"), strings.Join([]string{
		"reasons " + largest(s.Reasons), "sources " + largest(s.Sources), "namespaces " + largest(s.Namespaces),
	}, "; "))
}

func largest(counts map[string]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var out []string
	for _, n := range names[:min(mostCauses, len(names))] {
		out = append(out, cmp.Or(name(n), "(none)")+" "+display.Grouped(int64(counts[n])))
	}
	if len(names) > mostCauses {
		out = append(out, "and "+display.Count(int64(len(names)-mostCauses), "more", "more"))
	}
	return cmp.Or(strings.Join(out, ", "), "–")
}

// newRunningView is a run under way with how far its step is.
func newRunningView(now time.Time, r Running) runningView {
	v := runningView{runView: newRunView(now, r.Run)}
	v.Step = "looking at the cluster"
	if n := len(v.Steps); n > 0 {
		s := v.Steps[n-1]
		v.Step = fmt.Sprintf("step %d: %s", s.Number, s.Action) + prefixed(" on ", s.Member) + " (" + s.State.Text + ")"
	}
	if r.All > 0 {
		percent := 100 * float64(min(max(r.Done, 0), r.All)) / float64(r.All)
		v.Bar = &percent
		v.Far = far(r, max(r.Done, 0)) + " of " + far(r, r.All)
	}
	return v
}

// far puts what a step counts into words: keys, bytes, or seconds of waiting.
func far(r Running, n int64) string {
	if len(r.Run.Steps) > 0 {
		switch r.Run.Steps[len(r.Run.Steps)-1].Action {
		case remediate.StepSnapshot, remediate.StepDefrag:
			return display.Size(n)
		case remediate.StepWait, remediate.StepCompact:
			return display.Lapse(time.Duration(min(n, math.MaxInt64/int64(time.Second))) * time.Second)
		}
	}
	return display.Grouped(n)
}
