// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		size(0): "0 B", size(1023): "1023 B", size(1536): "1.5 KiB", size(512 << 20): "512 MiB", size(8 << 30): "8 GiB", size(2.15 * (1 << 30)): "2.15 GiB",
		size(1 << 62): "4 EiB", sizeOf(100<<20, 8<<30): "100 MiB of 8 GiB", sizeOf(7.4*(1<<30), 8<<30): "7.4 of 8 GiB",
		percent(9999, 10000): "99 %", percent(1, 3): "33 %",
		grouped(0): "0", grouped(999): "999", grouped(1000): "1,000", grouped(1234567): "1,234,567", grouped(-1234): "-1,234", grouped(math.Inf(1)): "+Inf",
		lapse(-time.Second): "0 ms", lapse(612 * time.Microsecond): "0.61 ms", lapse(3200 * time.Millisecond): "3.2 s",
		lapse(200 * time.Second): "3 m 20 s", lapse(2 * time.Minute): "2 m", lapse(26*time.Hour + 5*time.Minute): "26 h 5 m", lapse(48 * time.Hour): "2 days",
		lapse(729 * day): "729 days", lapse(3700 * day): "10 years",
		offset(-2500 * time.Millisecond): "−2.5 s", offset(0): "+0 ms",
		lapse(seconds(math.Inf(1))): "292 years", lapse(seconds(1e300)): "292 years",
		clean("etcd-1"): "etcd-1", clean("a\u202eb\u200b\u0000c"): "a\uFFFDb\uFFFDc", clean("\xff"): "\uFFFD", clean("  "): "",
		clean(strings.Repeat("ä", maxShown)): strings.Repeat("ä", maxShown), clean(strings.Repeat("ä", maxShown+1)): strings.Repeat("ä", maxShown) + "…",
		clean("e" + strings.Repeat("\u0301", 9)): "e\u0301\u0301\u0301",
		middle("/var/backups"):                   "/var/backups", middle(strings.Repeat("a", maxShown)): strings.Repeat("a", maxShown),
		middle("/" + strings.Repeat("ä", maxShown) + "/end"): "/" + strings.Repeat("ä", 59) + "…" + strings.Repeat("ä", 35) + "/end",
		middle(strings.Repeat("\u202e", 500) + "end"):        "\uFFFD…\uFFFDend",
		ago(since(time.Unix(1000, 5e8), 940)):                "1 m ago", ago(since(time.Unix(0, 0), 940)): "0 ms ago",
		anchor("prod-eu_1.a"): "cluster-prod-eu_1.a", anchor(`a" b`): "cluster-a~22~20b",
	} {
		if strings.ReplaceAll(got, "\u00a0", " ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestIssueLinks(t *testing.T) {
	for number, want := range map[string]string{
		"14685":               "https://github.com/etcd-io/etcd/issues/14685",
		"CVE-2026-33413":      "https://www.cve.org/CVERecord?id=CVE-2026-33413",
		"GHSA-xg4h-6gfc-h4m8": "https://github.com/advisories/GHSA-xg4h-6gfc-h4m8",
		"../../evil":          "", "14685\n": "", "javascript:1": "", "": "",
	} {
		if got := newIssueView(number, "critical").Link; got != want {
			t.Errorf("%q: got %q, want %q", number, got, want)
		}
	}
}

// TestLandingContrast holds the style sheet to WCAG AA: 4.5 for text, 3 for what
// the bar is drawn in.
func TestContrast(t *testing.T) {
	style := render(t).all("style", "")[0].FirstChild.Data
	light, dark, _ := strings.Cut(style, "prefers-color-scheme: dark")
	dark, _, _ = strings.Cut(dark, "}")
	for name, scheme := range map[string]map[string]string{"light": variables(light), "dark": variables(dark)} {
		pairs := [][2]string{
			{"text", "page"},
			{"soft", "page"},
			{"link", "page"},
			{"bad", "page"},
			{"warning", "page"},
			{"good", "page"},
			{"unknown", "page"},
			{"card", "bad"},
			{"text", "card"},
			{"soft", "card"},
			{"link", "card"},
			{"text", "bad-back"},
			{"text", "warning-back"},
		}
		for _, level := range []level{good, unknown, warning, bad} {
			pairs = append(pairs, [2]string{level.String(), "card"}, [2]string{level.String(), level.String() + "-back"})
		}
		for _, p := range pairs {
			if got := contrast(t, scheme[p[0]], scheme[p[1]]); got < 4.5 {
				t.Errorf("%s: %s on %s has contrast %.2f", name, p[0], p[1], got)
			}
		}
		for _, of := range []string{"used", "warning", "bad"} {
			if got := contrast(t, scheme[of], scheme["track"]); got < 3 {
				t.Errorf("%s: a bar in %s has contrast %.2f", name, of, got)
			}
		}
	}
}

// variables reads "--name: #rrggbb;".
func variables(style string) map[string]string {
	found := map[string]string{}
	for declaration := range strings.SplitSeq(style, ";") {
		if _, text, ok := strings.Cut(declaration, "--"); ok {
			name, value, _ := strings.Cut(text, ":")
			found[name] = strings.TrimSpace(value)
		}
	}
	return found
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance is WCAG's relative luminance of #rgb or #rrggbb.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	hex := strings.TrimPrefix(colour, "#")
	if len(hex) == 3 {
		hex = hex[:1] + hex[:1] + hex[1:2] + hex[1:2] + hex[2:] + hex[2:]
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v, err := strconv.ParseUint(hex[min(2*i, len(hex)):min(2*i+2, len(hex))], 16, 8)
		if err != nil {
			t.Fatalf("colour %q: %v", colour, err)
		}
		if c := float64(v) / 255; c <= 0.04045 {
			sum += weight * c / 12.92
		} else {
			sum += weight * math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return sum
}
