// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// checkText finds what is no YAML text at all, which the parser reports
// without a line.
func checkText(data []byte) *Fault {
	if len(data) > maxConfigBytes {
		return &Fault{Message: fmt.Sprintf("is larger than %d MiB", maxConfigBytes>>20)}
	}
	line := 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return &Fault{Line: line, Message: fmt.Sprintf("byte 0x%02x is not UTF-8: is this a YAML text file?", data[i])}
		case r == '\n':
			line++
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return &Fault{Line: line, Message: fmt.Sprintf("control character 0x%02x: is this a YAML text file?", r)}
		}
		i += size
	}
	return nil
}

// advice says in a configuration's words what the parser's words mean. The
// parser's own texts are not shown: some repeat the file, which may hold keys.
var advice = []struct{ parser, ours string }{
	{"cannot start any token", "a value cannot begin with this character: indent with spaces, not tabs, and quote what begins with @, % or a backtick"},
	{"mapping values are not allowed", "a colon where no field can begin: check the indentation, and quote a value that holds a colon and a space"},
	{"could not find expected ':'", "a field without a colon: write field: value"},
	{"did not find expected key", "wrong indentation, or a field without a colon"},
	{"did not find expected '-' indicator", "wrong indentation in a list: every entry begins with - in the same column"},
	{"did not find expected ',' or", "a bracket or brace is not closed, or a comma is missing"},
	{"did not find expected node content", "a value is missing inside brackets or braces"},
	{"found a tab character", "a tab in the indentation: indent with spaces"},
	{"incompatible YAML document", "a %YAML line of another version: remove it"},
	{"unexpected end of stream", "a quote is not closed"},
	{"unknown anchor", "an alias (* and a name) without its anchor: quote a value that begins with *"},
	{"escape", `a \ escape that YAML does not know: use single quotes, or write \\`},
	{"block sequence entries are not allowed", "a list cannot begin on the line of its field: put - on a line of its own"},
	{"max depth", "nested too deep"},
	{"control characters are not allowed", "a control character: is this a YAML text file?"},
	{"hexdecimal", `a \x or \u escape without its digits: use single quotes, or write \\`},
	{"document start", "text where a document should begin: write --- on a line of its own, or leave it out"},
	{"anchor", "an anchor or alias without a proper name: quote a value that begins with & or *"},
	{"tag", "a YAML tag that cannot be read: quote a value that begins with !"},
	{"directive", "a line that begins with %: quote it, or remove it"},
	{"block scalar", "text after | or >: begin the text on the next line"},
}

var syntaxLine = regexp.MustCompile(`^(?:line (\d+): )?(.*)$`)

// syntaxFault turns the parser's error into a fault.
func syntaxFault(data []byte, err error) *Fault {
	hint, text := splitSyntax(err)
	message := "wrong indentation, quotes or brackets"
	for _, a := range advice {
		if strings.Contains(text, a.parser) {
			message = a.ours
			break
		}
	}
	return &Fault{Line: locate(data, hint, text), Message: "not valid YAML: " + message}
}

func splitSyntax(err error) (line int, text string) {
	first, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "yaml: "), "\n")
	m := syntaxLine.FindStringSubmatch(first)
	if m == nil {
		return 0, first
	}
	line, _ = strconv.Atoi(m[1]) // none given: 0
	return line, m[2]
}

// maxLocateBytes bounds the parsing that locate may cause.
const maxLocateBytes = 1 << 20

// locate finds the line of a syntax error. The parser names the beginning of
// what it was reading (often the whole mapping, often one line off), so lines
// are added from there on until the same error appears: an error cannot depend
// on lines that come after it.
func locate(data []byte, hint int, text string) int {
	from := max(hint-1, 1)
	spent := 0
	for end, line := 0, 1; end < len(data); line++ {
		next := bytes.IndexByte(data[end:], '\n')
		if next < 0 {
			return line
		}
		end += next + 1
		if line < from {
			continue
		}
		if spent += end; spent > maxLocateBytes {
			break
		}
		err := parseAll(data[:end])
		if err == nil {
			continue
		}
		if _, got := splitSyntax(err); got == text {
			return line
		}
	}
	return max(hint, 1)
}

// parseAll reads every document of data and gives the first error.
func parseAll(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		switch _, err := decodeNode(dec); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
