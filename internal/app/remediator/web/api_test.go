// SPDX-License-Identifier: Apache-2.0

package web

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/remediate"
)

func TestRuns(t *testing.T) {
	h := newFace(t, &backend{runs: sampleRuns(250)}, "", "")
	for _, tc := range []struct {
		query string
		code  int
		runs  int
		first string
	}{
		{"", 200, 100, "run-0"},
		{"?limit=1", 200, 1, "run-0"},
		{"?limit=1000", 200, 250, "run-0"},
		{"?cluster=dev", 200, 100, "run-1"},
		{"?cluster=dev&limit=2", 200, 2, "run-1"},
		{"?cluster=nowhere", 200, 0, ""},
		{"?limit=0", 400, 0, ""},
		{"?limit=-1", 400, 0, ""},
		{"?limit=", 400, 0, ""},
		{"?limit=1001", 400, 0, ""},
		{"?limit=9999999999999999999", 400, 0, ""},
		{"?cluster=%zz", 400, 0, ""},
		{"?a;b", 400, 0, ""},
	} {
		w := ask(t, h, "GET", "/api/v1/runs"+tc.query)
		if w.Code != tc.code {
			t.Errorf("%s: %d", tc.query, w.Code)
			continue
		}
		if tc.code != 200 {
			if strings.Count(w.Body.String(), "\n") != 1 {
				t.Errorf("%s: %q is not one line", tc.query, w.Body)
			}
			continue
		}
		var runs []remediate.Run
		if err := json.Unmarshal(w.Body.Bytes(), &runs); err != nil || runs == nil || len(runs) != tc.runs || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d runs, %v", tc.query, len(runs), err)
		}
		if len(runs) > 0 && runs[0].ID != tc.first {
			t.Errorf("%s: begins with %s", tc.query, runs[0].ID)
		}
	}
}

// TestRunJSON: the fields of the contract are there, lists are lists.
func TestRunJSON(t *testing.T) {
	h := newFace(t, &backend{runs: sampleRuns(1)}, "", "")
	w := ask(t, h, "GET", "/api/v1/runs/run-0")
	var run map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &run); err != nil || w.Code != 200 {
		t.Fatal(w.Code, err)
	}
	for _, field := range []string{"id", "cluster", "policy", "action", "mode", "trigger", "accepted_at", "started_at", "finished_at", "outcome", "interrupted", "reason", "guards", "steps"} {
		if v, ok := run[field]; !ok || v == nil {
			t.Errorf("%s is %v", field, v)
		}
	}
	if trigger, _ := run["trigger"].(map[string]any); trigger["kind"] != "alert" || trigger["alert"] != "EtcdFragmented" || trigger["fingerprint"] != "cc3c9ebc00ae7b7c" {
		t.Errorf("trigger %v", run["trigger"])
	}
	for _, id := range []string{"run-1", "..%2f..%2fetc", "%00"} {
		if w := ask(t, h, "GET", "/api/v1/runs/"+id); w.Code != 404 {
			t.Errorf("%s: %d", id, w.Code)
		}
	}
}

func TestOrders(t *testing.T) {
	for _, tc := range []struct {
		path string
		err  error
		code int
		text string
		did  string
	}{
		{"/api/v1/runs/run-0/approve", nil, 200, `"id":"run-0"`, "approve run-0 by somebody from 192.0.2.1"},
		{"/api/v1/runs/run-9/approve", ErrNotFound, 404, "no such run", "approve run-9"},
		{"/api/v1/runs/run-0/approve", fmt.Errorf("run-0: %w", ErrNotAwaiting), 409, "does not await", "approve"},
		{"/api/v1/runs/run-0/approve", ErrExpired, 410, "too long", "approve"},
		{"/api/v1/runs/run-0/approve", fmt.Errorf("%w: another replica leads", ErrUnavailable), 503, "another replica", "approve"},
		{"/api/v1/runs/run-0/approve", errors.New("disk full"), 500, "disk full", "approve"},
		{"/-/pause", nil, 200, "paused", "pause by somebody from 192.0.2.1"},
		{"/-/pause", errors.New("disk full"), 500, "disk full", "pause"},
		{"/-/resume", nil, 200, "resumed", "resume by"},
		{"/-/reload", nil, 200, "reloaded", "reload"},
		{"/-/reload", errors.New("f.yml: line 3: x"), 500, "the old configuration stays in force:\nf.yml: line 3: x", "reload"},
	} {
		b := &backend{runs: sampleRuns(1), err: tc.err}
		w := ask(t, newFace(t, b, "", ""), "POST", tc.path, "Content-Type", "application/json")
		if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.text) || len(b.asked) != 1 || !strings.HasPrefix(b.asked[0], tc.did) {
			t.Errorf("%s with %v: %d %q, did %q", tc.path, tc.err, w.Code, w.Body, b.asked)
		}
	}
}

// TestWho: what the record says of the caller is true, or says nothing.
func TestWho(t *testing.T) {
	b := &backend{}
	ask(t, newFace(t, b, callerToken, adminToken), "POST", "/-/pause", "Content-Type", "application/json", "Authorization", "Bearer "+adminToken)
	if len(b.asked) != 1 || b.asked[0] != "pause by admin token from 192.0.2.1" {
		t.Errorf("did %q", b.asked)
	}
	auth, err := NewAuth("", "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	request := func() *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/-/pause", nil)
		r.SetBasicAuth("ops\u202e\n", "password")
		return r
	}
	if got := auth.who(request()); got != "somebody from 192.0.2.1" {
		t.Errorf("unchecked basic auth: %q", got)
	}
	auth.Basic = true
	if got := auth.who(request()); got != "user ops\uFFFD from 192.0.2.1" {
		t.Errorf("basic auth: %q", got)
	}
	r := request()
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "alertmanager"}}
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	if got := auth.who(r); strings.Contains(got, "alertmanager") {
		t.Errorf("a certificate that was not verified: %q", got)
	}
	r.TLS.VerifiedChains = [][]*x509.Certificate{{leaf}}
	if got := auth.who(r); got != "certificate CN=alertmanager from 192.0.2.1" {
		t.Errorf("certificate: %q", got)
	}
}

func TestReady(t *testing.T) {
	b := &backend{}
	auth, _ := NewAuth("", "", nil)
	var fault error
	h := Handler(Options{Backend: b, Auth: auth, Metrics: NewMetrics(b.State), Ready: func() error { return fault }})
	if w := ask(t, h, "GET", "/-/ready"); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
	fault = errors.New("shutting down")
	if w := ask(t, h, "GET", "/-/ready"); w.Code != 503 || !strings.Contains(w.Body.String(), "shutting down") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := ask(t, h, "GET", "/-/healthy"); w.Code != 200 {
		t.Errorf("healthy: %d", w.Code)
	}
	if w := ask(t, h, "GET", "/nowhere"); w.Code != 404 {
		t.Errorf("nowhere: %d", w.Code)
	}
}
