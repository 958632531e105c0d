// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"github.com/etcdops/etcdops/internal/etcd"
)

// hostile are names that a member, a certificate or a cluster may have.
var hostile = []string{
	`<script>alert(1)</script>`,
	`</style><script src=//evil.example></script>`,
	`"><img src=x onerror=alert(1)>`,
	`' onmouseover='alert(1)`,
	`javascript:alert(1)//`,
	`data:text/html,<script>alert(1)</script>`,
	`{{template "cluster" .}}`,
	`<!-- ]]> --!> <plaintext>`,
	"\u202egnp.exe\u2066\u200f\u061c\u200b\ufeff\U000e0041",
	"\x1b[31mred\x07\x00\r\n\u0085\u2028",
	"\xff\xfe broken",
	strings.Repeat("<b>", 3_400),
	"Z" + strings.Repeat("\u0301", 5_000),
	"עברית",
}

func TestHostile(t *testing.T) {
	tags := map[string]bool{}
	for _, n := range render(t, loadSample(t, "bad_night")).all("", "") {
		tags[n.Data] = true
	}
	for _, name := range hostile {
		label := strings.ToValidUTF8(name, "\uFFFD") // as the collectors see to
		value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(label)
		c := loadSample(
			t, "bad_night", "etcd-1", value, "3.5.4", value, third, value, "8211f1d0f64f3269", value, "NOSPACE", value,
			"refused", value, "15247", value, `"critical"`, `"`+value+`"`, "compaction", value, "membership", value,
			"argo-workflows-production", value, "shop", value, "/registry/events/", value+"/events/", hourly, value, "offsite", value+"2", "checksum_mismatch", value, `="link"`, `="`+value+`2"`,
		)
		c.Name, c.Endpoints[2] = name[:min(len(name), 128)], etcd.Endpoint{URL: name}
		for _, n := range []int{1, overviewFrom} { // without and with the overview
			page := render(t, slices.Repeat([]Cluster{c}, n)...)
			for _, n := range page.all("", "") {
				harmless(t, n, tags)
			}
			text := words(page.root)
			if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }); i >= 0 {
				t.Errorf("%.40q: the page shows %q", name, text[i:min(i+10, len(text))])
			}
			if len(page.html) > 200_000 {
				t.Errorf("%.40q: the page has %d bytes", name, len(page.html))
			}
		}
	}
}

// harmless fails for an element or attribute that the page does not have of its
// own, and for a link that leaves it.
func harmless(t *testing.T, n *html.Node, tags map[string]bool) {
	t.Helper()
	if !tags[n.Data] && n.Data != "table" {
		t.Errorf("element <%s>", n.Data)
	}
	for _, a := range n.Attr {
		if a.Key == "style" || strings.HasPrefix(a.Key, "on") || a.Key == "src" {
			t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
		}
		if a.Key != "href" {
			continue
		}
		own := slices.ContainsFunc([]string{"/metrics", "/probe?cluster=", "/native?cluster=", "/sd", "/-/", "#"}, func(p string) bool { return strings.HasPrefix(a.Val, p) })
		tracker := slices.ContainsFunc([]string{"https://github.com/etcdops/", "https://github.com/etcd-io/etcd/issues/", "https://github.com/advisories/GHSA-", "https://www.cve.org/CVERecord?id=CVE-"}, func(p string) bool { return strings.HasPrefix(a.Val, p) })
		if !own && !tracker {
			t.Errorf("link to %q", a.Val)
		}
	}
}

// TestLandingMissing: what was not learned is a dash, never a 0.
func TestMissing(t *testing.T) {
	sample := loadSample(t, "healthy")
	for prefix, shown := range map[string][]string{
		"endpoint_":          {"Member", "Version", "Reads", "Database", "Clock"},
		"endpoint_db_":       {"Database"},
		"endpoint_info":      {"Version"},
		"endpoint_clock":     {"Clock"},
		"endpoint_healthy":   {"Reads"},
		"certificate":        {"Certificate"},
		"cluster_voters":     {"Voters", "Failure tolerance"},
		"cluster_views":      {"Views"},
		"alarm_active":       {"Alarms"},
		"cluster_revision":   {"Revision"},
		"exporter_collector": {"Collectors"},
	} {
		page := render(t, without(sample, prefix))
		row, facts := page.row(first), page.facts()
		for _, name := range shown {
			got, ok := facts[name]
			if !ok {
				got = row[name]
			}
			if prefix == "endpoint_" && name == "Member" {
				expect(t, got, "etcd-1 8211f1d0f64f3269") // the member list has it
				continue
			}
			if got != "–" {
				t.Errorf("without %s*: %s is %q", prefix, name, got)
			}
		}
	}
	for prefix, shown := range map[string]struct{ row, cell, want string }{
		"keyspace_keys":                  {"/registry/", "Keys", "–"},
		"keyspace_group":                 {"/registry/", "Most of them in", "–"},
		"keyspace_scan_timestamp":        {"/registry/", "Counted", "–"},
		"backup_timestamp":               {"local", "Newest", "–"},
		"backup_sound":                   {"local", "Last sound", "–"},
		"backup_size":                    {"offsite", "Size", "– 2.14 GiB uncompressed"},
		"backup_uncompressed":            {"offsite", "Size", "489 MiB"},
		"backup_revision":                {"local", "Revision", "– 47,980 keys"},
		"backup_store_up":                {"local", "State", "not looked at yet"},
		"backup_restore_drill_timestamp": {"local", "Restore drill", "worked"},
		"backup_interval":                {"local", "State", "sound"},
	} {
		if got := render(t, without(sample, prefix)).row(shown.row)[shown.cell]; got != shown.want {
			t.Errorf("without %s*: %s of %s is %q, want %q", prefix, shown.cell, shown.row, got, shown.want)
		}
	}
	none := render(t, without(sample, "cluster_", "endpoint_has_leader", "endpoint_is_leader"))
	expect(t, none.facts()["Leader"], "–")
	expect(t, none.state(), "healthy")
	unlimited := render(t, without(sample, "endpoint_db_quota", "endpoint_db_in_use"))
	expect(t, unlimited.row(first)["Database"], "2.1 GiB, quota not known", "!free")
	expect(t, render(t, without(sample, "endpoint_up")).row(first)["State"], "not known no answer from collector status")
}

// TestLandingNumbers: no value that a float can have breaks the page.
func TestNumbers(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, -1, 0, 1e-300} {
		c := loadSample(t, "bad_night")
		for _, f := range c.Last.Families {
			for _, m := range f.GetMetric() {
				m.GetGauge().Value = &v
			}
		}
		page := render(t, c, c, c, c)
		for _, rect := range page.all("rect", "") {
			for _, name := range []string{"x", "width"} {
				var width float64
				if value := attribute(rect, name); value != "" {
					if _, err := fmt.Sscan(value, &width); err != nil || !(width >= 0 && width <= 100) {
						t.Errorf("value %v: %s=%q", v, name, value)
					}
				}
			}
		}
	}
}
