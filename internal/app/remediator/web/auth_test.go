// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
)

// The tokens that a request may carry.
var carried = map[string]string{
	"none": "", "caller": "Bearer " + callerToken, "admin": "bearer " + adminToken, "wrong": "Bearer nonsense-nonsense",
	"part": "Bearer " + callerToken[:len(callerToken)-1], "basic": "Basic dXNlcjpwYXNz", "bare": callerToken,
}

func TestAuth(t *testing.T) {
	const (
		open   = "GET /metrics"
		hook   = "POST /api/v1/alerts"
		read   = "GET /api/v1/runs"
		page   = "GET /"
		pause  = "POST /-/pause"
		reload = "POST /-/reload"
		yes    = "POST /api/v1/runs/run-0/approve"
	)
	for name, tc := range map[string]struct {
		bearer, admin string
		token         string
		want          map[string]int
	}{
		"nothing configured":         {"", "", "none", map[string]int{open: 200, hook: 200, read: 200, page: 200, pause: 200, reload: 200, yes: 200}},
		"bearer, none":               {callerToken, "", "none", map[string]int{open: 200, "GET /-/healthy": 200, "GET /-/ready": 200, hook: 401, read: 401, page: 401, "GET /api/v1/runs/run-0": 401, pause: 401, reload: 401, yes: 401, "POST /-/resume": 401}},
		"bearer, caller":             {callerToken, "", "caller", map[string]int{open: 200, hook: 200, read: 200, page: 200, pause: 200, reload: 200, yes: 200}},
		"bearer, wrong":              {callerToken, "", "wrong", map[string]int{open: 200, hook: 401, read: 401, page: 401, pause: 401, yes: 401}},
		"bearer, part":               {callerToken, "", "part", map[string]int{hook: 401, read: 401}},
		"bearer, basic":              {callerToken, "", "basic", map[string]int{hook: 401}},
		"bearer, no scheme":          {callerToken, "", "bare", map[string]int{hook: 401}},
		"bearer, admin of nobody":    {callerToken, "", "admin", map[string]int{hook: 401, pause: 401}},
		"both, none":                 {callerToken, adminToken, "none", map[string]int{open: 200, hook: 401, read: 401, page: 401, pause: 401, reload: 401, yes: 401}},
		"both, caller":               {callerToken, adminToken, "caller", map[string]int{hook: 200, read: 200, page: 200, pause: 403, reload: 403, yes: 403, "POST /-/resume": 403}},
		"both, admin":                {callerToken, adminToken, "admin", map[string]int{hook: 200, read: 200, page: 200, pause: 200, reload: 200, yes: 200, "POST /-/resume": 200}},
		"both, wrong":                {callerToken, adminToken, "wrong", map[string]int{hook: 401, pause: 401}},
		"admin alone, none":          {"", adminToken, "none", map[string]int{hook: 200, read: 200, page: 200, pause: 401, yes: 401}},
		"admin alone, admin":         {"", adminToken, "admin", map[string]int{hook: 200, read: 200, pause: 200, yes: 200}},
		"one token in both, carried": {callerToken, callerToken, "caller", map[string]int{hook: 200, pause: 403}},
	} {
		t.Run(name, func(t *testing.T) {
			b := &backend{runs: sampleRuns(1)}
			h := newFace(t, b, tc.bearer, tc.admin)
			for request, want := range tc.want {
				b.asked = nil
				method, path, _ := strings.Cut(request, " ")
				w := ask(t, h, method, path, "Authorization", carried[tc.token], "Content-Type", "application/json")
				if w.Code != want {
					t.Errorf("%s: %d %q, want %d", request, w.Code, w.Body, want)
				}
				if got := w.Header().Get("WWW-Authenticate"); (want == 401) != strings.HasPrefix(got, "Bearer ") {
					t.Errorf("%s: WWW-Authenticate %q", request, got)
				}
				if want != 200 && len(b.asked) > 0 {
					t.Errorf("%s: did %q", request, b.asked)
				}
				if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s: headers %v", request, w.Header())
				}
			}
		})
	}
}

// TestBrowser: neither a form nor a page's script can make the program act.
func TestBrowser(t *testing.T) {
	b := &backend{runs: sampleRuns(1)}
	h := newFace(t, b, "", "")
	const kind = "Content-Type"
	for _, tc := range []struct {
		path    string
		headers []string
		code    int
	}{
		{"/-/pause", nil, 415},
		{"/-/pause", []string{kind, "text/plain"}, 415},
		{"/-/pause", []string{kind, "application/x-www-form-urlencoded"}, 415},
		{"/-/pause", []string{kind, "application/json", "Origin", "http://127.0.0.1:10380"}, 403},
		{"/-/resume", []string{kind, "application/json", "Sec-Fetch-Site", "same-origin"}, 403},
		{"/-/reload", []string{kind, "application/jsonp"}, 415},
		{"/api/v1/runs/run-0/approve", []string{kind, "multipart/form-data"}, 415},
		{"/api/v1/alerts", []string{kind, "application/json", "Origin", "null"}, 403},
		{"/-/pause", []string{kind, "application/json; charset=utf-8"}, 200},
	} {
		b.asked = nil
		if w := ask(t, h, "POST", tc.path, tc.headers...); w.Code != tc.code || (tc.code == 200) != (len(b.asked) == 1) {
			t.Errorf("%s %q: %d, did %q", tc.path, tc.headers, w.Code, b.asked)
		}
	}
	for _, path := range []string{"/-/pause", "/-/resume", "/-/reload", "/api/v1/runs/run-0/approve"} {
		if w := ask(t, h, "GET", path); w.Code != 405 || w.Header().Get("Allow") != "POST" {
			t.Errorf("GET %s: %d, Allow %q", path, w.Code, w.Header().Get("Allow"))
		}
	}
}

// TestRotate: a token file that is written anew counts at once; one that is gone or
// too short leaves the last good token in force, and the log holds no token.
func TestRotate(t *testing.T) {
	file := secret(t, "bearer", callerToken)
	var logged bytes.Buffer
	auth, err := NewAuth(file, "", slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{}
	h := Handler(Options{Backend: b, Auth: auth, Metrics: NewMetrics(b.State), Log: slog.New(slog.DiscardHandler)})
	const next = "another-token-of-the-webhook"
	code := func(token string) int {
		return ask(t, h, "GET", "/api/v1/runs", "Authorization", "Bearer "+token).Code
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code(callerToken) != 200 || code(next) != 401 {
		t.Error("before the rotation")
	}
	write(next + "\r\n")
	if code(callerToken) != 401 || code(next) != 200 {
		t.Error("after the rotation")
	}
	write("short")
	if code("short") != 401 || code(next) != 200 || code("") != 401 {
		t.Error("with a short token")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if code(next) != 200 || code(callerToken) != 401 {
		t.Error("without the file")
	}
	if text := logged.String(); strings.Count(text, "\n") != 2 || strings.Contains(text, next) || strings.Contains(text, file) {
		t.Errorf("logged %q", text)
	}
}

func TestTokenFiles(t *testing.T) {
	for _, tc := range []struct{ bearer, admin, want string }{
		{secret(t, "short", "fifteen-bytes.."), "", "bearer_token_file: the file it names holds less than 16 bytes"},
		{"", t.TempDir() + "/gone", "admin_token_file: cannot read the file it names: no such file"},
		{t.TempDir(), "", "bearer_token_file: cannot read the file it names"},
	} {
		if _, err := NewAuth(tc.bearer, tc.admin, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}
