// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

var now = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

const token = "glsa_not_in_any_log"

// server is an Alertmanager and a Grafana that remember.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	posts  []received
	answer func(n int) int // the code for the nth post, from 1
	came   chan struct{}
}

type received struct {
	path, auth string
	body       []byte
}

func newServer(t *testing.T, answer func(n int) int) *server {
	t.Helper()
	s := &server{answer: answer, came: make(chan struct{}, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.posts = append(s.posts, received{r.URL.Path, r.Header.Get("Authorization"), body})
		code := s.answer(len(s.posts))
		s.mu.Unlock()
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		s.came <- struct{}{}
	}))
	t.Cleanup(s.Close)
	return s
}

func always(code int) func(int) int { return func(int) int { return code } }

// log gathers what is logged.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t *testing.T, o Options) (n *Notifier, l *log, stop func()) {
	t.Helper()
	l = &log{}
	o.Log, o.Now, o.FirstPause = slog.New(slog.NewTextHandler(l, nil)), func() time.Time { return now }, time.Millisecond
	if o.Grafana != "" && o.GrafanaTokenFile == "" {
		o.GrafanaTokenFile = filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(o.GrafanaTokenFile, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return n, l, stop
}

func sample(outcome remediate.Outcome) remediate.Run {
	return remediate.Run{
		ID: "r-1", Cluster: "prod", Policy: "reclaim", Action: "defrag", Outcome: outcome, Reason: "all members done",
		StartedAt: now.Add(-time.Minute), FinishedAt: now,
		Steps: []*remediate.Step{{Action: remediate.StepDefrag, StartedAt: now.Add(-time.Minute), FinishedAt: now, BeforeBytes: 3 << 30, AfterBytes: 1 << 30}},
	}
}

func (s *server) wait(t *testing.T, posts int) []received {
	t.Helper()
	for range posts {
		select {
		case <-s.came:
		case <-time.After(10 * time.Second):
			t.Fatalf("%d posts did not come", posts)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts
}

func TestAlert(t *testing.T) {
	s := newServer(t, always(200))
	n, _, _ := start(t, Options{Alertmanager: s.URL + "/am"})
	n.Ended(sample(remediate.Succeeded))
	post := s.wait(t, 1)[0]
	var alerts []alert
	if err := json.Unmarshal(post.body, &alerts); err != nil || len(alerts) != 1 || post.path != "/am/api/v2/alerts" || post.auth != "" {
		t.Fatalf("got %s %s, %v", post.path, post.body, err)
	}
	a := alerts[0]
	for name, want := range map[string]string{"alertname": "EtcdRemediationDone", "cluster": "prod", "policy": "reclaim", "action": "defrag", "outcome": "succeeded", "severity": "info"} {
		if a.Labels[name] != want {
			t.Errorf("label %s is %q, want %q", name, a.Labels[name], want)
		}
	}
	if got, want := a.Annotations["description"], "defrag of prod: succeeded, all members done; 2 GiB reclaimed; 1 step"; got != want {
		t.Errorf("description %q, want %q", got, want)
	}
	if a.Annotations["run_id"] != "r-1" || a.Annotations["summary"] == "" || !a.StartsAt.Equal(now) || !a.EndsAt.Equal(now.Add(15*time.Minute)) {
		t.Errorf("got %+v", a)
	}
}

func TestAnnotation(t *testing.T) {
	s := newServer(t, always(200))
	n, logged, stop := start(t, Options{Grafana: s.URL})
	n.Ended(sample(remediate.Failed))
	post := s.wait(t, 1)[0]
	var a annotation
	if err := json.Unmarshal(post.body, &a); err != nil || post.path != "/api/annotations" || post.auth != "Bearer "+token {
		t.Fatalf("got %s %s, %v", post.path, post.body, err)
	}
	if a.Time != now.Add(-time.Minute).UnixMilli() || a.TimeEnd != now.UnixMilli() || !strings.Contains(a.Text, "failed") || strings.Join(a.Tags, " ") != "etcd_remediator cluster:prod action:defrag outcome:failed" {
		t.Errorf("got %+v", a)
	}
	stop()
	if strings.Contains(logged.String(), token) {
		t.Error("the token is in the log")
	}
}

func TestWhoIsToldOfWhat(t *testing.T) {
	applied, idle := sample(""), sample("")
	idle.Steps = nil
	for _, tc := range []struct {
		outcome            remediate.Outcome
		run                remediate.Run
		severity           string // empty: no alert
		annotation, byHand bool
	}{
		{remediate.Succeeded, applied, "info", true, false},
		{remediate.Succeeded, applied, "info", true, true},
		{remediate.Failed, idle, "warning", false, false},
		{remediate.Failed, applied, "warning", true, false},
		{remediate.Interrupted, applied, "warning", true, false},
		{remediate.AwaitingApproval, idle, "warning", false, false},
		{remediate.Planned, idle, "info", false, false},
		{remediate.Expired, idle, "info", false, false},
		{remediate.Refused, idle, "", false, false},
		{remediate.Refused, applied, "info", true, false},
		{remediate.NothingToDo, idle, "", false, false},
	} {
		r := tc.run
		r.Outcome = tc.outcome
		if tc.byHand {
			r.Policy = ""
		}
		if got := worthAnnotation(&r); got != tc.annotation {
			t.Errorf("%s: annotation %t", tc.outcome, got)
		}
		if got := worthAlert(&r); got != (tc.severity != "") {
			t.Errorf("%s: alert %t", tc.outcome, got)
			continue
		}
		a := newAlert(now, &r)
		if tc.severity != "" && a.Labels["severity"] != tc.severity {
			t.Errorf("%s: severity %q, want %q", tc.outcome, a.Labels["severity"], tc.severity)
		}
		if _, ok := a.Labels["policy"]; ok == tc.byHand {
			t.Errorf("%s: labels %v", tc.outcome, a.Labels)
		}
	}
}

func TestRetries(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(n int) int
		posts  int
		logged string
	}{
		"at once":         {always(202), 1, ""},
		"the third time":  {func(n int) int { return map[bool]int{true: 200, false: 503}[n == 3] }, 3, ""},
		"too many":        {func(n int) int { return map[bool]int{true: 200, false: 429}[n == 2] }, 2, ""},
		"never":           {always(500), maxTries, "answered 500"},
		"not understood":  {always(400), 1, "refused with 400"},
		"token not known": {always(401), 1, "refused with 401"},
		"redirect":        {always(307), 1, "refused with 307"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tc.answer)
			n, logged, stop := start(t, Options{Grafana: s.URL})
			n.Ended(sample(remediate.Succeeded))
			s.wait(t, tc.posts)
			for end := time.Now().Add(10 * time.Second); tc.logged != "" && logged.String() == "" && time.Now().Before(end); {
				time.Sleep(time.Millisecond) // until it has given up
			}
			stop()
			if got := len(s.posts); got != tc.posts {
				t.Errorf("%d posts, want %d", got, tc.posts)
			}
			if got := logged.String(); !strings.Contains(got, tc.logged) || (tc.logged == "") != (got == "") || strings.Contains(got, token) || strings.Contains(got, "elsewhere") {
				t.Errorf("logged %q, want %q", got, tc.logged)
			}
		})
	}
}

