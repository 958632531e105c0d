// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/etcdops/etcdops/remediate"
)

const (
	webhookToken = "the-token-of-the-webhook"
	adminToken   = "the-token-of-the-admin"
)

// guardNames are what users see in records and metrics.
var guardNames = []string{
	"paused", "journal", "election", "window", "breaker", "cooldown", "budget", "members", "health", "lag", "corrupt",
	"version", "voters", "stable", "defragmenting", "clock", "disk", "queries", "quota", "pause", "snapshot",
}

// writeGuarded is a configuration with both tokens, of clusters that nobody is at.
func writeGuarded(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bearer, admin := filepath.Join(dir, "bearer"), filepath.Join(dir, "admin")
	must(t, os.WriteFile(bearer, []byte(webhookToken+"\n"), 0o600), os.WriteFile(admin, []byte(adminToken+"\n"), 0o600))
	return writeNowhere(t, "  policies:\n", "  bearer_token_file: "+bearer+"\n  admin_token_file: "+admin+"\n  policies:\n")
}

// TestEveryPath has each path answer each code of the contract.
func TestEveryPath(t *testing.T) {
	t.Parallel()
	s := serve(t, writeGuarded(t))
	const (
		alerts  = "/api/v1/alerts"
		runs    = "/api/v1/runs"
		approve = "/api/v1/runs/20260102T030405Z-00000000/approve"
		browser = "Origin=https://elsewhere.example"
		text    = "Content-Type=text/plain"
	)
	good := alert("firing", "alertname", "Other")
	large := `{"version":"4","alerts":[],"receiver":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, test := range []struct {
		method, path, body, token, header string
		want                              int
	}{
		{"POST", alerts, good, webhookToken, "", 200},
		{"POST", alerts, good, adminToken, "", 200},
		{"POST", alerts, good, "", "", 401},
		{"POST", alerts, good, "somebody-elses-token", "", 401},
		{"POST", alerts, good, webhookToken, browser, 403},
		{"POST", alerts, good, webhookToken, "Sec-Fetch-Site=same-origin", 403},
		{"POST", alerts, "{", webhookToken, "", 400},
		{"POST", alerts, `{"alerts": []}`, webhookToken, "", 400},
		{"POST", alerts, strings.Replace(good, `"version":"4"`, `"version":"5"`, 1), webhookToken, "", 400},
		{"GET", alerts, "", webhookToken, "", 405},
		{"PUT", alerts, good, webhookToken, "", 405},
		{"POST", alerts, large, webhookToken, "", 413},
		{"POST", alerts, good, webhookToken, text, 415},
		{"POST", alerts, good, webhookToken, "Content-Encoding=gzip", 415},

		{"GET", runs, "", webhookToken, "", 200},
		{"GET", runs, "", "", "", 401},
		{"GET", runs + "?limit=0", "", webhookToken, "", 400},
		{"GET", runs + "?cluster=%zz", "", webhookToken, "", 400},
		{"GET", runs + "/20260102T030405Z-00000000", "", webhookToken, "", 404},
		{"DELETE", runs, "", adminToken, "", 405},

		{"POST", approve, "{}", adminToken, "", 404},
		{"POST", approve, "{}", webhookToken, "", 403},
		{"POST", approve, "{}", "", "", 401},
		{"POST", approve, "{}", adminToken, text, 415},
		{"POST", approve, "{}", adminToken, browser, 403},
		{"GET", approve, "", adminToken, "", 405},

		{"GET", "/", "", webhookToken, "", 200},
		{"GET", "/", "", "", "", 401},
		{"GET", "/elsewhere", "", adminToken, "", 404},
		{"GET", "/metrics", "", "", "", 200},
		{"GET", "/-/healthy", "", "", "", 200},
		{"GET", "/-/ready", "", "", "", 200},
		{"GET", "/debug/pprof/", "", adminToken, "", 404},
	} {
		var headers []string
		if name, value, ok := strings.Cut(test.header, "="); ok {
			headers = []string{name, value}
		}
		s.Token = test.token
		status, body := s.Do(test.method, test.path, test.body, headers...)
		if status != test.want {
			t.Errorf("%s %s as %q with %q: %d, want %d: %.200s", test.method, test.path, test.token, test.header, status, test.want, body)
		}
		if status >= 400 && (strings.Count(body, "\n") != 1 || strings.Contains(body, webhookToken) || strings.Contains(body, adminToken)) {
			t.Errorf("%s %s: %d with %.200q", test.method, test.path, status, body)
		}
	}
	orders(t, s)
	if got := s.metric(`etcdops_remediation_webhook_requests_total{code="401"}`); got != 2 {
		t.Errorf("%v requests to the webhook with 401 are counted, 2 were", got)
	}
	if log := s.Log(); strings.Contains(log, webhookToken) || strings.Contains(log, adminToken) {
		t.Error("the log holds a token")
	}
}

// orders tries what only the admin may say.
func orders(t *testing.T, s *Server) {
	t.Helper()
	for _, path := range []string{"/-/pause", "/-/resume", "/-/reload"} {
		for _, test := range []struct {
			method, token, origin, kind string
			want                        int
		}{
			{"POST", "", "", "application/json", 401},
			{"POST", webhookToken, "", "application/json", 403},
			{"POST", adminToken, "https://elsewhere.example", "application/json", 403},
			{"POST", adminToken, "", "text/plain", 415},
			{"GET", adminToken, "", "", 405},
			{"POST", adminToken, "", "application/json", 200},
		} {
			s.Token = test.token
			headers := []string{"Content-Type", test.kind}
			if test.origin != "" {
				headers = append(headers, "Origin", test.origin)
			}
			if status, said := s.Do(test.method, path, "{}", headers...); status != test.want {
				t.Errorf("%s %s as %q from %q: %d, want %d: %s", test.method, path, test.token, test.origin, status, test.want, said)
			}
		}
	}
}

// TestMetricsFromTheStart: every series that a policy can produce is there at 0, and
// all of it is as promlint wants it.
func TestMetricsFromTheStart(t *testing.T) {
	t.Parallel()
	s := serve(t, writeNowhere(t))
	_, body := s.Do(http.MethodGet, "/metrics", "")
	var want []string
	for policy, action := range map[string]string{"reclaim": "defrag", "flood": "prune_events"} {
		for _, outcome := range remediate.Outcomes {
			want = append(want,
				fmt.Sprintf(`runs_total{action=%q,cluster="one",outcome=%q,policy=%q} 0`, action, outcome, policy),
				fmt.Sprintf(`last_run_timestamp_seconds{cluster="one",outcome=%q,policy=%q} 0`, outcome, policy))
		}
		for _, name := range slices.Concat(guardNames, []string{"plan", "keep", "store", "values", "pressure"}) {
			want = append(want, fmt.Sprintf(`refused_total{cluster="one",guard=%q,policy=%q} 0`, name, policy))
		}
		want = append(want,
			fmt.Sprintf(`in_progress{action=%q,cluster="one"} 0`, action),
			fmt.Sprintf(`duration_seconds_count{action=%q} 0`, action),
			fmt.Sprintf(`budget_remaining{cluster="one",policy=%q} 4`, policy),
			fmt.Sprintf(`breaker_open{cluster="one",policy=%q} 0`, policy),
			fmt.Sprintf(`alert_firing{cluster="one",policy=%q} 0`, policy))
	}
	for _, code := range []int{200, 400, 401, 403, 405, 413, 415, 503} {
		want = append(want, fmt.Sprintf(`webhook_requests_total{code="%d"} 0`, code))
	}
	want = append(want, `reclaimed_bytes_total{cluster="one"} 0`, `pruned_keys_total{cluster="two"} 0`, "paused 0", "leader 1",
		`mode{mode="plan"} 1`, `mode{mode="approve"} 0`, `mode{mode="enforce"} 0`, "queue_length 0", "heartbeat_timestamp_seconds 0",
		`webhook_alerts_total{matched="true",status="firing"} 0`, "webhook_truncated_alerts_total 0")
	for _, line := range want {
		if !strings.Contains(body, "\netcdops_remediation_"+line+"\n") {
			t.Errorf("no etcdops_remediation_%s", line)
		}
	}
	if !strings.Contains(body, "\netcd_remediator_build_info{") {
		t.Error("no etcd_remediator_build_info")
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestAlertsAreCounted: the heartbeat starts nothing, whatever a policy takes, and
// what Alertmanager left out is told.
func TestAlertsAreCounted(t *testing.T) {
	t.Parallel()
	s := serve(t, writeNowhere(t, `'alertname="EtcdFragmented"'`, `'alertname=~"Etcd.+"'`))
	begun := time.Now()
	s.Fire("alertname", "EtcdRemediationHeartbeat", "cluster", "one")
	if at := s.metric("etcdops_remediation_heartbeat_timestamp_seconds"); at < float64(begun.Unix()) {
		t.Errorf("the heartbeat came at %v", at)
	}
	s.Fire("alertname", "EtcdFragmented")                      // of no cluster, and there are two
	s.Fire("alertname", "EtcdFragmented", "cluster", "nobody") // of no cluster that is known
	s.Fire("alertname", "EtcdFragmented", "cluster", "two")    // of a cluster that the policy does not allow
	cut := strings.Replace(alert("firing", "alertname", "Other"), `"version":"4"`, `"version":"4","truncatedAlerts":3`, 1)
	if status, body := s.Do(http.MethodPost, "/api/v1/alerts", cut); status != http.StatusOK {
		t.Errorf("%d: %s", status, body)
	}
	for series, want := range map[string]float64{
		`etcdops_remediation_webhook_truncated_alerts_total`:                        3,
		`etcdops_remediation_webhook_alerts_total{matched="false",status="firing"}`: 5,
		`etcdops_remediation_webhook_alerts_total{matched="true",status="firing"}`:  0,
		`etcdops_remediation_alert_firing{cluster="one",policy="reclaim"}`:          0,
		`etcdops_remediation_webhook_requests_total{code="200"}`:                    5,
	} {
		if got := s.metric(series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if runs := s.Runs(); len(runs) > 0 {
		t.Errorf("runs: %+v", runs)
	}
	s.Fire("alertname", "EtcdFragmented", "cluster", "one")
	run := s.Ended(1, 30*time.Second)
	if run.Outcome == "planned" || run.Cluster != "one" || run.Mode != "plan" {
		t.Errorf("of a cluster that nobody is at: %+v", run)
	}
	if got := s.metric(`etcdops_remediation_alert_firing{cluster="one",policy="reclaim"}`); got != 1 {
		t.Errorf("alert_firing is %v", got)
	}
	var shown []struct {
		Trigger struct{ Kind, Alert, Fingerprint string }
	}
	_, body := s.Do(http.MethodGet, "/api/v1/runs?cluster=one&limit=1", "")
	must(t, json.Unmarshal([]byte(body), &shown))
	if len(shown) != 1 || shown[0].Trigger.Kind != "alert" || shown[0].Trigger.Alert != "EtcdFragmented" || shown[0].Trigger.Fingerprint == "" {
		t.Errorf("%+v", shown)
	}
}

// TestPauseAndReload: a pause survives a restart; a bad file leaves the old
// configuration in force, and so does one that cannot be taken over.
func TestPauseAndReload(t *testing.T) {
	t.Parallel()
	config := writeGuarded(t)
	s := serve(t, config)
	s.Token = adminToken
	order := func(path string, want int, says string) {
		t.Helper()
		if status, body := s.Do(http.MethodPost, path, "{}"); status != want || !strings.Contains(body, says) {
			t.Errorf("%s: %d %s, want %d with %q", path, status, body, want, says)
		}
	}
	order("/-/pause", 200, "paused")
	s.Kill()
	s = serve(t, config)
	s.Token = adminToken
	if s.metric("etcdops_remediation_paused") != 1 || !strings.Contains(s.Log(), "paused") {
		t.Error("the pause did not survive a kill -9")
	}
	order("/-/resume", 200, "resumed")
	if s.metric("etcdops_remediation_paused") != 0 {
		t.Error("it is paused still")
	}

	matched := `etcdops_remediation_webhook_alerts_total{matched="true",status="resolved"}`
	resolve := func(name string) float64 {
		before := s.metric(matched)
		status, body := s.Do(http.MethodPost, "/api/v1/alerts", alert("resolved", "alertname", name, "cluster", "one"))
		if status != http.StatusOK {
			t.Fatalf("%d: %s", status, body)
		}
		return s.metric(matched) - before
	}
	amend(t, config, "action: defrag", "action: defragment")
	order("/-/reload", 500, config+":")
	amend(t, config, "action: defragment", "action: defrag")
	amend(t, config, "journal: ", "max_concurrent_clusters: 2\n  journal: ")
	order("/-/reload", 500, "remediation.max_concurrent_clusters cannot change while the program runs")
	if n := resolve("EtcdFragmented"); n != 1 {
		t.Errorf("the old configuration takes %v alerts", n)
	}
	amend(t, config, "max_concurrent_clusters: 2\n  ", "")
	amend(t, config, "EtcdFragmented", "EtcdSwiss")
	order("/-/reload", 200, "reloaded")
	if before, now := resolve("EtcdFragmented"), resolve("EtcdSwiss"); before != 0 || now != 1 {
		t.Errorf("the new configuration takes %v of the old alert and %v of the new", before, now)
	}
	amend(t, config, "EtcdSwiss", "EtcdCheese")
	must(t, s.cmd.Process.Signal(syscall.SIGHUP))
	await(t, 10*time.Second, "SIGHUP reloads", func() error {
		if resolve("EtcdCheese") != 1 {
			return errors.New("the alert is not taken")
		}
		return nil
	})
	if len(s.Runs()) > 0 {
		t.Errorf("a resolved alert started something: %+v", s.Runs())
	}
}

// TestBasicAuth is caller authentication: enforce may be served then, and nothing is
// open to strangers.
func TestBasicAuth(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "web.yml")
	must(t, os.WriteFile(users, []byte("basic_auth_users: {alice: $2y$12$1DpfPeqF9HzHJt.EWswy1exHluGfbhnn3yXhR7Xes6m3WJqFg0Wby}\n"), 0o600))
	s := serve(t, writeNowhere(t), "--mode=enforce", "--web.config.file="+users)
	good := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:alice123"))
	for authorization, want := range map[string]int{"": 401, good: 200} {
		status, body := s.Do(http.MethodPost, "/api/v1/alerts", alert("firing", "alertname", "Other"), "Authorization", authorization)
		if status != want {
			t.Errorf("as %q: %d, want %d: %s", authorization, status, want, body)
		}
	}
	if status, body := s.Do(http.MethodPost, "/-/pause", "{}", "Authorization", good); status != http.StatusOK {
		t.Errorf("/-/pause: %d %s", status, body)
	}
	if !strings.Contains(s.Log(), "user alice from 127.0.0.1") {
		t.Error("the log does not say who paused")
	}
}
