// SPDX-License-Identifier: Apache-2.0

//go:build linux

package operations

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestChineseKeepsStep: the Chinese pages have the sections of the English ones, and the
// very same blocks.
func TestChineseKeepsStep(t *testing.T) {
	for _, name := range []string{"README.md", filepath.Join("operations", "README.md")} {
		english := filepath.Join(root, "docs", name)
		if name == "README.md" {
			english = filepath.Join(root, name)
		}
		want, err := os.ReadFile(english)
		must(t, err)
		got, err := os.ReadFile(filepath.Join(root, "docs", "zh", name))
		must(t, err)
		if w, g := len(heading.FindAll(code.ReplaceAll(want, nil), -1)), len(heading.FindAll(code.ReplaceAll(got, nil), -1)); w != g {
			t.Errorf("docs/zh/%s has %d headings, the English one %d", name, g, w)
		}
		if w, g := commands(string(want)), commands(string(got)); !slices.Equal(w, g) {
			t.Errorf("docs/zh/%s has other blocks than the English one:\n%s\nwant\n%s", name, strings.Join(g, "\n"), strings.Join(w, "\n"))
		}
	}
}

var (
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	code    = regexp.MustCompile("(?ms)^ *```.*?^ *```|`[^`\n]*`")
	fenced  = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```")
	comment = regexp.MustCompile(`(^|\s+)# .*$`)
)

// commands are the lines of a page's blocks, without comments.
func commands(text string) (lines []string) {
	for _, block := range fenced.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[1]) {
			if line = strings.TrimRight(comment.ReplaceAllString(strings.TrimRight(line, "\n"), ""), " "); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}
