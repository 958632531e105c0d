// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// splitGlob splits a glob into the directory before its first wildcard and a pattern
// for each step below it. The last step is always a pattern, so that the directory
// never names a file.
func splitGlob(glob string) (dir string, steps []string, err error) {
	glob = filepath.ToSlash(glob)
	if _, err := path.Match(glob, ""); err != nil {
		return "", nil, fmt.Errorf("%q is no valid pattern", glob)
	}
	// A trailing slash or a doubled one is no step. Clean would also join "..", and
	// "a*/.." is not ".".
	for step := range strings.SplitSeq(glob, "/") {
		if step != "" && step != "." {
			steps = append(steps, step)
		}
	}
	if len(steps) == 0 {
		return "", nil, errors.New("the glob names no file")
	}
	dir = "."
	if strings.HasPrefix(glob, "/") {
		dir = "/"
	}
	for len(steps) > 1 {
		name, ok := literal(steps[0])
		if !ok {
			break
		}
		dir, steps = filepath.Join(dir, name), steps[1:]
	}
	if slices.Contains(steps, "..") {
		return "", nil, fmt.Errorf("%q goes up (..) behind a wildcard", glob)
	}
	return dir, steps, nil
}

// literal gives the one name that a pattern matches; ok is false where it has
// wildcards.
func literal(pattern string) (name string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*', '?', '[':
			return "", false
		case '\\':
			if i++; i == len(pattern) {
				return "", false
			}
		}
		b.WriteByte(pattern[i])
	}
	return b.String(), true
}

// exactly makes a pattern that matches one name alone.
func exactly(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}
