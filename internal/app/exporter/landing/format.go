// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/display"
)

const day = 24 * time.Hour

// maxShown bounds a name or URL on the page, in characters.
const maxShown = 100

// clean makes text from outside fit to be shown.
func clean(text string) string { return display.Clean(text, maxShown) }

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
func size(bytes float64) string { return display.Size(whole(bytes)) }

// whole turns a metric into a whole number; what none can hold becomes the largest.
func whole(v float64) int64 {
	const largest = 1 << 62
	if math.IsNaN(v) {
		return 0
	}
	return int64(min(max(v, -largest), largest))
}

// sizeOf prints a part of a whole, with the unit once where one will do.
func sizeOf(part, whole float64) string {
	p, w := size(part), size(whole)
	number, unit, _ := strings.Cut(p, "\u00a0")
	if strings.HasSuffix(w, "\u00a0"+unit) {
		p = number
	}
	return p + " of " + w
}

// percent never rounds up to a whole that is not reached.
func percent(part, whole float64) string {
	return strconv.FormatFloat(math.Floor(100*part/whole), 'f', 0, 64) + "\u00a0%"
}

// grouped prints a whole number with a comma every three digits.
func grouped(v float64) string {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return display.Grouped(whole(v))
}

// lapse prints a length of time with the two units that matter.
func lapse(d time.Duration) string { return display.Lapse(d) }

// ago prints how long ago something was.
func ago(d time.Duration) string { return lapse(d) + " ago" }

// since is how long before t a metric's Unix time is; never less than nothing.
func since(t time.Time, unix float64) time.Duration {
	return max(0, seconds(float64(t.UnixMilli())/1000-unix))
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
func count(n float64, one, many string) string { return display.Count(whole(n), one, many) }
