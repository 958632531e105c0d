// SPDX-License-Identifier: Apache-2.0

// Package display turns figures, times and texts from outside into what a person
// reads, on a page or in a terminal.
package display

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxMarks is how many combining marks a letter may carry: more of them are drawn
// across the neighbouring rows.
const maxMarks = 3

// Clean makes a text from outside fit to be shown: a run of characters that cannot
// be seen or that change the direction of others becomes one U+FFFD, so that two
// names that look alike are told apart, and what is longer than most characters is
// cut. Escaping is the page's part.
func Clean(text string, most int) string {
	var out strings.Builder
	shown, marks, hidden := 0, 0, false
	for _, r := range text {
		if shown >= most {
			return out.String() + "…"
		}
		if unicode.In(r, unicode.Mn, unicode.Me) {
			if marks++; marks > maxMarks {
				continue
			}
		} else {
			marks = 0
		}
		if !unicode.IsGraphic(r) {
			r = unicode.ReplacementChar
		}
		if r == unicode.ReplacementChar && hidden {
			continue
		}
		hidden = r == unicode.ReplacementChar
		out.WriteRune(r)
		shown++
	}
	return strings.TrimSpace(out.String())
}

// Size prints bytes in binary units, with about three digits.
func Size(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	value, unit := float64(bytes), 0
	for ; math.Abs(value) >= 1024 && unit < len(units)-1; unit++ {
		value /= 1024
	}
	return short(value) + "\u00a0" + units[unit]
}

// short prints about three digits.
func short(v float64) string {
	decimals := 0
	switch {
	case math.Abs(v) < 10:
		decimals = 2
	case math.Abs(v) < 100:
		decimals = 1
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if decimals > 0 {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return text
}

// Grouped prints a whole number with a comma every three digits.
func Grouped(n int64) string {
	digits, sign := strconv.FormatInt(n, 10), ""
	if n < 0 {
		digits, sign = digits[1:], "-"
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Count prints a number with its noun.
func Count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Grouped(n) + " " + many
}

const day = 24 * time.Hour

// Lapse prints a length of time with the two units that matter; less than none is
// none.
func Lapse(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Second:
		return short(float64(d)/float64(time.Millisecond)) + "\u00a0ms"
	case d < time.Minute:
		return short(d.Seconds()) + "\u00a0s"
	case d < time.Hour:
		return two(d/time.Minute, "m", d%time.Minute/time.Second, "s")
	case d < 2*day:
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "m")
	case d < 2*365*day:
		return fmt.Sprintf("%d\u00a0days", d/day)
	default:
		return fmt.Sprintf("%d\u00a0years", d/(365*day))
	}
}

// two leaves the second unit out where there is none of it.
func two(a time.Duration, unit string, b time.Duration, smaller string) string {
	if b == 0 {
		return fmt.Sprintf("%d\u00a0%s", a, unit)
	}
	return fmt.Sprintf("%d\u00a0%s %d\u00a0%s", a, unit, b, smaller)
}

// Whole prints a length of time in whole seconds, for what is counted down.
func Whole(d time.Duration) string { return Lapse(d.Round(time.Second)) }

// Stamp prints an instant for people and for logs to be searched by.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
