// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxLabel  = 200 // bytes of a name that are shown in full
	emptyName = `\empty`
)

// Label writes a group's name as a label value: valid UTF-8, never empty, at most
// a few hundred bytes, and another one for each name. Names that Kubernetes allows
// stay as they are. A backslash begins what was changed: \xHH a byte, \u{H} a
// character that does not show, \\ a backslash, \empty the empty name, \sha256:
// the hash of a name that is too long. `__other__` and `__leaf__`, which are no
// groups, are out of reach: a name that begins with two underscores is escaped.
func Label(group []byte) string {
	if len(group) == 0 {
		return emptyName
	}
	if len(group) <= maxLabel {
		if text := escape(group); len(text) <= maxLabel {
			return text
		}
	}
	sum := sha256.Sum256(group)
	return escape(head(group)) + `\sha256:` + hex.EncodeToString(sum[:16])
}

// head is the beginning of a long name, short enough to stay bounded when every
// byte of it is escaped (to four at most).
func head(group []byte) []byte {
	end := maxLabel / 4
	for end > maxLabel/4-utf8.UTFMax && !utf8.RuneStart(group[end]) {
		end--
	}
	return group[:end]
}

func escape(group []byte) string {
	var text strings.Builder
	rest := group
	if strings.HasPrefix(string(group), "__") {
		text.WriteString(`\x5f`)
		rest = group[1:]
	}
	for len(rest) > 0 {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&text, `\x%02x`, rest[0])
		case r < utf8.RuneSelf && !unicode.IsPrint(r):
			fmt.Fprintf(&text, `\x%02x`, r)
		case r == '\\':
			text.WriteString(`\\`)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&text, `\u{%x}`, r)
		default:
			text.WriteRune(r)
		}
		rest = rest[size:]
	}
	return text.String()
}
