// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// varsOf is an answer as etcd gives it, cut to a few of its fields.
func varsOf(cmdline string) string {
	return `{
"cmdline": ` + cmdline + `,
"file_descriptor_limit": 1048576,
"memstats": {"Alloc":7343192,"PauseNs":[1,2,3],"BySize":[{"Size":8,"Mallocs":2}],"GCCPUFraction":0.01},
"raft.status": {"id":"8e9e05c52164694d","term":2,"progress":{}}
}
`
}

func TestFlags(t *testing.T) {
	client, _ := startWeb(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method+" "+r.URL.Path != "GET /debug/vars" {
			t.Errorf("asked %s %s", r.Method, r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprint(w, varsOf(`["/usr/local/bin/etcd","--name=secret","--quota-backend-bytes","8589934592","--client-cert-auth","--key-file=/secret"]`))
	})
	got, err := client.Flags(t.Context())
	if want := map[string]string{"quota-backend-bytes": "8589934592", "client-cert-auth": "true"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("Flags = %v, %v", got, err)
	}
}

// What a member says that is not etcd's costs its flags and nothing else, and no word of
// it is in the error.
func TestFlagsHostile(t *testing.T) {
	const word = "--name=secret"
	raw := func(answer io.Reader) string {
		return "http://" + startHostile(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
			_, _ = io.Copy(c, answer)
			c.Close()
		})
	}
	for _, test := range []struct {
		name, url string
		ok        bool
	}{
		{"no JSON", raw(strings.NewReader(word)), false},
		{"half", raw(strings.NewReader(`{"cmdline": ["etcd", "` + word)), false},
		{"a string for a list", raw(strings.NewReader(varsOf(`"` + word + `"`))), false},
		{"numbers", raw(strings.NewReader(varsOf(`[1, 2]`))), false},
		{"objects", raw(strings.NewReader(varsOf(`[{"` + word + `": 1}]`))), false},
		{"none", raw(strings.NewReader(varsOf(`null`))), false},
		{"empty", raw(strings.NewReader(varsOf(`[]`))), false},
		{"endless words", raw(io.MultiReader(strings.NewReader(`{"cmdline": ["etcd"`), endlessly(`,"`+word+`"`))), false},
		{"endless depth", raw(io.MultiReader(strings.NewReader(`{"x": `), endlessly("["))), false},
		{"another program", raw(strings.NewReader(varsOf(`["k3s","server","--snapshot-count=5"]`))), true},
		{"values that are none", raw(strings.NewReader(varsOf(`["etcd","--snapshot-count=\u0000` + word + `","--initial-cluster-state=\ud800"]`))), true},
		{"gRPC alone", "http://" + startFake(t, nil).address, false},
		{"refused", "http://127.0.0.1:1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := clusterAt(t, Config{}, test.url).Client(test.url).Flags(t.Context())
			if (err == nil) != test.ok || len(got) != 0 {
				t.Errorf("Flags = %v, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells it: %v", err)
			}
		})
	}
}

func TestFlagsNotServed(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"404":      http.NotFound,
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		client, _ := startWeb(t, handler)
		if got, err := client.Flags(t.Context()); err == nil {
			t.Errorf("%s: Flags = %v", name, got)
		}
	}
}

// The client port is asked first. Where it speaks no HTTP, or hangs, half of the time is
// left for the metrics URL.
func TestFlagsElsewhere(t *testing.T) {
	serve := func(words string) string {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, varsOf(words)) }))
		t.Cleanup(web.Close)
		return web.URL
	}
	elsewhere := serve(`["etcd","--snapshot-count=2"]`)
	silent := "http://" + startHostile(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	for port, want := range map[string]string{
		serve(`["etcd","--snapshot-count=1"]`): "1",
		"http://" + startFake(t, nil).address:  "2",
		silent:                                 "2",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		client := clusterAt(t, Config{MetricsURLs: map[string]string{port: elsewhere}}, port).Client(port)
		if got, err := client.Flags(ctx); err != nil || got["snapshot-count"] != want {
			t.Errorf("Flags = %v, %v, want %s", got, err, want)
		}
	}
}
