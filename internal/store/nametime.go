// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// layout finds a time in file names. It looks at the whole name, then at each part of
// it (so at what stands before the extensions), from the left and the longest first. A
// part never cuts a number in two, so that 20060102 is not found in 120261123. Without
// a zone in the layout the time is UTC.
type layout struct {
	text     string
	min, max int // bytes that a time of this layout can take
}

func newLayout(text string) (*layout, error) {
	if strings.Contains(text, "/") {
		return nil, fmt.Errorf("%q holds a slash: it is matched against file names", text)
	}
	l := &layout{text: text, min: len(text)}
	whole := time.Date(2021, 1, 1, 1, 1, 1, 0, time.UTC)
	if whole.Format(text) == whole.AddDate(2, 0, 0).Format(text) {
		return nil, fmt.Errorf("%q carries no year", text)
	}
	zone := time.FixedZone("ABCDE", 12*3600+34*60+56)
	for month := time.January; month <= time.December; month++ {
		for day := 1; day <= 14; day++ { // every weekday, one digit and two
			for _, t := range []time.Time{
				time.Date(2021, month, day, 1, 1, 1, 0, time.UTC),
				time.Date(2021, month, day, 23, 59, 59, 123456789, zone),
			} {
				n := len(t.Format(text))
				l.min, l.max = min(l.min, n), max(l.max, n)
			}
		}
	}
	// Go reads a fraction after the seconds where the layout has none, and short
	// zone names where it has MST.
	l.min, l.max = max(l.min-4, 1), l.max+10
	if _, err := time.Parse(text, whole.Format(text)); err != nil {
		return nil, errors.New("cannot be read back: write the time 2006-01-02 15:04:05 as the names have it")
	}
	return l, nil
}

// find costs at most a few thousand short comparisons, whatever the name: a name of
// more than 255 bytes holds no time.
func (l *layout) find(name string) (time.Time, bool) {
	if len(name) > 255 {
		return time.Time{}, false // no file has such a name; an object's key may
	}
	if t, err := time.Parse(l.text, name); err == nil {
		return t.UTC(), true
	}
	for start := range name {
		if cuts(name, start) {
			continue
		}
		for end := min(start+l.max, len(name)); end >= start+l.min; end-- {
			if cuts(name, end) {
				continue
			}
			if t, err := time.Parse(l.text, name[start:end]); err == nil {
				return t.UTC(), true
			}
		}
	}
	return time.Time{}, false
}

// cuts says whether a place lies within a number.
func cuts(s string, at int) bool {
	return at > 0 && at < len(s) && isDigit(s[at-1]) && isDigit(s[at])
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
