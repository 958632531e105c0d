// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func startWeb(t *testing.T, handler http.HandlerFunc) (*Client, *httptest.Server) {
	t.Helper()
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	return clusterAt(t, Config{}, web.URL).Client(web.URL), web
}

func TestServerTime(t *testing.T) {
	var seen atomic.Value
	client, _ := startWeb(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Method + " " + r.URL.Path)
		http.NotFound(w, r)
	})
	before := time.Now()
	at, err := client.ServerTime(t.Context())
	if err != nil || at.Source != SourceClient || at.Date == "" {
		t.Fatalf("ServerTime = %+v, %v", at, err)
	}
	if at.Sent.Before(before) || at.Received.Before(at.Sent) || at.Received.After(time.Now()) {
		t.Errorf("sent %s, received %s", at.Sent, at.Received)
	}
	if seen.Load() != "HEAD "+clockPath {
		t.Errorf("asked %s", seen.Load())
	}
}

func TestServerTimeAnswers(t *testing.T) {
	raw := func(answer string) string {
		return "http://" + startHostile(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
			c.Close()
		})
	}
	for _, test := range []struct {
		name, url string
		ok        bool
	}{
		{"404", raw("HTTP/1.1 404 Not Found\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n"), true},
		{"a redirect's own Date, not followed", raw("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nDate: x\r\n\r\n"), true},
		{"no Date", raw("HTTP/1.1 404 Not Found\r\n\r\n"), false},
		{"a status before the answer", raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\nDate: x\r\n\r\n"), false},
		{"header without end", raw("HTTP/1.1 404 Not Found\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\nDate: x\r\n\r\n"), false},
		{"gRPC alone", "http://" + startFake(t, nil).address, false},
		{"refused", "http://127.0.0.1:1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := clusterAt(t, Config{}, test.url).Client(test.url).ServerTime(t.Context())
			if (err == nil) != test.ok || (at.Date != "") != test.ok {
				t.Errorf("ServerTime = %+v, %v", at, err)
			}
		})
	}
}

func TestSpeaksFirst(t *testing.T) {
	client, server := net.Pipe()
	go func() { _, _ = io.WriteString(server, "hello") }()
	if _, err := (&quietConn{Conn: client}).Read(make([]byte, 5)); !errors.Is(err, errSpeaksFirst) {
		t.Errorf("Read = %v", err)
	}
}

func TestMetricsURL(t *testing.T) {
	ca := newAuthority(t, "ca")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			fmt.Fprint(w, "etcd_server_quota_backend_bytes 2.147483648e+09\n")
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(web.Close)
	for _, suffix := range []string{"", "/", "/metrics", "/metrics/"} {
		cfg := ca.files(t, t.TempDir())
		cfg.MetricsURLs = map[string]string{"https://127.0.0.1:1": web.URL + suffix}
		client := clusterAt(t, cfg, "https://127.0.0.1:1").Client("https://127.0.0.1:1")
		if at, err := client.ServerTime(t.Context()); err != nil || at.Source != SourceMetrics {
			t.Errorf("%q: ServerTime = %+v, %v", suffix, at, err)
		}
		if quota, err := client.Quota(t.Context()); err != nil || quota != 2<<30 {
			t.Errorf("%q: Quota = %d, %v", suffix, quota, err)
		}
	}
}

func TestQuota(t *testing.T) {
	for _, test := range []struct {
		body string
		want int64
	}{
		{"# HELP x\netcd_server_quota_backend_bytes 2.147483648e+09\nx 1\n", 2 << 30},
		{"etcd_server_quota_backend_bytes 0\n", 0},
		{"etcd_server_quota_backend_bytes_x 1\n", -1},
		{"etcd_server_quota_backend_bytes NaN\n", -1},
		{"etcd_server_quota_backend_bytes +Inf\n", -1},
		{"etcd_server_quota_backend_bytes -1\n", -1},
		{"etcd_server_quota_backend_bytes 1e300\n", -1},
		{"etcd_server_quota_backend_bytes x\n", -1},
		{strings.Repeat("x", 1<<17), -1},
		{"", -1},
	} {
		var asked atomic.Int32
		client, _ := startWeb(t, func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, test.body)
		})
		for range 3 { // asked once: a failure is remembered too, for a minute
			quota, err := client.Quota(t.Context())
			if (err != nil) != (test.want < 0) || err == nil && quota != test.want {
				t.Errorf("%.60q: %d, %v", test.body, quota, err)
			}
		}
		if asked.Load() != 1 {
			t.Errorf("%.60q: asked %d times", test.body, asked.Load())
		}
	}
}

func TestMetricsStreams(t *testing.T) {
	client, web := startWeb(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Accept-Encoding") {
		case "gzip":
			w.Header().Set("Content-Encoding", "gzip")
		case "":
		default:
			t.Errorf("Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.Copy(w, endlessly(strings.Repeat("metric 1\n", 400)))
	})
	for encoding, read := range map[string]int64{"": 1 << 20, "gzip": maxMetrics} {
		resp, err := client.Metrics(t.Context(), encoding)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Content-Encoding"); got != encoding {
			t.Errorf("Content-Encoding %q", got)
		}
		n, err := io.CopyN(io.Discard, resp.Body, read+1)
		if bounded := read == maxMetrics; bounded != (err != nil) || bounded && n != maxMetrics {
			t.Errorf("%d bytes, %v: the bound is %d", n, err, maxMetrics)
		}
		resp.Body.Close()
	}
	c := clusterAt(t, Config{Name: "x"}, web.URL)
	if _, err := c.Metrics(t.Context(), "http://127.0.0.1:1", ""); err == nil {
		t.Error("an endpoint that is not known is asked")
	}
}

func TestMetricsRefuses(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"404":      http.NotFound,
		"HTML":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html></html>") },
	} {
		client, _ := startWeb(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/metrics" {
				t.Errorf("%s: %s is asked", name, r.URL.Path)
			}
			handler(w, r)
		})
		if resp, err := client.Metrics(t.Context(), ""); err == nil {
			resp.Body.Close()
			t.Errorf("%s: taken for metrics", name)
		}
	}
	client, _ := startWeb(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.Metrics(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Metrics = %v", err)
	}
}
