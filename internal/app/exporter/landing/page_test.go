// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/net/html"

	"github.com/etcdops/etcdops/collector"
	"github.com/etcdops/etcdops/internal/etcd"
)

// sampleNow is the instant that the files in testdata/landing were made for.
var sampleNow = time.Date(2026, 11, 24, 3, 7, 0, 0, time.UTC)

const (
	first  = "https://10.0.0.1:2379"
	second = "https://10.0.0.2:2379"
	third  = "https://10.0.0.3:2379"
	// hourly is the store of bad_night that is not well.
	hourly = "/var/backups/etcd/prod-eu-central-1/hourly"
)

// loadSample is a cluster as testdata tells it; edits are texts and what they
// are replaced with, in turn. A text that is not there fails the test.
func loadSample(t *testing.T, file string, edits ...string) Cluster {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file+".prom"))
	if err != nil {
		t.Fatal(err)
	}
	scrape := string(text)
	for i := 0; i+1 < len(edits); i += 2 {
		if !strings.Contains(scrape, edits[i]) {
			t.Fatalf("%s.prom has no %q", file, edits[i])
		}
		scrape = strings.ReplaceAll(scrape, edits[i], edits[i+1])
	}
	return Cluster{
		Name:      "default",
		Endpoints: []etcd.Endpoint{{URL: first}, {URL: second}, {URL: third, Discovered: true}},
		Last:      parseResult(t, scrape),
	}
}

func parseResult(t *testing.T, scrape string) *collector.Result {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(scrape))
	if err != nil {
		t.Fatal(err)
	}
	r := &collector.Result{At: sampleNow.Add(-12 * time.Second), Took: 15300 * time.Microsecond}
	for _, f := range families {
		r.Families = append(r.Families, f)
	}
	return r
}

// without drops the metrics whose names begin so.
func without(c Cluster, prefixes ...string) Cluster {
	kept := *c.Last
	kept.Families = slices.DeleteFunc(slices.Clone(c.Last.Families), func(f *dto.MetricFamily) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(f.GetName(), "etcdops_"+p) })
	})
	c.Last = &kept
	return c
}

// landing is a rendered page, read as a browser would.
type landing struct {
	t    *testing.T
	html string
	root *html.Node
}

func render(t *testing.T, clusters ...Cluster) landing {
	t.Helper()
	return renderAt(t, sampleNow, clusters...)
}