// TestNeverBlocks: with nobody listening, and with a target that hangs, Ended
// returns, the other is told, and what is too much is dropped.
func TestNeverBlocks(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hanging.Close()
	defer close(release)
	s := newServer(t, always(200))
	n, logged, _ := start(t, Options{Alertmanager: hanging.URL, Grafana: s.URL})
	for range 3 * queueLength {
		n.Ended(sample(remediate.Succeeded))
		select {
		case <-s.came:
		case <-time.After(10 * time.Second):
			t.Fatal("the one that answers was not told")
		}
	}
	if !strings.Contains(logged.String(), "dropping the news of a run") {
		t.Error("nothing was dropped")
	}
}

// TestEnd: what waits when the program ends is sent all the same.
func TestEnd(t *testing.T) {
	s := newServer(t, always(200))
	n := New(Options{Alertmanager: s.URL, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	n.Ended(sample(remediate.Interrupted))
	n.Ended(sample(remediate.Succeeded))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Run(ctx)
	s.wait(t, 2)
}

// TestHostile: no text of a run breaks the message, and a dead target tells no URL.
func TestHostile(t *testing.T) {
	r := sample(remediate.Failed)
	r.Reason = "\x00\u202e\n\"}]<script>" + strings.Repeat("x", 100_000)
	data, err := json.Marshal([]alert{newAlert(now, &r)})
	if err != nil || len(data) > 10_000 || !json.Valid(data) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	n, logged, stop := start(t, Options{Alertmanager: "http://127.0.0.1:1/secret-path"})
	n.Ended(r)
	stop()
	if got := logged.String(); !strings.Contains(got, "nobody was told of a run") || strings.Contains(got, "secret-path") {
		t.Errorf("logged %q", got)
	}
}

func TestTokenFileGone(t *testing.T) {
	s := newServer(t, always(200))
	n, logged, stop := start(t, Options{Grafana: s.URL, GrafanaTokenFile: filepath.Join(t.TempDir(), "gone")})
	n.Ended(sample(remediate.Succeeded))
	stop()
	if got := logged.String(); len(s.posts) != 0 || !strings.Contains(got, "token_file: no such file") || strings.Contains(got, "gone") {
		t.Errorf("%d posts, logged %q", len(s.posts), got)
	}
}
