// SPDX-License-Identifier: Apache-2.0

package display

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"etcd-1", "etcd-1"},
		{" spaced ", "spaced"},
		{"\u202egnp.exe", "\uFFFDgnp.exe"},
		{"a\x00\x1b\u200bb", "a\uFFFDb"},
		{"a\r\nb", "a\uFFFDb"},
		{"Z" + strings.Repeat("\u0301", 9), "Z\u0301\u0301\u0301"},
		{"\xff\xfe", "\uFFFD"},
		{"12345678901", "1234567890…"},
		{"日本語日本語日本語日本語", "日本語日本語日本語日…"},
		{"<b>", "<b>"},
	} {
		if got := Clean(tc.text, 10); got != tc.want {
			t.Errorf("Clean(%q) = %q, want %q", tc.text, got, tc.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("etcd\u202e-1\x00")
	f.Fuzz(func(t *testing.T, text string) {
		got := Clean(text, 20)
		if i := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) }); i >= 0 || utf8.RuneCountInString(got) > 21 {
			t.Errorf("Clean(%q) = %q", text, got)
		}
	})
}

func TestFigures(t *testing.T) {
	plain := func(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }
	for _, tc := range []struct{ got, want string }{
		{Size(0), "0 B"},
		{Size(1023), "1023 B"},
		{Size(1536), "1.5 KiB"},
		{Size(2254857830), "2.1 GiB"},
		{Size(math.MaxInt64), "8 EiB"},
		{Size(-2048), "-2 KiB"},
		{Grouped(0), "0"},
		{Grouped(999), "999"},
		{Grouped(1000), "1,000"},
		{Grouped(math.MinInt64), "-9,223,372,036,854,775,808"},
		{Count(1, "key", "keys"), "1 key"},
		{Count(0, "key", "keys"), "0 keys"},
		{Count(12345, "key", "keys"), "12,345 keys"},
		{Lapse(-time.Second), "0 ms"},
		{Lapse(1500 * time.Microsecond), "1.5 ms"},
		{Lapse(12300 * time.Millisecond), "12.3 s"},
		{Lapse(time.Minute), "1 m"},
		{Lapse(61 * time.Second), "1 m 1 s"},
		{Lapse(26*time.Hour + time.Minute), "26 h 1 m"},
		{Lapse(100 * 24 * time.Hour), "100 days"},
		{Lapse(math.MaxInt64), "292 years"},
		{Whole(90*time.Second + 400*time.Millisecond), "1 m 30 s"},
		{Stamp(time.Date(2026, 11, 24, 3, 0, 0, 0, time.FixedZone("", 3600))), "2026-11-24 02:00:00 UTC"},
	} {
		if plain(tc.got) != tc.want {
			t.Errorf("%q, want %q", plain(tc.got), tc.want)
		}
	}
}
