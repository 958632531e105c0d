// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

func TestDown(t *testing.T) {
	for reason, want := range map[string]string{
		"refused": "down connection refused", "timeout": "down no answer in time", "defragmenting": "defragmenting its reads and writes wait",
		"tls": "down TLS: no trust or no agreement", "auth": "down user, password or token refused",
		"dns": "down host name has no address", "other": "down the exporter's log says why", "martians": "down martians",
	} {
		page := render(t, loadSample(t, "bad_night", `reason="refused"`, `reason="`+reason+`"`))
		if got := page.row(third)["State"]; got != want {
			t.Errorf("%s: got %q, want %q", reason, got, want)
		}
		expect(t, page.findings(), third+" (etcd-3)")
	}
}

// TestLandingStates covers what the two words in the head of a cluster may be.
func TestStates(t *testing.T) {
	down := func(reason string) string {
		var scrape strings.Builder
		for _, u := range []string{first, second, third} {
			fmt.Fprintf(&scrape, "etcdops_endpoint_up{url=%q} 0\netcdops_endpoint_failure{url=%q,reason=%q} 1\n", u, u, reason)
		}
		return scrape.String()
	}
	unseen := "etcdops_cluster_voters_healthy 0\netcdops_cluster_quorum_size 2\netcdops_cluster_failure_tolerance -2\netcdops_cluster_has_leader 0\n"
	for name, c := range map[string]struct {
		cluster Cluster
		state   string
		level   string
		finds   []string
	}{
		"no leader": {loadSample(t, "no_leader"), "no leader", "bad", []string{"No member knows a leader", "!Linearizable"}},
		"quorum lost": {
			loadSample(t, "bad_night", "voters_healthy 2", "voters_healthy 0", "failure_tolerance 0", "failure_tolerance -2", "has_leader 1", "has_leader 0", `endpoint_up{url="`+second+`"} 1`, `endpoint_up{url="`+second+`"} 0`),
			"quorum lost", "bad",
			[]string{"Quorum is lost: 0 of 3 healthy, 2 are needed", "Alarm NOSPACE"},
		},
		"unreachable": {scraped(t, down("refused")+unseen), "unreachable", "bad", []string{"No endpoint answers", "Endpoint is down"}},
		"blind":       {scraped(t, down("tls")+unseen), "unreachable", "bad", []string{"etcd itself may be well", "check CA"}},
		"one endpoint of three": {
			loadSample(t, "healthy", "voters_healthy 3", "voters_healthy 1", "failure_tolerance 1", "failure_tolerance -1", "unmonitored 0", "unmonitored 2"),
			"needs attention", "warning",
			[]string{"give every member an endpoint", "No endpoint here leads to 2 started members"},
		},
		"one of three blind":  {loadSample(t, "bad_night", `reason="refused"`, `reason="tls"`), "NOSPACE alarm", "bad", []string{"cannot be seen"}},
		"corrupt":             {loadSample(t, "healthy", `alarm="CORRUPT"} 0`, `alarm="CORRUPT"} 1`), "CORRUPT alarm", "bad", []string{"Alarm CORRUPT", "etcd-1 etcd-2 etcd-3"}},
		"certificate soon":    {loadSample(t, "healthy", "1824865620", "1795921620"), "degraded", "bad", []string{"Server certificate expires soon"}},
		"collector fails":     {loadSample(t, "healthy", `collector="tls"} 1`, `collector="tls"} 0`), "needs attention", "warning", []string{"tls"}},
		"leaders":             {loadSample(t, "healthy", `of="leader"} 1`, `of="leader"} 2`), "degraded", "warning", []string{"Voters name different leaders: 2"}},
		"two clusters":        {loadSample(t, "healthy", `of="cluster_id"} 1`, `of="cluster_id"} 2`), "degraded", "bad", []string{"different clusters"}},
		"unstarted":           {loadSample(t, "healthy", `started{member_id="fd422379fda50e48",member="etcd-3"} 1`, `started{member_id="fd422379fda50e48",member=""} 0`, "unstarted 0", "unstarted 1"), "degraded", "warning", []string{"never started", "fd422379fda50e48"}},
		"serializable fails":  {loadSample(t, "healthy", `url="`+first+`",check="serializable_read"} 1`, `url="`+first+`",check="serializable_read"} 0`), "degraded", "warning", []string{"Serializable read fails " + first}},
		"knows no leader":     {loadSample(t, "healthy", `has_leader{url="`+first+`"} 1`, `has_leader{url="`+first+`"} 0`), "degraded", "warning", []string{"knows no leader while others do"}},
		"unlisted":            {loadSample(t, "healthy", "unlisted 0", "unlisted 1"), "needs attention", "warning", []string{"1 endpoint answers for a member"}},
		"nothing was learned": {scraped(t, ""), "not known", "unknown", nil},
	} {
		t.Run(name, func(t *testing.T) {
			page := render(t, c.cluster)
			if got := page.state(); got != c.state {
				t.Errorf("state: got %q, want %q", got, c.state)
			}
			if len(page.all("section", c.level)) != 1 {
				t.Errorf("the section is not %s", c.level)
			}
			expect(t, page.findings(), c.finds...)
		})
	}
}

