// SPDX-License-Identifier: Apache-2.0

package top

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// view is where and how the table is shown.
type view struct {
	columns int // 0: as wide as the names are
	lines   int // that fit, of a live one
	live    bool
	left    time.Duration // of a live one
}

const (
	leastColumns = 40   // below that nothing can be laid out
	maxBehind    = 1000 // revisions that a watch may be behind without a word
	indent       = "  "
)

// render is the whole text: head, tables, notes.
func render(r Report, v view) string {
	if v.columns > 0 {
		v.columns = max(v.columns, leastColumns)
	}
	out := wrapAll(heading(r, v), v.columns)
	tail := wrapAll(remarks(r), v.columns)
	sections, spaced := sectionsOf(r), true
	if v.live {
		tail = tail[max(0, len(tail)-3):] // the newest; all of them in the final table
		spaced = fit(sections, v.lines-len(out)-len(tail))
	}
	edge := edgeOf(sections, v.columns)
	for _, s := range sections {
		if len(s.rows) == 0 {
			continue
		}
		if spaced {
			out = append(out, "")
		}
		out = append(out, s.lines(edge)...)
	}
	if spaced && len(tail) > 0 {
		out = append(out, "")
	}
	out = append(out, tail...)
	if v.live {
		out = out[:min(len(out), max(v.lines, 1))]
	}
	return strings.Join(out, "\n") + "\n"
}

// edgeOf is where all tables end: as far as the longest name wants, within the
// terminal.
func edgeOf(sections []*section, columns int) int {
	edge := 0
	for _, s := range sections {
		s.narrow(columns)
		if len(s.rows) > 0 {
			edge = max(edge, s.width())
		}
	}
	if columns > 0 {
		return min(edge, columns)
	}
	return edge
}

// fit cuts the tables down to a number of lines: first some rows of each, the
// first tables first, then one row more of each in turn. It says whether there is
// room for an empty line before each.
func fit(sections []*section, room int) (spaced bool) {
	const some = 3
	need := 1
	all := make([][]Row, len(sections))
	for i, s := range sections {
		all[i], s.rows = s.rows, nil
		if len(all[i]) > 0 {
			need += 2 + min(some, len(all[i]))
		}
	}
	heading := 1
	if spaced = need <= room; spaced {
		heading, room = 2, room-1
	}
	for i, s := range sections {
		least := min(some, len(all[i]))
		if least > 0 && heading+least <= room {
			s.rows = all[i][:least]
			room -= heading + least
		}
	}
	for more := true; more; {
		more = false
		for i, s := range sections {
			if len(s.rows) > 0 && len(s.rows) < len(all[i]) && room > 0 {
				s.rows = all[i][:len(s.rows)+1]
				room--
				more = true
			}
		}
	}
	return spaced
}

// heading is what is watched, for how long, how much of it, and what it costs.
func heading(r Report, v view) []string {
	what := "all keys"
	if r.Prefix != "" {
		what = "keys below " + r.Prefix
	}
	state := fmt.Sprintf("%.1f s", r.Seconds)
	switch {
	case v.live:
		state = fmt.Sprintf("%.0f s, %.0f s left", r.Seconds, v.left.Seconds())
	case r.Ended == endedInterrupted:
		state += ", interrupted"
	case r.Ended == endedMaxBytes:
		state += ", ended early"
	case r.Ended == endedLost:
		state += ", the watch was lost"
	}
	lines := []string{fmt.Sprintf("etcd top: cluster %s, %s, %s", r.Cluster, what, state)}
	if r.Total.Writes == 0 {
		lines = append(lines, fmt.Sprintf("no writes in %.0f s", r.Seconds))
	} else {
		t := r.Total
		lines = append(lines, fmt.Sprintf("%s writes, %s/s: %s new, %s updates, %s deletes; %s/s of data",
			grouped(t.Writes), rate(t.WritesPerSecond), rate(t.CreatedPerSecond), rate(t.UpdatedPerSecond), rate(t.DeletedPerSecond), size(t.BytesPerSecond)))
	}
	if kinds := r.Events.Types.Rows; len(kinds) > 0 {
		var of []string
		for _, kind := range kinds[:min(3, len(kinds))] {
			of = append(of, kind.Name+" "+rate(kind.WritesPerSecond))
		}
		t := r.Events.Total
		lines = append(lines, fmt.Sprintf("events: %s/s, of these %s; %s deleted", rate(t.WritesPerSecond), strings.Join(of, ", "), rate(t.DeletedPerSecond)))
	}
	if d := r.Database; d.SizeBytes > 0 {
		line := fmt.Sprintf("database: %s, in use %s (%s)", size(float64(d.SizeBytes)), size(float64(d.InUseBytes)), growth(d.InUseBytes-d.InUseAtStart))
		if d.QuotaBytes > 0 {
			line += ", quota " + size(float64(d.QuotaBytes))
		}
		lines = append(lines, line)
	}
	c := r.Cost
	return append(lines, fmt.Sprintf("cost: one watcher on %s; the server sends every change once more, %s so far (%s/s), in %s answers; %s Status requests",
		strings.Join(c.Endpoints, ", then "), size(float64(c.ReceivedBytes)), size(c.ReceivedBytesPerSecond), grouped(c.WatchAnswers), grouped(c.StatusRequests)))
}

func growth(bytes int64) string {
	if bytes < 0 {
		return "-" + size(float64(-bytes))
	}
	return "+" + size(float64(bytes))
}

// remarks is all that a reader must know to trust the figures.
func remarks(r Report) []string {
	var lines []string
	e := r.Events
	if e.Skipped > 0 {
		lines = append(lines, fmt.Sprintf("events: %s were too many to be decoded; reasons, sources and objects are those of %s", grouped(e.Skipped), grouped(e.Decoded.Writes)))
	}
	if e.NotEvents > 0 {
		lines = append(lines, fmt.Sprintf("events: %s values below /events/ are no Kubernetes events", grouped(e.NotEvents)))
	}
	if r.EncryptedValues > 0 {
		line := grouped(r.EncryptedValues) + " values are encrypted at rest; their size is counted"
		if e.Encrypted > 0 {
			line += fmt.Sprintf(", and the reasons of %s events stay unknown", grouped(e.Encrypted))
		}
		lines = append(lines, line)
	}
	if missing := r.Keys.MissingAtMost; missing > 0 {
		lines = append(lines, fmt.Sprintf("keys: more were written than are counted one by one; a row may lack up to %s writes", grouped(missing)))
	}
	if r.BehindRevisions > maxBehind {
		lines = append(lines, fmt.Sprintf("the watch is %s revisions behind its member", grouped(r.BehindRevisions)))
	}
	return append(lines, r.Notes...)
}

func wrapAll(lines []string, columns int) []string {
	var out []string
	for _, line := range lines {
		out = append(out, wrap(aligned(line), columns)...)
	}
	return out
}

// wrap breaks a line at its spaces.
func wrap(line string, columns int) []string {
	if columns == 0 || utf8.RuneCountInString(line) <= columns {
		return []string{line}
	}
	var out []string
	now := ""
	for word := range strings.FieldsSeq(line) {
		word = cut(word, columns-len(indent))
		switch {
		case now == "":
			now = word
		case utf8.RuneCountInString(now)+1+utf8.RuneCountInString(word) <= columns:
			now += " " + word
		default:
			out = append(out, now)
			now = indent + word
		}
	}
	return append(out, now)
}
