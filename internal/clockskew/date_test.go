// SPDX-License-Identifier: Apache-2.0

package clockskew

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	t.Parallel()
	want := time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC)
	for _, header := range []string{
		want.Format(http.TimeFormat),
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
	} {
		if got, err := ParseDate(header); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", header, got, err, want)
		}
	}
}

func TestParseDateRefuses(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"empty":         "",
		"zone":          "Sun, 06 Nov 1994 08:49:37 PST",
		"obsolete zone": "Sunday, 06-Nov-94 08:49:37 PST",
		"weekday":       "Mon, 06 Nov 1994 08:49:37 GMT",
		"fraction":      "Sun, 06 Nov 1994 08:49:37.5 GMT",
		"short day":     "Sun, 6 Nov 1994 08:49:37 GMT",
		"space":         "Sun, 06 Nov 1994 08:49:37 GMT ",
		"no such day":   "Wed, 30 Feb 1994 08:49:37 GMT",
		"rfc 3339":      "1994-11-06T08:49:37Z",
		"line feed":     "Sun, 06 Nov 1994\nlevel=error",
		"huge":          strings.Repeat("\x00", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseDate(header)
			if err == nil {
				t.Fatal("accepted")
			}
			checkDateError(t, err)
		})
	}
}

// checkDateError: one line, bounded even when every byte is escaped as \x00.
func checkDateError(t *testing.T, err error) {
	t.Helper()
	if s := err.Error(); strings.ContainsAny(s, "\n\r\x00\x1b") || len(s) > 4*maxQuoted+60 {
		t.Errorf("error of %d bytes: %q", len(s), s)
	}
}

func FuzzParseDate(f *testing.F) {
	f.Fuzz(func(t *testing.T, header string) {
		got, err := ParseDate(header)
		if err != nil {
			checkDateError(t, err)
			return
		}
		other, err := http.ParseTime(header)
		if err != nil || !other.Equal(got) || got.Nanosecond() != 0 || got.Location() != time.UTC {
			t.Errorf("%q is %v, net/http says %v, %v", header, got, other, err)
		}
	})
}
