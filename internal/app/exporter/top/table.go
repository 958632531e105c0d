// SPDX-License-Identifier: Apache-2.0

package top

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// section is one table.
type section struct {
	title   string
	of      int // how many names there are, where that is known
	columns []column
	rows    []Row
}

type column struct {
	name  string
	width int // the space before it included
	value func(Row) string
}

// sectionsOf gives the tables in the order in which a small screen shows them.
func sectionsOf(r Report) []*section {
	writes := column{"writes/s", 10, func(r Row) string { return rate(r.WritesPerSecond) }}
	bytes := column{"bytes/s", 11, func(r Row) string { return size(r.BytesPerSecond) }}
	value := column{"value", 11, func(r Row) string { return size(float64(r.LastValueBytes)) }}
	all := []column{
		writes,
		{"new/s", 7, func(r Row) string { return rate(r.CreatedPerSecond) }},
		{"upd/s", 7, func(r Row) string { return rate(r.UpdatedPerSecond) }},
		{"del/s", 7, func(r Row) string { return rate(r.DeletedPerSecond) }},
		bytes,
	}
	key, two := []column{writes, value, bytes}, []column{writes, bytes}
	return []*section{
		{"RESOURCE", r.Resources.Distinct, all, r.Resources.Rows},
		{"NAMESPACE", r.Namespaces.Distinct, all, r.Namespaces.Rows},
		{"KEY, most writes", 0, key, r.Keys.Rows},
		{"EVENT REASON", r.Events.Reasons.Distinct, two, r.Events.Reasons.Rows},
		{"KEY, most bytes", 0, key, r.KeysByBytes.Rows},
		{"EVENT SOURCE", r.Events.Sources.Distinct, two, r.Events.Sources.Rows},
		{"EVENT ABOUT", 0, two, r.Events.InvolvedObjects.Rows},
	}
}

// leastName is how many columns a name gets before the numbers beside it give way.
const leastName = 20

// heading says of how many the rows are the first.
func (s *section) heading() string {
	if s.of > len(s.rows) {
		return fmt.Sprintf("%s (%d of %s)", s.title, len(s.rows), grouped(s.of))
	}
	return s.title
}

// narrow takes the columns in the middle away where a terminal has no room for
// them beside the names.
func (s *section) narrow(width int) {
	for width > 0 && len(s.columns) > 2 && width-s.numbers() < leastName {
		s.columns = append(s.columns[:1:1], s.columns[2:]...)
	}
}

// numbers is the width of all columns but the name's.
func (s *section) numbers() int {
	sum := 0
	for _, c := range s.columns {
		sum += c.width
	}
	return sum
}

// width is what the table takes if no name is cut.
func (s *section) width() int {
	longest := utf8.RuneCountInString(s.heading())
	for _, r := range s.rows {
		longest = max(longest, utf8.RuneCountInString(aligned(r.Name)))
	}
	return longest + s.numbers()
}

// lines lays the table out up to an edge that all tables share.
func (s *section) lines(edge int) []string {
	names := edge - s.numbers()
	out := make([]string, 0, 1+len(s.rows))
	add := func(name string, text func(column) string) {
		var line strings.Builder
		name = cut(name, names)
		line.WriteString(name + strings.Repeat(" ", names-utf8.RuneCountInString(name)))
		for _, c := range s.columns {
			fmt.Fprintf(&line, "%*s", c.width, text(c))
		}
		out = append(out, line.String())
	}
	add(s.heading(), func(c column) string { return c.name })
	for _, r := range s.rows {
		add(aligned(r.Name), func(c column) string { return c.value(r) })
	}
	return out
}
