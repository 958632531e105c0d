// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// maxShown bounds a name or URL on the page, in characters.
	maxShown = 100
	// maxMarks is how many combining marks a letter may carry: more of them are
	// drawn across the neighbouring rows.
	maxMarks = 3
)

// clean makes text from outside fit to be shown: a run of characters that can
// not be seen or that change the direction of others becomes one U+FFFD, so that
// two names that look alike are told apart, and what is too long is cut.
// Escaping is the template's part.
func clean(text string) string {
	var out strings.Builder
	shown, marks, hidden := 0, 0, false
	for _, r := range text {
		if shown >= maxShown {
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

// middle is clean for what is told apart by its end as well, such as a path: what
// is too long loses its middle.
func middle(text string) string {
	const head, tail = 60, maxShown - 60 - 1
	runes := []rune(text)
	if len(runes) <= maxShown {
		return clean(text)
	}
	return strings.TrimSuffix(clean(string(runes[:head])), "…") + "…" + clean(string(runes[len(runes)-tail:]))
}

// size prints bytes in binary units.
func size(bytes float64) string {
	unit := 0
	for units := len(sizeUnits); bytes >= 1024 && unit < units-1; unit++ {
		bytes /= 1024
	}
	return short(bytes) + "\u00a0" + sizeUnits[unit]
}

var sizeUnits = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}

// sizeOf prints a part of a whole, with the unit once where one will do.
func sizeOf(part, whole float64) string {
	p, w := size(part), size(whole)
	number, unit, _ := strings.Cut(p, "\u00a0")
	if strings.HasSuffix(w, "\u00a0"+unit) {
		p = number
	}
	return p + " of " + w
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

// percent never rounds up to a whole that is not reached.
func percent(part, whole float64) string {
	return strconv.FormatFloat(math.Floor(100*part/whole), 'f', 0, 64) + "\u00a0%"
}

// grouped prints a whole number with a comma every three digits.
func grouped(v float64) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return digits
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v < 0 {
		return "-" + digits
	}
	return digits
}

const day = 24 * time.Hour

// lapse prints a length of time with the two units that matter.
func lapse(d time.Duration) string {
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

// ago prints how long ago something was.
func ago(d time.Duration) string { return lapse(d) + " ago" }

// since is how long before t a metric's Unix time is; never less than nothing.
func since(t time.Time, unix float64) time.Duration {
	return max(0, seconds(float64(t.UnixMilli())/1000-unix))
}

// two leaves the second unit out where there is none of it.
func two(a time.Duration, unit string, b time.Duration, smaller string) string {
	if b == 0 {
		return fmt.Sprintf("%d\u00a0%s", a, unit)
	}
	return fmt.Sprintf("%d\u00a0%s %d\u00a0%s", a, unit, b, smaller)
}

// seconds turns a metric into a duration; what no duration can hold becomes the
// longest.
func seconds(v float64) time.Duration {
	const longest = math.MaxInt64 / int64(time.Second)
	return time.Duration(min(max(v, -float64(longest)), float64(longest)) * float64(time.Second))
}

// offset prints a clock's difference with its sign.
func offset(d time.Duration) string {
	if d < 0 {
		return "−" + lapse(-d)
	}
	return "+" + lapse(d)
}

// count prints a number with its noun.
func count(n float64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}
