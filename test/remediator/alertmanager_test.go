// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAlertmanager: two real ones send the same alert to a program that the first
// cannot reach at once. There is one run; when the alert is resolved at both, the
// intent is closed and nothing else is started.
func TestAlertmanager(t *testing.T) {
	t.Parallel()
	alertmanagerBinary(t)
	l := plainLab(t, 1)
	fragment(t, l, 8)
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	must(t, os.WriteFile(token, []byte(webhookToken+"\n"), 0o600))
	config := writeConfig(t, l, `  bearer_token_file: `+token+`
  policies:
    - {name: reclaim, mode: approve, matchers: ['alertname="EtcdFragmented"'], clusters: [lab], action: defrag, `+small+eager+`, defrag: {min_reclaimable: 1MiB}}
    - {name: at_once, matchers: ['alertname="EtcdVeryFragmented"'], clusters: [lab], action: defrag, `+small+eager+`, defrag: {min_reclaimable: 1MiB}}
`)
	s := serve(t, config, "--mode=enforce")
	s.Token = webhookToken
	s.watched("defrag")
	front := startBusy(t, s.URL, 2)
	one, other := startAlertmanager(t, front.URL, webhookToken), startAlertmanager(t, s.URL, webhookToken)
	stranger := startAlertmanager(t, s.URL, "somebody-elses-token")

	labels := map[string]string{"alertname": "EtcdFragmented", "cluster": "lab", "severity": "warning"}
	hour := time.Now().Add(time.Hour)
	one.Post(labels, hour)
	run := s.until(30*time.Second, "a run awaits approval", ended("awaiting_approval"))
	if n := front.requests.Load(); n != 3 {
		t.Errorf("%d requests came by the proxy that answered 503 twice", n)
	}
	firing, resolved := delivered("firing"), delivered("resolved")
	other.Post(labels, hour)
	stranger.Post(labels, hour)
	s.awaitMetric(firing, 2)
	s.awaitMetric(`etcdops_remediation_webhook_requests_total{code="401"}`, 1)
	s.awaitMetric(`etcdops_remediation_alert_firing{cluster="lab",policy="reclaim"}`, 1)
	if runs := s.Runs(); len(runs) != 1 {
		t.Errorf("the same alert from two Alertmanagers: %d runs", len(runs))
	}
	trigger, _ := s.raw(run.ID)["trigger"].(map[string]any)
	if trigger["alert"] != "EtcdFragmented" || trigger["kind"] != "alert" {
		t.Errorf("the run's trigger: %v", trigger)
	}
	if intents := s.intents(); intents != 1 {
		t.Errorf("%d open intents, want 1", intents)
	}

	past := time.Now().Add(-time.Second)
	one.Post(labels, past)
	other.Post(labels, past)
	s.awaitMetric(resolved, 2)
	s.awaitMetric(`etcdops_remediation_alert_firing{cluster="lab",policy="reclaim"}`, 0)
	if intents := s.intents(); intents != 0 {
		t.Errorf("%d open intents after the alert was resolved", intents)
	}
	if runs := s.Runs(); len(runs) != 1 {
		t.Errorf("a resolved alert started something: %+v", runs)
	}

	before := sizes(t, l)
	labels["alertname"] = "EtcdVeryFragmented"
	one.Post(labels, hour)
	s.until(30*time.Second, "an alert is acted upon", func(r Run) bool { return r.Policy == "at_once" && r.Outcome == "succeeded" })
	if after := sizes(t, l); after[0] > before[0]/2 {
		t.Errorf("size %d, and %d before", after[0], before[0])
	}
}

func delivered(status string) string {
	return fmt.Sprintf(`etcdops_remediation_webhook_alerts_total{matched="true",status=%q}`, status)
}

func (s *Server) awaitMetric(series string, want float64) {
	s.t.Helper()
	await(s.t, 20*time.Second, series, func() error {
		if got := s.metric(series); got < want || want == 0 && got > 0 {
			return fmt.Errorf("it is %v, want %v", got, want)
		}
		return nil
	})
}

// intents counts the open ones, as the status page shows them.
func (s *Server) intents() (n int) {
	s.t.Helper()
	status, page := s.Do(http.MethodGet, "/", "")
	_, after, found := strings.Cut(page, "Open intents")
	if status != http.StatusOK || !found {
		s.t.Fatalf("the status page answers %d: %s", status, page)
	}
	after = after[strings.IndexAny(after, "0123456789"):]
	if _, err := fmt.Sscanf(after, "%d", &n); err != nil {
		s.t.Fatal(errors.Join(err, errors.New(after)))
	}
	return n
}
