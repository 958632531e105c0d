// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/config"
)

// Duration is a flag's value whose error names the flag; kingpin's own does not.
type Duration struct {
	Flag string
	Into *time.Duration
}

// Set implements kingpin.Value.
func (d Duration) Set(text string) error {
	parsed, err := config.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("--%s: %w", d.Flag, err)
	}
	*d.Into = parsed
	return nil
}

// String implements kingpin.Value.
func (d Duration) String() string {
	if d.Into == nil {
		return ""
	}
	return d.Into.String()
}

// Word is a flag's value that is one of a few words.
type Word struct {
	Flag  string
	Into  *string
	Words []string
	Arg   bool // an argument, and not a flag
}

// Set implements kingpin.Value.
func (w Word) Set(text string) error {
	if !slices.Contains(w.Words, text) {
		if w.Arg {
			return fmt.Errorf("%s %.40q is not one of %s", w.Flag, text, strings.Join(w.Words, ", "))
		}
		return fmt.Errorf("--%s=%.40q is not one of %s", w.Flag, text, strings.Join(w.Words, ", "))
	}
	*w.Into = text
	return nil
}

// String implements kingpin.Value.
func (w Word) String() string {
	if w.Into == nil {
		return ""
	}
	return *w.Into
}