// scraped is a cluster of three endpoints with a hand-made result.
func scraped(t *testing.T, scrape string) Cluster {
	t.Helper()
	return Cluster{Name: "default", Endpoints: []etcd.Endpoint{{URL: first}, {URL: second}, {URL: third}}, Last: parseResult(t, scrape)}
}

func TestNotScraped(t *testing.T) {
	c := loadSample(t, "healthy")
	c.Last = nil
	page := render(t, c)
	expect(t, page.state(), "not scraped yet")
	expect(t, words(page.all("p", "hint")[0]), "this page shows the last scrape", "/metrics")
	for _, u := range []string{first, second, third} {
		expect(t, page.row(u)["State"], "not asked yet")
	}
	if len(page.all("dl", "")) != 0 {
		t.Error("facts of a cluster that was never asked")
	}
}

// TestLandingDiscovered: the last result tells nothing of an endpoint that was
// found at its end.
func TestDiscovered(t *testing.T) {
	c := loadSample(t, "healthy")
	c.Endpoints = append(c.Endpoints, etcd.Endpoint{URL: "https://10.0.0.4:2379", Discovered: true})
	page := render(t, c)
	expect(t, page.state(), "healthy")
	expect(t, page.row("https://10.0.0.4:2379")["State"], "not asked yet")
}

func TestStale(t *testing.T) {
	for age, want := range map[time.Duration]string{2 * time.Minute: "healthy", 14*time.Minute + 5*time.Second: "healthy (stale)", -time.Hour: "healthy"} {
		c := loadSample(t, "healthy")
		c.Last.At = sampleNow.Add(-age)
		page := render(t, c)
		if got := page.state(); got != want {
			t.Errorf("%s old: got %q, want %q", age, got, want)
		}
		if want != "healthy" {
			expect(t, page.findings(), "No scrape for 14 m 5 s")
			expect(t, words(page.all("p", "scrape")[0]), "scraped 14 m 5 s ago")
		}
	}
}

func TestClocks(t *testing.T) {
	skews := func(a, b, c string) Cluster {
		return loadSample(t, "healthy", `skew_seconds{url="`+first+`"} 0.0004`, `skew_seconds{url="`+first+`"} `+a,
			`skew_seconds{url="`+second+`"} -0.0012`, `skew_seconds{url="`+second+`"} `+b, `skew_seconds{url="`+third+`"} 0.0021`, `skew_seconds{url="`+third+`"} `+c)
	}
	expect(t, render(t, skews("0", "-2.5", "0")).findings(), "Clock is more than a second off "+second+" (etcd-2): −2.5 s ± 1.5 ms", "!10.0.0.1")
	expect(t, render(t, skews("2.5", "2.6", "2.4")).findings(), "the exporter's own is wrong", "!more than a second off")
	expect(t, render(t, skews("2.5", "-2.5", "9")).findings(), "Clock is more than a second off")
	// The first sample may be half a second wide: 1.2 s is then not sure to be above 1 s.
	wide := loadSample(t, "healthy", `skew_seconds{url="`+first+`"} 0.0004`, `skew_seconds{url="`+first+`"} 1.2`, `error_seconds{url="`+first+`"} 0.002`, `error_seconds{url="`+first+`"} 0.5`)
	if got := render(t, wide).findings(); got != "" {
		t.Errorf("a skew that may be small is reported: %s", got)
	}
}

func TestCertificates(t *testing.T) {
	const made = "1824865620"
	for left, want := range map[time.Duration]struct{ level, text string }{
		-49 * time.Hour: {"bad", "expired 2 days ago"},
		0:               {"bad", "expired"},
		time.Hour:       {"bad", "in 1 h"},
		7*day - 1e9:     {"bad", "in 6 days"},
		7 * day:         {"warning", "in 7 days"},
		30*day - 1e9:    {"warning", "in 29 days"},
		30 * day:        {"good", "in 30 days"},
	} {
		at := fmt.Sprint(sampleNow.Add(left).Unix())
		r := newReadings(loadSample(t, "healthy", made, at).Last)
		c := newCertificate(r, sampleNow, "server", first)
		if c.Level.String() != want.level || !strings.HasPrefix(strings.ReplaceAll(c.Text, "\u00a0", " "), want.text) {
			t.Errorf("%s left: got %s %q, want %s %q", left, c.Level, c.Text, want.level, want.text)
		}
	}
	plain := loadSample(t, "healthy", "https://10.0.0.1", "http://10.0.0.1")
	plain.Endpoints[0].URL = "http://10.0.0.1:2379"
	expect(t, render(t, without(plain, "certificate")).row("http://10.0.0.1:2379")["Certificate"], "no TLS")
	ca := loadSample(t, "healthy", "2079313625", fmt.Sprint(sampleNow.Add(179*day).Unix()))
	expect(t, render(t, ca).findings(), "Warning: CA expires soon CN=etcd-ca: in 179 days")
}
