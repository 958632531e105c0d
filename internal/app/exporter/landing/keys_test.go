// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

const events = "/registry/events/"

// counted is a cluster with keys below one prefix, by group.
func counted(t *testing.T, prefix string, groups map[string]int) Cluster {
	t.Helper()
	var scrape strings.Builder
	total := 0
	for group, keys := range groups {
		total += keys
		fmt.Fprintf(&scrape, "etcdops_keyspace_group_keys{prefix=%q,group=%q} %d\n", prefix, group, keys)
	}
	fmt.Fprintf(&scrape, "etcdops_keyspace_keys{prefix=%q} %d\netcdops_keyspace_scan_success{prefix=%[1]q} 1\netcdops_keyspace_scan_timestamp_seconds{prefix=%[1]q} %[3]d\n", prefix, total, sampleNow.Add(-time.Minute).Unix())
	return scraped(t, scrape.String())
}

func TestKeys(t *testing.T) {
	page := render(t, loadSample(t, "healthy"))
	want := map[string]string{
		"Keys":            "48,213",
		"Most of them in": "pods 12,480 25 % events 11,406 23 % leases 4,211 8 % replicasets 3,870 8 % secrets 3,512 7 % all others 12,734 26 %",
		"Counted":         "31 s ago took 1.92 s",
	}
	if got := page.row("/registry/"); !maps.Equal(got, want) {
		t.Errorf("row:\n got %v\nwant %v", got, want)
	}
	expect(t, page.row(events)["Most of them in"], "kube-system 3,801 33 %", "all others 686 6 %", "!default")
	expect(t, words(page.all("table", "keys")[0]), "/registry/ keys, by path segment", "/registry/events/ events, by namespace")
}

// TestManyGroups: of hundreds the largest are named and the rest is summed.
func TestManyGroups(t *testing.T) {
	groups := map[string]int{"__other__": 5_000, "__leaf__": 40_000}
	for i := range 500 {
		groups[fmt.Sprintf("ns-%03d", i)] = i
	}
	page := render(t, counted(t, "/app/", groups))
	// 0+1+...+499 less the four largest, and the other ones.
	expect(t, page.row("/app/")["Most of them in"], "right under the prefix 40,000 23 % ns-499 499 ns-498 498 ns-497 497 ns-496 496 all others 127,760 75 %")
	if groups := elements(page.all("table", "keys")[0], "li", ""); len(groups) != topGroups+1 {
		t.Errorf("%d groups are shown", len(groups))
	}
	empty := render(t, counted(t, "/app/", map[string]int{"__other__": 0, "__leaf__": 0}))
	expect(t, empty.row("/app/")["Keys"], "0")
	expect(t, empty.row("/app/")["Most of them in"], "–")
}

func TestEventsFlood(t *testing.T) {
	for _, c := range []struct {
		prefix string
		events int
		want   string
	}{
		{events, eventsFlood, ""},
		{events, eventsFlood + 1, "Warning: Flood of events: more than 100,000 are stored /registry/events/: 100,001, of them 99,901 in argo"},
		{"/k3s/events/", eventsFlood + 1, "Warning: Flood of events: more than 100,000 are stored /k3s/events/: 100,001, of them 99,901 in argo"},
		{"/registry/", 10 * eventsFlood, ""},
		{"/registry/events", 10 * eventsFlood, ""},
	} {
		cluster := counted(t, c.prefix, map[string]int{"argo": c.events - 100, "shop": 100})
		if got := render(t, cluster).findings(); got != c.want {
			t.Errorf("%s with %d keys:\n got %s\nwant %s", c.prefix, c.events, got, c.want)
		}
	}
	flat := render(t, counted(t, events, map[string]int{"__leaf__": eventsFlood + 1}))
	expect(t, flat.findings(), "Flood of events", "!of them")
}

func TestCounting(t *testing.T) {
	const failing = "Keys cannot be counted; the exporter's log says why "
	scan := func(at time.Time) string {
		return fmt.Sprintf(`scan_timestamp_seconds{prefix="%s"} %d`, events, at.Unix())
	}
	made := scan(sampleNow.Add(-14 * time.Second))
	ok, fails := `scan_success{prefix="`+events+`"} 1`, `scan_success{prefix="`+events+`"} 0`
	succeeds, puzzles := `collector_success{collector="keyspace"} 1`, `collector_success{collector="keyspace"} 0`
	scrapeAge := 12 * time.Second // loadSample's
	for name, c := range map[string]struct {
		cluster Cluster
		counted string
		want    string
	}{
		"failing": {
			loadSample(t, "healthy", ok, fails, succeeds, puzzles), "14 s ago the newest try failed",
			"Warning: " + failing + events + ": last counted 14 s ago",
		},
		"never counted": {
			scraped(t, `etcdops_keyspace_scan_success{prefix="`+events+"\"} 0\n"), "never the newest try failed",
			"Warning: " + failing + events + ": never counted",
		},
		"old enough to tell": {
			loadSample(t, "healthy", made, scan(sampleNow.Add(-scanOld-scrapeAge-time.Second))), "30 m 13 s ago took 410 ms",
			"Warning: Keys were last counted more than 30 m ago " + events + ": 30 m 13 s ago",
		},
		"not yet": {loadSample(t, "healthy", made, scan(sampleNow.Add(-scanOld-scrapeAge))), "30 m 12 s ago took 410 ms", ""},
		"failing for another reason": {
			loadSample(t, "healthy", succeeds, puzzles), "14 s ago took 410 ms",
			"Warning: Collectors did not learn all they ask for; the exporter's log says why keyspace",
		},
	} {
		t.Run(name, func(t *testing.T) {
			page := render(t, c.cluster)
			expect(t, page.row(events)["Counted"], c.counted)
			if got := page.findings(); got != c.want {
				t.Errorf("findings:\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestOldScrape: a scrape that is an hour old says nothing of the counts since.
func TestOldScrape(t *testing.T) {
	c := loadSample(t, "healthy")
	c.Last.At = sampleNow
	var page landing
	for _, age := range []time.Duration{time.Hour, 3 * day} {
		page = renderAt(t, sampleNow.Add(age), c)
		expect(t, page.findings(), "No scrape for", "!counted", "!backup")
	}
	expect(t, page.row(events)["Counted"], "3 days ago")
	expect(t, page.row("local")["Newest"], "3 days ago")
}

func TestHash(t *testing.T) {
	consistent, differs := "hash_consistent 1", "hash_consistent 0"
	page := render(t, loadSample(t, "healthy", consistent, differs))
	expect(t, page.state(), "members disagree")
	expect(t, page.findings(), "Critical: Members disagree: the hashes of their data differ", "hash revision 18,729,004")
	expect(t, page.facts()["Data"], "the voters differ at revision 18,729,004, 4 m 20 s ago")
	if len(page.all("section", "bad")) != 1 {
		t.Error("the section is not bad")
	}
	expect(t, render(t, loadSample(t, "healthy", consistent, differs, `alarm="CORRUPT"} 0`, `alarm="CORRUPT"} 1`)).state(), "CORRUPT alarm")
	if _, there := render(t, without(loadSample(t, "healthy"), "cluster_hash")).facts()["Data"]; there {
		t.Error("a fact of hashes that nobody compared")
	}
}
