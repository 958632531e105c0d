// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"flag" //nolint:depguard // a flag of go test, not of a program
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/net/html"

	"github.com/etcdops/etcdops/remediate"
)

var update = flag.Bool("update", false, "write the golden pages of testdata anew; then look at them in a browser")

// page is a rendered page, read as a browser would.
type page struct {
	text string
	root *html.Node
}

func render(t *testing.T, s subject) page {
	t.Helper()
	var out bytes.Buffer
	if err := writePage(&out, s); err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return page{out.String(), root}
}

// all gives the elements with the tag and, unless it is empty, the class.
func (p page) all(tag, class string) []*html.Node {
	var found []*html.Node
	for n := range p.root.Descendants() {
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

// TestGolden compares whole pages, which were looked at in a browser.
func TestGolden(t *testing.T) {
	for name, s := range map[string]subject{"busy": busy(), "quiet": quiet()} {
		file, got := filepath.Join("testdata", name+".html"), render(t, s).text
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs: go test -update, and look at it", file)
		}
	}
}

// TestOverall: the gravest comes first, and every finding is in the page.
func TestOverall(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*subject)
		chip   string
		level  string
		says   string
	}{
		"ready":       {func(*subject) {}, "ready", "good", "No run yet"},
		"journal":     {func(s *subject) { s.State.JournalFault = "line 7 is corrupt"; s.State.PausedSince = now }, "plans only", "bad", "line 7 is corrupt"},
		"paused":      {func(s *subject) { s.State.PausedSince, s.State.PausedBy = now.Add(-time.Hour), "ops" }, "paused", "warning", "by ops, 1 h ago"},
		"standing by": {func(s *subject) { s.State.Leader, s.State.Election, s.State.Holder = false, true, "pod-1" }, "standing by", "unknown", "pod-1"},
		"breaker": {func(s *subject) {
			s.State.Policies = []Policy{{Name: "p", Clusters: []Standing{{Cluster: "c", BudgetLeft: 1, BreakerOpen: true, BreakerWhy: "brought too little"}}}}
		}, "breaker open", "bad", "p on c: brought too little"},
		"approval": {func(s *subject) {
			s.Runs = []remediate.Run{{ID: "r-7", Outcome: remediate.AwaitingApproval}}
		}, "waits for approval", "warning", "etcd_remediator approve r-7"},
		"at work": {func(s *subject) { s.State.Running = []Running{{Run: remediate.Run{Action: "defrag", Cluster: "c"}}} }, "at work", "good", "looking at the cluster"},
		"at work all the same": {func(s *subject) {
			s.State.Running = []Running{{Run: remediate.Run{Action: "defrag", Cluster: "c"}}}
			s.Heartbeat = now.Add(-time.Hour)
		}, "at work, needs a look", "warning", "Heartbeat is late"},
		"budget": {func(s *subject) {
			s.State.Policies = []Policy{{Name: "p", Budget: 4, Clusters: []Standing{{Cluster: "c", Firing: true}}}}
		}, "needs a look", "warning", "Budget is spent while the alert fires p on c"},
		"late": {func(s *subject) { s.Heartbeat = now.Add(-time.Hour) }, "needs a look", "warning", "Heartbeat is late"},
		"mended": {func(s *subject) {
			s.Runs = []remediate.Run{{Policy: "p", Outcome: remediate.Succeeded, FinishedAt: now}, {Policy: "p", Outcome: remediate.Failed, FinishedAt: now, Reason: "old"}}
		}, "ready", "good", "!The last run failed"},
		"failed": {func(s *subject) {
			s.Runs = []remediate.Run{{Policy: "p", Action: "defrag", Cluster: "c", Outcome: remediate.Failed, FinishedAt: now, Reason: "timed out"}}
		}, "needs a look", "bad", "The last run failed defrag of c: timed out"},
	} {
		t.Run(name, func(t *testing.T) {
			s := quiet()
			tc.change(&s)
			p := render(t, s)
			chip := p.all("p", "chip")[0]
			if got := words(chip); got != tc.chip || !strings.Contains(attribute(chip, "class"), tc.level) {
				t.Errorf("chip %q %q, want %q %q", got, attribute(chip, "class"), tc.chip, tc.level)
			}
			says, not := strings.CutPrefix(tc.says, "!")
			if got := words(p.root); strings.Contains(got, says) == not {
				t.Errorf("%q: %t in %q", says, !not, got)
			}
		})
	}
}

// TestManyRuns: the page stays of a size that can be read.
func TestManyRuns(t *testing.T) {
	s := quiet()
	s.Runs = sampleRuns(400)
	p := render(t, s)
	if got := len(p.all("details", "run")); got != maxRuns {
		t.Errorf("%d runs", got)
	}
	if !strings.Contains(words(p.root), "350 more") {
		t.Error("it does not say how many are left out")
	}
}

