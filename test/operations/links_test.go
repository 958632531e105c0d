// SPDX-License-Identifier: Apache-2.0

//go:build linux

package operations

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	// linkTo is an inline link; what is within code is none.
	linkTo = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// picture is left out: those of the dashboards come and go with make dashboards.
	picture = regexp.MustCompile(`!\[[^]]*\]\([^)]*\)`)
)

// anchors are the headings of a page, as links name them.
func anchors(text string) (names []string) {
	for _, found := range heading.FindAllStringSubmatch(text, -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, found[1]))
	}
	return names
}

// TestLinks: what a document of the repository links to in the repository is there, the
// heading too.
func TestLinks(t *testing.T) {
	links := 0
	must(t, filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "node_modules" || name == ".tools" || name == ".git") {
			return filepath.SkipDir
		}
		if filepath.Ext(file) != ".md" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		prose := picture.ReplaceAllString(code.ReplaceAllString(string(text), ""), "")
		for _, found := range linkTo.FindAllStringSubmatch(prose, -1) {
			if target := found[1]; !strings.Contains(target, "://") && !strings.HasPrefix(target, "mailto:") {
				links++
				checkLink(t, file, target)
			}
		}
		return nil
	}))
	if links < 100 {
		t.Errorf("only %d links were found", links)
	}
}

func checkLink(t *testing.T, file, target string) {
	t.Helper()
	name, anchor, _ := strings.Cut(target, "#")
	to := file
	if name != "" {
		to = filepath.Join(filepath.Dir(file), name)
	}
	if _, err := os.Stat(to); err != nil {
		t.Errorf("%s: %s is not there", file, target)
		return
	}
	if anchor == "" {
		return
	}
	text, err := os.ReadFile(to)
	must(t, err)
	if !slices.Contains(anchors(string(text)), anchor) {
		t.Errorf("%s: %s has no heading %q", file, target, anchor)
	}
}
