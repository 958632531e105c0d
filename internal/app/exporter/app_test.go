// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/etcd"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func answerOf(t *testing.T, a *app, r *http.Request) []targetGroup {
	t.Helper()
	w := httptest.NewRecorder()
	a.routes().ServeHTTP(w, r)
	var groups []targetGroup
	if err := json.NewDecoder(w.Body).Decode(&groups); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: status %d, %v", r.URL, w.Code, err)
	}
	return groups
}

// TestReloadKeepsWhatDidNotChange: a cluster that is configured as before keeps
// its connections and what it has learned.
func TestReloadKeepsWhatDidNotChange(t *testing.T) {
	one := config.Cluster{Name: "one", Endpoints: []string{"http://127.0.0.1:1"}, ProbeKey: "health"}
	two := config.Cluster{Name: "two", Endpoints: []string{"http://127.0.0.1:1"}, ProbeKey: "health"}
	a := testApp(t, Options{}, one, two)
	before := a.fleet.all()
	two.ProbeKey = "other"
	three := config.Cluster{Name: "three", Endpoints: []string{"http://127.0.0.1:1"}, ProbeKey: "health"}
	if err := a.fleet.apply(t.Context(), &config.Validated{Clusters: []config.Cluster{three, one, two}}); err != nil {
		t.Fatal(err)
	}
	after := a.fleet.all()
	if names := strings.Join(a.fleet.names(), " "); names != "three one two" {
		t.Fatalf("clusters %s", names)
	}
	if after[1] != before[0] {
		t.Error("the unchanged cluster was made anew")
	}
	if after[2] == before[1] {
		t.Error("the changed cluster was kept as it was")
	}
}

// TestReloadWaitsForRequests: a cluster that is gone stays open for those who
// still work with it. What it does in the background ends at once.
func TestReloadWaitsForRequests(t *testing.T) {
	a := testApp(t, Options{}, config.Cluster{Name: "one", Endpoints: []string{"http://127.0.0.1:1"}, ProbeKey: "health"})
	c, release, ok := a.fleet.use("one")
	if !ok {
		t.Fatal("cluster one is not there")
	}
	scanned := make(chan struct{})
	c.background.Work(func(ctx context.Context) {
		<-ctx.Done()
		close(scanned)
	})
	if err := a.fleet.apply(t.Context(), &config.Validated{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-scanned:
	case <-time.After(10 * time.Second):
		t.Fatal("a scan goes on as long as somebody else's request")
	}
	if _, _, ok := a.fleet.use("one"); ok {
		t.Error("the removed cluster is still handed out")
	}
	closed := make(chan struct{})
	go func() { c.close(); close(closed) }()
	select {
	case <-closed:
		t.Error("closed under a request")
	default:
	}
	release()
	<-closed
}

func TestHint(t *testing.T) {
	manifest := filepath.Join(t.TempDir(), "etcd.yaml")
	const pod = `apiVersion: v1
kind: Pod
spec:
  containers:
  - name: etcd
    command: [etcd, --advertise-client-urls=https://10.0.0.1:2379, --trusted-ca-file=/pki/ca.crt]
`
	if err := os.WriteFile(manifest, []byte(pod), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options Options
		reason  etcd.Reason
		want    int
	}{
		"refused":          {reason: etcd.ReasonRefused, want: 1},
		"TLS":              {reason: etcd.ReasonTLS, want: 1},
		"hanging":          {reason: etcd.ReasonTimeout},
		"endpoint was set": {options: Options{Flags: config.Flags{EndpointsSet: true}}, reason: etcd.ReasonTLS},
		"config file":      {options: Options{ConfigFile: "etcdops.yml"}, reason: etcd.ReasonTLS},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			h := &hint{options: c.options, manifest: manifest, log: slog.New(slog.NewTextHandler(&log, nil))}
			h.down(c.reason)
			h.down(c.reason)
			lines := strings.Count(log.String(), "--etcd.kubeadm-manifest="+manifest)
			if lines != c.want {
				t.Errorf("%d lines, want %d:\n%s", lines, c.want, &log)
			}
			if c.want > 0 && !strings.Contains(log.String(), "--etcd.ca-file=/pki/ca.crt") {
				t.Errorf("the flags are not in the line:\n%s", &log)
			}
		})
	}
}

// TestHintWithoutManifest: nothing is said where there is nothing to give.
func TestHintWithoutManifest(t *testing.T) {
	var log bytes.Buffer
	h := &hint{manifest: filepath.Join(t.TempDir(), "none.yaml"), log: slog.New(slog.NewTextHandler(&log, nil))}
	h.down(etcd.ReasonTLS)
	if log.Len() > 0 {
		t.Errorf("logged %s", &log)
	}
}

func TestBadRequests(t *testing.T) {
	a := testApp(t, Options{Collectors: []string{"status"}}, config.Cluster{Name: "one", Endpoints: []string{"http://127.0.0.1:1"}, ProbeKey: "health"})
	for target, want := range map[string]int{
		"GET /probe":                                                            400,
		"GET /probe?cluster=":                                                   400,
		"GET /probe?cluster=one&cluster=two":                                    400,
		"GET /probe?cluster=http://10.0.0.1:2379":                               404,
		"GET /probe?cluster=one&collect[]=nope":                                 400,
		"GET /probe?cluster=one&collect[]=tls":                                  400, // not enabled
		"GET /native?cluster=one":                                               400,
		"GET /native?cluster=one&url=http://10.0.0.9:1":                         404,
		"GET /native?cluster=two&url=http://127.0.0.1:1":                        404,
		"GET /native?cluster=one&url=http://127.0.0.1:1&url=http://127.0.0.1:1": 400,
		"GET /probe?cluster=one&collect[]=stat%zzus":                            400,
		"GET /probe?cluster=one;two":                                            400,
		"POST /metrics":                                                         405,
		"GET /-/reload":                                                         405,
		"GET /nope":                                                             404,
		"GET /debug/pprof/":                                                     404,
		"GET /-/healthy":                                                        200,
		"GET /-/ready":                                                          200,
	} {
		method, path, _ := strings.Cut(target, " ")
		w := httptest.NewRecorder()
		a.routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
		if text := strings.TrimSpace(w.Body.String()); want >= 400 && (text == "" || strings.Contains(text, "\n")) {
			t.Errorf("%s: the answer is not one line: %q", target, text)
		}
	}
}