func renderAt(t *testing.T, now time.Time, clusters ...Cluster) landing {
	t.Helper()
	var page bytes.Buffer
	if err := Write(&page, now, "1.2.3", clusters, len(clusters) == 1); err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(bytes.NewReader(page.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return landing{t, page.String(), root}
}

// all gives the elements with the tag and, unless it is empty, the class.
func (l landing) all(tag, class string) []*html.Node { return elements(l.root, tag, class) }

func elements(root *html.Node, tag, class string) []*html.Node {
	var found []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && (tag == "" || n.Data == tag) && (class == "" || slices.Contains(strings.Fields(attribute(n, "class")), class)) {
			found = append(found, n)
		}
	}
	return found
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// words is an element's text as it is read, with single spaces.
func words(n *html.Node) string {
	var text strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent.Data != "style" {
			text.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.FieldsFunc(text.String(), unicode.IsSpace), " ")
}

func (l landing) state() string { return words(l.all("p", "chip")[0]) }

// row gives the cells of an endpoint's, prefix's or store's row by name.
func (l landing) row(head string) map[string]string {
	l.t.Helper()
	for _, tr := range l.all("tr", "") {
		heads := elements(tr, "bdi", "url")
		if len(heads) == 0 || words(heads[0]) != head {
			continue
		}
		cells := map[string]string{}
		for _, td := range elements(tr, "td", "") {
			cells[attribute(td, "data-name")] = words(td)
		}
		return cells
	}
	l.t.Fatalf("no row for %s", head)
	return nil
}

func (l landing) facts() map[string]string {
	facts := map[string]string{}
	for _, div := range elements(l.all("dl", "")[0], "div", "") {
		facts[words(elements(div, "dt", "")[0])] = words(elements(div, "dd", "")[0])
	}
	return facts
}

func (l landing) findings() string {
	var lines []string
	for _, ul := range l.all("ul", "findings") {
		for _, li := range elements(ul, "li", "") {
			lines = append(lines, words(li))
		}
	}
	return strings.Join(lines, "\n")
}

// expect fails for every text that is not in got, and for every one after a
// mark "!" that is.
func expect(t *testing.T, got string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		unwanted, not := strings.CutPrefix(want, "!")
		if strings.Contains(got, unwanted) == not {
			t.Errorf("want %q in:\n%s", want, got)
		}
	}
}

func TestHealthy(t *testing.T) {
	page := render(t, loadSample(t, "healthy"))
	expect(t, page.state(), "healthy")
	expect(t, words(page.all("title", "")[0]), "✔ default: healthy – etcd_exporter")
	expect(t, words(page.all("p", "scrape")[0]), "scraped 12 s ago in 15.3 ms")
	if got := page.findings(); got != "" {
		t.Errorf("findings: %s", got)
	}
	want := map[string]string{
		"Voters": "3 of 3 healthy quorum is 2", "Failure tolerance": "1 member may fail", "Leader": "etcd-2 91bc3c398fb3c146",
		"Alarms": "none", "Views": "all voters agree", "Revision": "18,734,512 compacted to 18,729,004",
		"Client certificate": "in 200 days CN=etcd-exporter", "Peer certificates": "in 340 days CN=etcd-1", "CA": "in 9 years CN=etcd-ca",
		"Collectors": "all 10 succeed", "Data": "the same on all voters at revision 18,729,004, 4 m 20 s ago",
	}
	if got := page.facts(); !maps.Equal(got, want) {
		t.Errorf("facts:\n got %v\nwant %v", got, want)
	}
	want = map[string]string{
		"State": "up", "Member": "etcd-2 leader 91bc3c398fb3c146", "Version": "3.6.16",
		"Reads": "linearizable 2.1 ms serializable 0.6 ms", "Database": "2.1 of 8 GiB, 26 % 1.61 GiB in use, 502 MiB free (23 %)",
		"Clock": "−1.2 ms ± 1.5 ms", "Certificate": "in 340 days",
	}
	if got := page.row(second); !maps.Equal(got, want) {
		t.Errorf("row:\n got %v\nwant %v", got, want)
	}
	expect(t, page.row(first)["Member"], "etcd-1 follower")
	expect(t, words(page.root), third+" discovered", "!known issue")
}

func TestBadNight(t *testing.T) {
	page := render(t, loadSample(t, "bad_night"))
	expect(t, page.state(), "NOSPACE alarm")
	expect(t, words(page.all("title", "")[0]), "✖ default: NOSPACE alarm")
	want := strings.Join([]string{
		"Critical: Alarm NOSPACE: etcd refuses writes until space is freed and the alarm is disarmed etcd-1",
		"Critical: Voters have different member lists: 2 answers",
		"Critical: Database is nearly at its quota: at the quota etcd refuses all writes " + first + " (etcd-1): 8 of 8 GiB, 100 % " + second + " (etcd-2): 7.4 of 8 GiB, 92 %",
		"Critical: Server certificate has expired " + first + " (etcd-1): expired 3 days ago",
		"Critical: Server certificate expires soon " + second + " (etcd-2): in 5 days",
		"Critical: Newest backup is not sound " + hourly + ": checksum mismatch; the last sound one was taken 31 h 1 m ago",
		"Critical: Newest sound backup is older than four intervals " + hourly + ": taken 31 h 1 m ago, due every 6 h",
		"Critical: Restore drill failed: its result file says why " + hourly + ": failed 28 h 48 m ago",
		"Warning: One more failure loses the quorum",
		"Warning: Endpoint is down " + third + " (etcd-3): connection refused",
		"Warning: Flood of events: more than 100,000 are stored /registry/events/: 412,345, of them 400,123 in argo-workflows-production",
		"Warning: Client certificate expires soon CN=etcd-exporter: in 21 days",
		"Warning: Collectors did not learn all they ask for; the exporter's log says why compaction",
		"Warning: Clock is more than a second off " + second + " (etcd-2): +2.5 s ± 4 ms",
		"Warning: Backup store cannot be listed; the exporter's log says why offsite",
	}, "\n")
	if got := page.findings(); got != want {
		t.Errorf("findings:\n%s\nwant:\n%s", got, want)
	}
	facts := page.facts()
	expect(t, facts["Voters"], "2 of 3 healthy")
	expect(t, facts["Failure tolerance"], "none")
	expect(t, facts["Alarms"], "NOSPACE on etcd-1")
	expect(t, facts["Views"], "2 views of membership")
	expect(t, facts["Collectors"], "compaction, backup failing of 9")
	want = "3.5.4 6 known issues, 4 critical #14685 critical #20650 critical #17780 critical CVE-2026-33413 critical #15247 warning GHSA-xg4h-6gfc-h4m8 warning"
	if got := page.row(first)["Version"]; got != want {
		t.Errorf("known issues: got %q, want %q", got, want)
	}
	if got, want := page.row(third), (map[string]string{
		"State": "down connection refused", "Member": "etcd-3 fd422379fda50e48",
		"Version": "–", "Reads": "–", "Database": "–", "Clock": "–", "Certificate": "–",
	}); !maps.Equal(got, want) {
		t.Errorf("row of the endpoint that is down:\n got %v\nwant %v", got, want)
	}
	expect(t, page.row(second)["Clock"], "+2.5 s ± 4 ms ahead of the exporter")
}

func TestLinks(t *testing.T) {
	one := loadSample(t, "healthy")
	two := one
	two.Name, two.Endpoints = "b&c d", []etcd.Endpoint{{URL: "https://[fd00::1%25eth0]:2379"}}
	links := func(page landing) (hrefs []string) {
		for _, a := range page.all("a", "") {
			hrefs = append(hrefs, attribute(a, "href"))
		}
		return hrefs
	}
	alone, both := links(render(t, one)), links(render(t, one, two))
	for _, want := range []string{"/metrics", "/sd", "/sd/native", "/-/healthy", "/-/ready", "https://github.com/etcdops/etcdops/blob/main/docs/metrics.md", "/native?cluster=default&url=https%3A%2F%2F10.0.0.1%3A2379"} {
		if !slices.Contains(alone, want) {
			t.Errorf("no link %s among %v", want, alone)
		}
	}
	if slices.ContainsFunc(alone, func(href string) bool { return strings.HasPrefix(href, "/probe") }) {
		t.Error("a single cluster is scraped at /metrics, not /probe")
	}
	if !slices.Contains(both, "/probe?cluster=default") {
		t.Errorf("no link to /probe among %v", both)
	}
	var asked []url.Values
	for _, href := range both {
		if u, err := url.Parse(href); err == nil && u.Path == "/native" {
			asked = append(asked, u.Query())
		}
	}
	if last := asked[len(asked)-1]; last.Get("cluster") != "b&c d" || last.Get("url") != "https://[fd00::1%25eth0]:2379" {
		t.Errorf("the link to native metrics asks for %v", last)
	}
}

func TestHeaders(t *testing.T) {
	h := http.Header{}
	Headers(h)
	page := render(t, loadSample(t, "bad_night"))
	sum := sha256.Sum256([]byte(page.all("style", "")[0].FirstChild.Data))
	expect(t, h.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"';", "frame-ancestors 'none'", "!unsafe")
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
