// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// printJSON writes the run as the API gives it.
func printJSON(w io.Writer, run *remediate.Run) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(run.Whole())
}

// printRun tells a person of a plan or of a run that has ended.
func printRun(w io.Writer, run *remediate.Run) {
	parameters := "the action's own parameters"
	if run.Policy != "" {
		parameters = "policy " + clean(run.Policy)
	}
	fmt.Fprintf(w, "%s on cluster %s, with %s (run %s)\n", run.Action, clean(run.Cluster), parameters, run.ID)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	printGuards(w, table, run.Guards)
	if len(run.Steps) > 0 {
		fmt.Fprintln(w, "\nSteps")
	}
	for i, s := range run.Steps {
		fmt.Fprintf(table, "  %d.\t%s\t%s\t%s\n", i+1, s.Action, clean(cmp.Or(s.Member, s.URL, "-")), stepText(s))
	}
	_ = table.Flush()
	fmt.Fprintf(w, "\n%s: %s\n", run.Outcome, clean(run.Reason))
}

// printGuards tells of every guard, of those that refuse with their reasons.
func printGuards(w io.Writer, table *tabwriter.Writer, verdicts []remediate.Verdict) {
	if len(verdicts) == 0 {
		return
	}
	fmt.Fprintln(w, "\nGuards")
	allow := ""
	for _, v := range verdicts {
		if v.Verdict == remediate.Allow {
			if last := strings.LastIndex(allow, "\n") + 1; len(allow)-last+len(v.Guard) > 70 {
				allow += "\n         "
			}
			allow += v.Guard + " "
			continue
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", v.Verdict, v.Guard, clean(v.Reason))
	}
	_ = table.Flush()
	if allow != "" {
		fmt.Fprintf(w, "  allow  %s\n", strings.TrimSuffix(allow, " "))
	}
}

// stepText says what a step is to do, or what came of it.
func stepText(s *remediate.Step) string {
	var parts []string
	switch {
	case s.Error != "":
		parts = append(parts, "FAILED: "+clean(s.Error))
	case s.Done() && s.Action == remediate.StepDefrag:
		parts = append(parts, fmt.Sprintf("%s -> %s", size(s.BeforeBytes), size(s.AfterBytes)))
	case s.Done() && s.Action == remediate.StepPrune:
		parts = append(parts, fmt.Sprintf("%d keys deleted", s.Keys))
	case s.Done() && s.File != "":
		parts = append(parts, clean(s.File), size(s.AfterBytes))
	}
	if s.Done() || s.Error != "" {
		parts = append(parts, "in "+s.FinishedAt.Sub(s.StartedAt).Round(time.Millisecond).String())
	}
	return strings.Join(append(parts, clean(s.Reason)), "; ")
}

// size writes bytes for a person.
func size(n int64) string {
	value, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// clean keeps names from elsewhere on their line: etcd's members and keys may be
// called anything.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// shower follows a run that goes: a line a step, and on a terminal a bar below.
type shower struct {
	out      io.Writer
	terminal bool
	bar      bool // one stands on the present line
	last     time.Time
}

// step tells of the beginning and the end of a step.
func (s *shower) step(_ *remediate.Run, step *remediate.Step) {
	s.clear()
	who := clean(cmp.Or(step.Member, step.URL))
	switch {
	case step.FinishedAt.IsZero() && step.Action == remediate.StepPrune: // there are many: the bar tells
	case step.FinishedAt.IsZero():
		fmt.Fprintf(s.out, "%s %s: %s\n", step.Action, who, clean(step.Reason))
	default:
		fmt.Fprintf(s.out, "%s %s: %s\n", step.Action, who, stepText(step))
	}
}

// progress draws the bar, at most a few times a second; off a terminal a line now
// and then.
func (s *shower) progress(step *remediate.Step, done, all int64) {
	every := 10 * time.Second
	if s.terminal {
		every = 200 * time.Millisecond
	}
	if time.Since(s.last) < every && done < all {
		return
	}
	s.last = time.Now()
	unit := "keys"
	switch step.Action {
	case remediate.StepWait:
		unit = "s"
	case remediate.StepSnapshot:
		unit = "bytes"
	}
	text := fmt.Sprintf("%s: %d of %d %s", step.Action, done, all, unit)
	if step.Action == remediate.StepWait {
		text += ": " + clean(step.Reason)
	}
	if !s.terminal {
		fmt.Fprintln(s.out, text)
		return
	}
	const width = 30
	filled := 0
	if all > 0 {
		filled = int(min(done, all) * width / all)
	}
	fmt.Fprintf(s.out, "\r\x1b[K[%s%s] %.100s", strings.Repeat("#", filled), strings.Repeat(".", width-filled), text)
	s.bar = true
}

// clear takes the bar away before a line.
func (s *shower) clear() {
	if s.bar {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.bar = false
	}
}
