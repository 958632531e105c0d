// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/units"
	"github.com/xhit/go-str2duration/v2"
)

// Size is a number of bytes, written as 100MiB, 1GiB, 500MB or plain bytes.
type Size int64

// RequireSnapshot says which snapshot a run needs before it may start. The
// zero value means that the policy does not say.
type RequireSnapshot struct {
	Off    bool          // written out as off: none is needed
	MaxAge time.Duration // a sound one younger than this; 0: see Off
}

// Given says whether the policy has decided.
func (r RequireSnapshot) Given() bool { return r.Off || r.MaxAge > 0 }

// ParseDuration reads a duration as kingpin's flags do: 250ms, 30s, 6h, 7d, 1w
// and their sums. A negative one is an error.
func ParseDuration(text string) (time.Duration, error) {
	d, err := str2duration.ParseDuration(text)
	switch {
	case err == nil && d >= 0:
		return d, nil
	case err == nil || strings.HasPrefix(text, "-"):
		return 0, fmt.Errorf("%s is negative: write a duration of zero or more, such as 30s", quote(text))
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("%s has no unit or is too large: write a duration such as 30s, 10m, 6h or 7d", quote(text))
	}
	return 0, fmt.Errorf("%s is no duration: write one such as 250ms, 30s, 10m, 6h or 7d", quote(text))
}

// ParseSize reads a number of bytes: plain, or with KiB, MiB, GiB (powers of
// 1024) or KB, MB, GB (powers of 1000). A negative one is an error.
func ParseSize(text string) (Size, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		n, err = units.ParseStrictBytes(text)
	}
	switch {
	case strings.HasPrefix(text, "-"):
		return 0, fmt.Errorf("%s is negative: write a size of zero or more, such as 100MiB", quote(text))
	case err != nil || n < 0:
		return 0, fmt.Errorf("%s is no size: write bytes, or one such as 100MiB or 1GiB", quote(text))
	}
	return Size(n), nil
}

// parseRequireSnapshot accepts false beside off, because YAML 1.1 tools on the
// way (Helm among them) turn a bare off into false.
func parseRequireSnapshot(text string) (RequireSnapshot, error) {
	switch strings.ToLower(text) {
	case "off", "false":
		return RequireSnapshot{Off: true}, nil
	}
	d, err := ParseDuration(text)
	if err != nil || d == 0 {
		return RequireSnapshot{}, fmt.Errorf("%s is neither an age above zero, such as 24h, nor the word off", quote(text))
	}
	return RequireSnapshot{MaxAge: d}, nil
}
