// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"unicode"
)

// maxText is the length of what others wrote (a name, a server's message) in an
// error, in bytes.
const maxText = 300

// shorten makes one printable line of bounded length.
func shorten(s string) string {
	cut := len(s) > 4*maxText
	if cut {
		s = s[:4*maxText]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(s) > maxText {
		s, cut = strings.ToValidUTF8(s[:maxText], ""), true
	}
	if cut {
		s += "..."
	}
	return s
}
