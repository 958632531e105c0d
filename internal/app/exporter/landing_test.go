// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
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

// landingNow is the instant that the files in testdata/landing were made for.
var landingNow = time.Date(2026, 11, 24, 3, 7, 0, 0, time.UTC)

const (
	first  = "https://10.0.0.1:2379"
	second = "https://10.0.0.2:2379"
	third  = "https://10.0.0.3:2379"
)

// landingSample is a cluster as testdata tells it; edits are texts and what they
// are replaced with, in turn. A text that is not there fails the test.
func landingSample(t *testing.T, file string, edits ...string) landingCluster {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "landing", file+".prom"))
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
	return landingCluster{
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
	r := &collector.Result{At: landingNow.Add(-12 * time.Second), Took: 15300 * time.Microsecond}
	for _, f := range families {
		r.Families = append(r.Families, f)
	}
	return r
}

// without drops the metrics whose names begin so.
func without(c landingCluster, prefixes ...string) landingCluster {
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

func render(t *testing.T, clusters ...landingCluster) landing {
	t.Helper()
	var page bytes.Buffer
	if err := landingPage(&page, landingNow, "1.2.3", clusters, len(clusters) == 1); err != nil {
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

// row gives the cells of an endpoint's row by name.
func (l landing) row(shownURL string) map[string]string {
	l.t.Helper()
	for _, tr := range l.all("tr", "") {
		heads := elements(tr, "bdi", "url")
		if len(heads) == 0 || words(heads[0]) != shownURL {
			continue
		}
		cells := map[string]string{}
		for _, td := range elements(tr, "td", "") {
			cells[attribute(td, "data-name")] = words(td)
		}
		return cells
	}
	l.t.Fatalf("no row for %s", shownURL)
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

// expect fails for every text that is not in got; one that begins with "not "
// must not be there.
func expect(t *testing.T, got string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if unwanted, not := strings.CutPrefix(want, "not "); not == strings.Contains(got, unwanted) && not || !not && !strings.Contains(got, want) {
			t.Errorf("want %q in:\n%s", want, got)
		}
	}
}

func TestLandingHeaders(t *testing.T) {
	h := http.Header{}
	landingHeaders(h)
	style := words2(render(t, landingSample(t, "bad_night")).all("style", "")[0])
	sum := sha256.Sum256([]byte(style))
	policy := h.Get("Content-Security-Policy")
	expect(t, policy, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"';", "frame-ancestors 'none'", "not unsafe")
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func words2(n *html.Node) string { return n.FirstChild.Data }

var _ = fmt.Sprint
var _ = url.QueryEscape
