// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// counts is an Observer that remembers.
type counts struct {
	mu        sync.Mutex
	alerts    map[string]int
	truncated uint64
	heartbeat time.Time
}

func (c *counts) Alerts(status string, matched bool, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alerts == nil {
		c.alerts = map[string]int{}
	}
	c.alerts[fmt.Sprintf("%s/%t", status, matched)] += n
}

func (c *counts) Truncated(n uint64) { c.truncated += n }

func (c *counts) Heartbeat(at time.Time) { c.heartbeat = at }

const (
	fragmented = `{"status":"firing","labels":{"alertname":"EtcdFragmented","cluster":"prod"},"startsAt":"2026-11-24T02:00:00Z"}`
	heartbeat  = `{"status":"firing","labels":{"alertname":"EtcdRemediationHeartbeat"}}`
)

func message(alerts ...string) string {
	return `{"version":"4","receiver":"r","truncatedAlerts":2,"alerts":[` + strings.Join(alerts, ",") + `]}`
}

// serve posts a body as Alertmanager does; change may change the request.
func serve(t *testing.T, o Options, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	o.Router = func() *Router { return testRouter(t) }
	o.Now = func() time.Time { return began }
	o.Log = slog.New(slog.DiscardHandler)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/alerts", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	Handler(o).ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, tc := range map[string]struct {
		body     string
		change   func(*http.Request)
		accept   error
		code     int
		text     string
		hits     int
		observed string
	}{
		"accepted":         {message(fragmented), nil, nil, 200, "accepted: 1 alerts, 1 of them for a policy", 1, "map[firing/true:1] 2 false"},
		"charset":          {message(fragmented), header("Content-Type", "application/json; charset=utf-8"), nil, 200, "accepted", 1, "map[firing/true:1] 2 false"},
		"heartbeat":        {message(heartbeat), nil, errors.New("must not be asked"), 200, "accepted: 1 alerts, 0", 0, "map[firing/false:1] 2 true"},
		"nothing to keep":  {message(), nil, errors.New("must not be asked"), 200, "accepted: 0 alerts", 0, "map[] 2 false"},
		"journal":          {message(fragmented, heartbeat), nil, fmt.Errorf("%w: the journal: disk full", ErrUnavailable), 503, "the journal: disk full", 1, "map[] 0 false"},
		"other failure":    {message(fragmented), nil, errors.New("a fault"), 500, "a fault", 1, "map[] 0 false"},
		"GET":              {"", func(r *http.Request) { r.Method = http.MethodGet }, nil, 405, "only POST", 0, "map[] 0 false"},
		"form":             {message(fragmented), header("Content-Type", "text/plain"), nil, 415, "application/json", 0, "map[] 0 false"},
		"no content type":  {message(fragmented), func(r *http.Request) { r.Header.Del("Content-Type") }, nil, 415, "application/json", 0, "map[] 0 false"},
		"compressed":       {message(fragmented), header("Content-Encoding", "gzip"), nil, 415, "not compressed", 0, "map[] 0 false"},
		"too large":        {message(fragmented) + strings.Repeat(" ", MaxBody), nil, nil, 413, "larger than 1048576 bytes", 0, "map[] 0 false"},
		"malformed":        {`{"version":"4","alerts":[{"status":"firing"}]}`, nil, nil, 400, "alerts[0].labels is empty", 0, "map[] 0 false"},
		"wrong version":    {strings.Replace(message(fragmented), `"4"`, `"5"`, 1), nil, nil, 400, `version is "5"`, 0, "map[] 0 false"},
		"old and new body": {message(fragmented) + message(fragmented), nil, nil, 400, "no JSON", 0, "map[] 0 false"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen counts
			var hits []Hit
			w := serve(t, Options{Observer: &seen, Accept: func(_ context.Context, h []Hit) error { hits = h; return tc.accept }}, tc.body, tc.change)
			text := w.Body.String()
			if w.Code != tc.code || !strings.Contains(text, tc.text) || strings.Count(text, "\n") != 1 {
				t.Errorf("answered %d %q, want %d %q", w.Code, text, tc.code, tc.text)
			}
			if len(hits) != tc.hits {
				t.Errorf("%d hits were handed on, want %d", len(hits), tc.hits)
			}
			if seen.alerts == nil {
				seen.alerts = map[string]int{}
			}
			if got := fmt.Sprint(seen.alerts, seen.truncated, !seen.heartbeat.IsZero()); got != tc.observed {
				t.Errorf("observed %s, want %s", got, tc.observed)
			}
			if got := w.Header().Get("Retry-After") != ""; got != (tc.code == 503) {
				t.Errorf("Retry-After is given: %t", got)
			}
			if got := w.Header().Get("Allow"); (got == "POST") != (tc.code == 405) {
				t.Errorf("Allow: %q", got)
			}
		})
	}
}

// TestAnswerAfterAccept: the 200 comes when the hits are kept, and not before.
func TestAnswerAfterAccept(t *testing.T) {
	accepting, kept := make(chan struct{}), make(chan struct{})
	o := Options{Observer: &counts{}, Accept: func(context.Context, []Hit) error {
		close(accepting)
		<-kept
		return nil
	}}
	answered := make(chan int, 1)
	go func() { answered <- serve(t, o, message(fragmented), nil).Code }()
	<-accepting
	select {
	case code := <-answered:
		t.Fatalf("answered %d before the hits were kept", code)
	default:
	}
	close(kept)
	if code := <-answered; code != 200 {
		t.Errorf("answered %d", code)
	}
}

// TestPatience: when every place is taken, a request whose caller has gone does not
// wait for one.
func TestPatience(t *testing.T) {
	h := Handler(Options{}).(*handler)
	for range maxAtOnce {
		h.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(message(fragmented)))
	r.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(httptest.NewRecorder(), r) // would use a nil Router if it went on
}
