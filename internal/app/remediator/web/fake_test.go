// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

var now = time.Date(2026, 11, 24, 3, 7, 0, 0, time.UTC)

const (
	callerToken = "the-webhooks-own-token"
	adminToken  = "the-admins-own-token!"
)

// backend is a Backend that remembers what it was asked to do.
type backend struct {
	state State
	runs  []remediate.Run
	err   error
	asked []string
}

func (b *backend) State() State          { return b.state }
func (b *backend) Runs() []remediate.Run { return b.runs }

func (b *backend) Run(id string) (remediate.Run, bool) {
	for _, r := range b.runs {
		if r.ID == id {
			return r, true
		}
	}
	return remediate.Run{}, false
}

func (b *backend) Approve(_ context.Context, id, by string) error {
	return b.ask("approve " + id + " by " + by)
}
func (b *backend) Pause(_ context.Context, by string) error  { return b.ask("pause by " + by) }
func (b *backend) Resume(_ context.Context, by string) error { return b.ask("resume by " + by) }
func (b *backend) Reload(context.Context) error              { return b.ask("reload") }

func (b *backend) ask(what string) error {
	b.asked = append(b.asked, what)
	return b.err
}

// secret writes a token to a file; an empty one is no file.
func secret(t *testing.T, name, token string) string {
	t.Helper()
	if token == "" {
		return ""
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func newFace(t *testing.T, b *backend, bearer, admin string) http.Handler {
	t.Helper()
	auth, err := NewAuth(secret(t, "bearer", bearer), secret(t, "admin", admin), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return Handler(Options{
		Backend: b, Auth: auth, Metrics: NewMetrics(b.State), Version: "1.2.3",
		Webhook: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w, "webhook") }),
		Now:     func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	})
}

// ask makes a request; headers are names and values in turn.
func ask(t *testing.T, h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(""))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func sampleRuns(n int) []remediate.Run {
	var runs []remediate.Run
	for i := range n {
		runs = append(runs, remediate.Run{
			ID: fmt.Sprintf("run-%d", i), Cluster: []string{"prod", "dev"}[i%2], Policy: "reclaim", Action: "defrag", Mode: "enforce",
			Trigger: remediate.Trigger{Kind: remediate.TriggerAlert, Alert: "EtcdFragmented", Fingerprint: "cc3c9ebc00ae7b7c"},
			Outcome: remediate.Succeeded, AcceptedAt: now, StartedAt: now.Add(time.Duration(-i) * time.Hour), FinishedAt: now.Add(time.Duration(-i)*time.Hour + time.Minute),
		})
	}
	return runs
}
