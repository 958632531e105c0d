// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHundred(t *testing.T) {
	clusters := slices.Repeat([]Cluster{loadSample(t, "healthy")}, 100)
	clusters[5] = loadSample(t, "healthy")
	clusters[5].Last.At = sampleNow.Add(-time.Hour)
	clusters[17].Last = nil
	clusters[41], clusters[99] = loadSample(t, "no_leader"), loadSample(t, "bad_night")
	for i, c := range clusters {
		c.Name = fmt.Sprintf("prod-%02d", i)
		clusters[i] = c
	}
	page := render(t, clusters...)
	expect(t, words(page.all("p", "summary")[0]), "100 clusters: 1 no leader, 1 NOSPACE alarm, 1 healthy (stale), 1 not scraped yet, 96 healthy.")
	expect(t, words(page.all("title", "")[0]), "✖ 100 clusters: 1 no leader")
	rows := elements(elements(page.all("table", "overview")[0], "tbody", "")[0], "tr", "")
	if len(rows) != 100 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, want := range []string{"prod-41 no leader No member knows a leader: no writes, no linearizable reads 0 of 3 healthy", "prod-99 NOSPACE alarm Alarm NOSPACE", "prod-05 healthy (stale)", "prod-17 not scraped yet – –", "prod-00 healthy 3 of 3 healthy etcd-2 2.15 of 8 GiB, 26 % in 340 days 26 h ago 12 s ago"} {
		expect(t, words(rows[i]), want)
	}
	expect(t, words(rows[1]), "and 14 more", "not sound 12 s ago")
	var sections []string
	for _, section := range page.all("section", "") {
		sections = append(sections, attribute(section, "id"))
	}
	for i, row := range rows {
		if href := attribute(elements(row, "a", "")[0], "href"); href != "#"+sections[i] {
			t.Errorf("row %d leads to %s, section %d is %s", i, href, i, sections[i])
		}
	}
	if len(page.html) > 1_200_000 {
		t.Errorf("the page has %d bytes", len(page.html))
	}
}

// TestLandingFew: up to three clusters need no table of contents.
func TestFew(t *testing.T) {
	bad, well := loadSample(t, "bad_night"), loadSample(t, "healthy")
	well.Name = "well"
	page := render(t, well, bad, well)
	if len(page.all("table", "overview")) != 0 {
		t.Error("an overview of three clusters")
	}
	expect(t, words(page.all("p", "summary")[0]), "3 clusters: 1 NOSPACE alarm, 2 healthy.")
	if first := words(page.all("h2", "")[0]); first != "default" {
		t.Errorf("the first section is %s", first)
	}
	expect(t, words(render(t, well, well).all("p", "summary")[0]), "All 2 clusters: healthy.")
	expect(t, words(render(t).all("p", "summary")[0]), "No cluster is configured.")
}

// TestLandingMarkup: ids are unique, every symbol exists, and nothing on the page
// is what its policy forbids.
func TestMarkup(t *testing.T) {
	a, b := loadSample(t, "bad_night"), loadSample(t, "healthy")
	b.Name = "b"
	page := render(t, a, b)
	ids := map[string]bool{}
	for _, n := range page.all("", "") {
		if id := attribute(n, "id"); id != "" && ids[id] {
			t.Errorf("id %s is there twice", id)
		} else {
			ids[id] = true
		}
		if slices.Contains([]string{"script", "link", "img", "iframe", "form", "object"}, n.Data) || attribute(n, "style") != "" {
			t.Errorf("the policy forbids <%s>", n.Data)
		}
	}
	for _, n := range append(page.all("use", ""), page.all("a", "")...) {
		if id, ok := strings.CutPrefix(attribute(n, "href"), "#"); ok && !ids[id] {
			t.Errorf("nothing has the id %q", id)
		}
	}
}
