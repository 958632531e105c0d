// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxFaults  = 50  // one file reports so many; more would scroll the first away
	maxMessage = 280 // bytes
	maxField   = 100 // bytes
	maxQuoted  = 80  // bytes of a value that a message repeats
	maxPath    = 160 // bytes of a file name that a message repeats
)

// Fault is one thing that is wrong: where, what, and what to do.
type Fault struct { //nolint:errname // a fault is what it is called, in the code and to the user
	File    string // empty for flags
	Line    int    // from 1; 0 when there is none
	Field   string // such as clusters[0].tls.ca_file, or a flag with its dashes
	Message string
}

// Error gives the fault on one line.
func (f Fault) Error() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(oneLine(f.File))
		if f.Line > 0 {
			b.WriteString(":" + strconv.Itoa(f.Line))
		}
		b.WriteString(": ")
	}
	if f.Field != "" {
		b.WriteString(cut(oneLine(f.Field), maxField) + ": ")
	}
	b.WriteString(cut(oneLine(f.Message), maxMessage))
	return b.String()
}

// Faults is everything that is wrong with a configuration, in the order of the file.
type Faults []Fault //nolint:errname // see Fault

// Error gives one line a fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// add appends a fault; beyond maxFaults it only counts, in a last entry.
func (f *Faults) add(fault Fault, dropped *int) {
	if len(*f) < maxFaults {
		*f = append(*f, fault)
		return
	}
	*dropped++
}

// sorted orders by line and closes with the number that was left out.
func (f Faults) sorted(file string, dropped int) Faults {
	slices.SortStableFunc(f, func(a, b Fault) int { return a.Line - b.Line })
	if dropped > 0 {
		f = append(f, Fault{File: file, Message: fmt.Sprintf("and %d more: mend these first", dropped)})
	}
	return f
}

// quote repeats a value from outside: escaped, and cut when it is long.
func quote(s string) string { return quoteUpTo(s, maxQuoted) }

// quotePath repeats a file name, which may be longer before it is cut.
func quotePath(s string) string { return quoteUpTo(s, maxPath) }

func quoteUpTo(s string, limit int) string {
	q := strconv.Quote(cut(s, limit))
	if len(q) > limit+2 {
		q = cut(q, limit) + `"`
	}
	return q
}

// cut shortens to at most limit bytes, between two characters.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	s = s[:limit-3]
	for len(s) > 0 {
		if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size > 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s + "..."
}

// oneLine replaces what would break a line or a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// reason is what the operating system said, without the file name that the
// fault already gives (or must not give).
func reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}