// hostile are names that an alert, a member or an event may have.
var hostile = []string{
	`<script>alert(1)</script>`,
	`</style><script src=//evil.example></script>`,
	`"><img src=x onerror=alert(1)>`,
	`' onmouseover='alert(1)`,
	`javascript:alert(1)//`,
	`{{template "run" .}}`,
	`<!-- ]]> --!> <plaintext>`,
	"\u202egnp.exe\u2066\u200f\u061c\u200b\ufeff\U000e0041",
	"\x1b[31mred\x07\x00\r\n\u0085\u2028",
	"\xff\xfe broken",
	strings.Repeat("<b>", 340),
	"Z" + strings.Repeat("\u0301", 500),
	"עברית",
}

func TestHostile(t *testing.T) {
	tags := map[string]bool{}
	for _, n := range render(t, busy()).all("", "") {
		tags[n.Data] = true
	}
	for _, name := range hostile {
		p := render(t, named(name))
		for _, n := range p.all("", "") {
			harmless(t, n, tags)
		}
		text := words(p.root)
		if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }); i >= 0 {
			t.Errorf("%.40q: the page shows %q", name, text[i:min(i+10, len(text))])
		}
		if len(p.text) > 200_000 {
			t.Errorf("%.40q: the page has %d bytes", name, len(p.text))
		}
	}
}

// named is a page on which everything is called so.
func named(name string) subject {
	s := busy()
	s.Version, s.State.Holder, s.State.PausedBy, s.State.PausedSince, s.State.JournalFault, s.State.Mode = name, name, name, now, name, name
	for i := range s.State.Policies {
		p := &s.State.Policies[i]
		p.Name, p.Action, p.Mode, p.Matchers = name, name, name, name
		for k := range p.Clusters {
			p.Clusters[k].Cluster, p.Clusters[k].BreakerWhy = name, name
		}
	}
	for i := range s.State.Intents {
		s.State.Intents[i] = Intent{Policy: name, Cluster: name, Alert: name, LastReason: name, Since: now}
	}
	for i := range s.Runs {
		r := &s.Runs[i]
		r.ID, r.Cluster, r.Policy, r.Action, r.Mode, r.Reason = name, name, name, name, name, name
		r.Trigger = remediate.Trigger{Kind: name, Alert: name, Fingerprint: name, By: name}
		r.Guards = append(r.Guards, remediate.Verdict{Guard: name, Verdict: name, Reason: name}, remediate.Verdict{Guard: name, Verdict: remediate.Allow})
		for _, step := range r.Steps {
			step.Action, step.URL, step.Member, step.Reason, step.File, step.Error = name, name, name, name, name, name
			step.Sample = &remediate.Sample{Events: 1, Reasons: map[string]int{name: 1}, Sources: map[string]int{name: 1}, Namespaces: map[string]int{name: 1}}
		}
	}
	s.Runs[0].Outcome, s.State.Running[0].Run = remediate.Outcome(name), s.Runs[0]
	return s
}

// harmless fails for an element or attribute that the page does not have of its own,
// and for a link that leaves it.
func harmless(t *testing.T, n *html.Node, tags map[string]bool) {
	t.Helper()
	if !tags[n.Data] {
		t.Errorf("element <%s>", n.Data)
	}
	for _, a := range n.Attr {
		if a.Key == "style" || strings.HasPrefix(a.Key, "on") || a.Key == "src" {
			t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
		}
		own := slices.Contains([]string{"/metrics", "/api/v1/runs", "/-/healthy", "/-/ready", "https://github.com/etcdops/etcdops/blob/main/docs/metrics.md"}, a.Val) || strings.HasPrefix(a.Val, "#icon-")
		if a.Key == "href" && !own {
			t.Errorf("link to %q", a.Val)
		}
	}
}

// TestFigures: no number or time that a record can hold breaks the page.
func TestFigures(t *testing.T) {
	for _, v := range []int64{0, -1, math.MaxInt64, math.MinInt64} {
		s := busy()
		s.State.Running[0].Done, s.State.Running[0].All = v, v
		for i := range s.Runs {
			s.Runs[i].StartedAt, s.Runs[i].FinishedAt, s.Runs[i].ExpiresAt = time.Unix(v%1e12, 0), time.Time{}, time.Unix(-(v%1e12), 0)
			for _, step := range s.Runs[i].Steps {
				step.BeforeBytes, step.AfterBytes, step.Keys, step.Kept, step.Revision, step.Estimate = v, v, v, v, v, v
				step.StartedAt, step.FinishedAt = time.Unix(v%1e12, 0), time.Unix(-(v%1e12), 0)
			}
			s.Runs[i].Steps = append(s.Runs[i].Steps, &remediate.Step{})
		}
		p := render(t, s)
		for _, rect := range p.all("rect", "used") {
			if w := attribute(rect, "width"); w != "0" && w != "100" {
				t.Errorf("%d: the bar is %s wide", v, w)
			}
		}
	}
}

// TestHeaders: the policy allows the style sheet that the page has, and nothing else.
func TestHeaders(t *testing.T) {
	b := &backend{state: busy().State, runs: busy().Runs}
	w := ask(t, newFace(t, b, "", ""), "GET", "/")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatal(w.Code, w.Header())
	}
	_, style, _ := strings.Cut(w.Body.String(), "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"
	if got := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(got, want) {
		t.Errorf("policy %q, want %q", got, want)
	}
	for name, value := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
		if got := w.Header().Get(name); got != value {
			t.Errorf("%s: %q", name, got)
		}
	}
}
