// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/config"
)

// duration and word are values of flags whose errors name the flag; kingpin's own
// do not.
type duration struct {
	flag string
	into *time.Duration
}

// Set implements kingpin.Value.
func (d duration) Set(text string) error {
	parsed, err := config.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("--%s: %w", d.flag, err)
	}
	*d.into = parsed
	return nil
}

// String implements kingpin.Value.
func (d duration) String() string {
	if d.into == nil {
		return ""
	}
	return d.into.String()
}

type word struct {
	flag  string
	into  *string
	words []string
}

// Set implements kingpin.Value.
func (w word) Set(text string) error {
	if !slices.Contains(w.words, text) {
		return fmt.Errorf("--%s=%.40q is not one of %s", w.flag, text, strings.Join(w.words, ", "))
	}
	*w.into = text
	return nil
}

// String implements kingpin.Value.
func (w word) String() string {
	if w.into == nil {
		return ""
	}
	return *w.into
}
