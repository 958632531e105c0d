// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// alertmanagerVersion is the one that tools/alertmanager pins.
const alertmanagerVersion = "v0.31.1"

// Alertmanager is a real one, with one route to a webhook.
type Alertmanager struct {
	t   testing.TB
	URL string
	log *output
}

// alertmanagerBinary is what `make` builds. Without it the test is skipped on a
// developer's machine, and fails in CI.
func alertmanagerBinary(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("ETCDOPS_TOOLS")
	if dir == "" {
		dir = filepath.Join("..", "..", ".tools")
	}
	file, err := filepath.Abs(filepath.Join(dir, "bin", "alertmanager-"+alertmanagerVersion))
	must(t, err)
	if _, err := os.Stat(file); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no Alertmanager: %v; run make tools", err)
		}
		t.Skipf("no Alertmanager: %v; run make tools", err)
	}
	return file
}

// startAlertmanager starts one on a free port, which sends to the webhook at once.
func startAlertmanager(t testing.TB, webhook, token string) *Alertmanager {
	t.Helper()
	binary, dir := alertmanagerBinary(t), t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `route:
  receiver: etcd_remediator
  group_by: [alertname, cluster]
  group_wait: 100ms
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: etcd_remediator
    webhook_configs:
      - url: %s/api/v1/alerts
        send_resolved: true
        http_config: {authorization: {type: Bearer, credentials: %q}}
`, webhook, token), 0o600))
	a := &Alertmanager{t: t, log: &output{}}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "--config.file="+config, "--storage.path="+dir,
		"--web.listen-address=127.0.0.1:0", "--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr, cmd.Env = a.log, a.log, environment()
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Alertmanager's log:\n%.5000s", a.log.String())
		}
	})
	await(t, startTime, "Alertmanager listens", func() error {
		found := listening.FindStringSubmatch(a.log.String())
		if found == nil {
			return errors.New(a.log.String())
		}
		a.URL = "http://" + found[1]
		return a.ready()
	})
	return a
}

func (a *Alertmanager) ready() error {
	request, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.URL+"/-/ready", http.NoBody)
	must(a.t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// Post posts an alert to its API as Prometheus does; it ends at that time.
func (a *Alertmanager) Post(labels map[string]string, ends time.Time) {
	a.t.Helper()
	body, err := json.Marshal([]map[string]any{{
		"labels": labels, "annotations": map[string]string{"summary": "of a test"},
		"startsAt": time.Now().Add(-time.Minute), "endsAt": ends, "generatorURL": "http://prometheus.example/graph",
	}})
	must(a.t, err)
	request, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.URL+"/api/v2/alerts", bytes.NewReader(body))
	must(a.t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	must(a.t, err)
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		a.t.Fatalf("Alertmanager answers %s: %s", response.Status, text)
	}
}

// busy stands before the webhook and answers 503 as often as it is told to.
type busy struct {
	URL      string
	refusals atomic.Int32 // that are left
	requests atomic.Int32 // that came
}

func startBusy(t testing.TB, target string, refusals int32) *busy {
	t.Helper()
	to, err := url.Parse(target)
	must(t, err)
	b := &busy{}
	b.refusals.Store(refusals)
	proxy := httputil.NewSingleHostReverseProxy(to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.requests.Add(1)
		if b.refusals.Add(-1) >= 0 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b.URL = server.URL
	return b
}
