// SPDX-License-Identifier: Apache-2.0

package top

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// firstOdd is the first character beyond Latin, Greek, Cyrillic and Armenian:
// from here on some are written from right to left, or take no column, or two.
const firstOdd = 0x0590

// printable writes what a terminal may take for a command, and what is no UTF-8,
// as Go does within quotes (\x1b, \u202e). A backslash is doubled, so that no two
// names become the same.
func printable(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1, r < utf8.RuneSelf && !unicode.IsPrint(r):
			fmt.Fprintf(&out, `\x%02x`, s[i])
		case r == '\\':
			out.WriteString(`\\`)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		default:
			escape(&out, r)
		}
		i += size
	}
	return out.String()
}

// aligned escapes what is left of printable text so far that each character takes
// one column of a table.
func aligned(s string) string {
	var out strings.Builder
	for _, r := range s {
		if r < firstOdd && !unicode.In(r, unicode.Mn, unicode.Me) || r == '…' {
			out.WriteRune(r)
		} else {
			escape(&out, r)
		}
	}
	return out.String()
}

func escape(out *strings.Builder, r rune) {
	if r > 0xffff {
		fmt.Fprintf(out, `\U%08x`, r)
	} else {
		fmt.Fprintf(out, `\u%04x`, r)
	}
}

// cut takes characters out of the middle: the ends of a key tell most.
func cut(s string, width int) string {
	runes := []rune(s)
	if len(runes) <= width {
		return s
	}
	if width < 3 {
		return string(runes[:max(width, 0)])
	}
	head := width / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(width-1-head):])
}

// rate prints about three digits of a number per second.
func rate(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v < 10000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	default:
		return strconv.FormatFloat(v/1000, 'f', 1, 64) + "k"
	}
}

// size prints bytes in binary units.
func size(bytes float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	unit := 0
	for ; bytes >= 1023.5 && unit < len(units)-1; unit++ {
		bytes /= 1024
	}
	decimals := 0
	if unit > 0 && bytes < 99.95 {
		decimals = 1
	}
	return strconv.FormatFloat(bytes, 'f', decimals, 64) + " " + units[unit]
}

// grouped prints a whole number with a comma every three digits.
func grouped[T uint64 | int64 | int](v T) string {
	digits := fmt.Sprint(v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
