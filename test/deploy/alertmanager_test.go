// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/stack"
)

// log collects what a process writes.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startAlertmanager starts a real one with the configuration of deploy/, on a free
// port, and gives its URL. It reaches nobody: the token's file is all that is mended.
func startAlertmanager(t *testing.T) (url string) {
	t.Helper()
	binary, dir := tool(t, "alertmanager"), t.TempDir()
	text, err := os.ReadFile(alertmanagerFile)
	must(t, err)
	token, file := filepath.Join(dir, "token"), filepath.Join(dir, "alertmanager.yml")
	mended := strings.NewReplacer("/etc/alertmanager/etcd_remediator.token", token, "127.0.0.1:10380", "127.0.0.1:1", "127.0.0.1:9099", "127.0.0.1:1").Replace(string(text))
	must(t, os.WriteFile(token, []byte("nobody asks for it\n"), 0o600), os.WriteFile(file, []byte(mended), 0o600))
	said := &log{}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "--config.file="+file, "--storage.path="+dir,
		"--web.listen-address=127.0.0.1:0", "--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr = said, said
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	listening := regexp.MustCompile(`Listening on" address=(\S+)`)
	must(t, stack.Await(t.Context(), 20*time.Second, "Alertmanager listens", func() error {
		found := listening.FindStringSubmatch(said.String())
		if found == nil {
			return errors.New(said.String())
		}
		url = "http://" + found[1]
		_, err := ask(t, http.MethodGet, url+"/-/ready", nil)
		return err
	}))
	return url
}

func ask(t *testing.T, method, url string, body []byte) ([]byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	must(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return text, err
}

// suppressed posts alerts as Prometheus does, and gives the names and severities of
// those that Alertmanager holds back once its mind is made up: it takes alerts in one
// after the other.
func suppressed(t *testing.T, url string, posted []map[string]string) map[string]bool {
	t.Helper()
	type alert struct {
		Labels map[string]string `json:"labels"`
	}
	var all []alert
	for _, labels := range posted {
		all = append(all, alert{labels})
	}
	body, err := json.Marshal(all)
	must(t, err)
	_, err = ask(t, http.MethodPost, url+"/api/v2/alerts", body)
	must(t, err)
	held, same := map[string]bool{}, 0
	must(t, stack.Await(t.Context(), 30*time.Second, "Alertmanager has judged every alert", func() error {
		text, err := ask(t, http.MethodGet, url+"/api/v2/alerts", nil)
		if err != nil {
			return err
		}
		var got []struct {
			alert
			Status struct {
				State string `json:"state"`
			} `json:"status"`
		}
		must(t, json.Unmarshal(text, &got))
		before := held
		held = map[string]bool{}
		for _, a := range got {
			if a.Status.State == "suppressed" {
				held[a.Labels["alertname"]+" "+a.Labels["severity"]] = true
			}
		}
		if same++; len(got) != len(posted) || len(held) == 0 || !maps.Equal(held, before) {
			same = 0
		}
		if same < 10 {
			return fmt.Errorf("%d of %d alerts are there, %d are held back", len(got), len(posted), len(held))
		}
		return nil
	}))
	return held
}

// TestAllAtOnce: everything fires for one cluster at the same time. What is known to be
// noise is held back; no trigger is, nor the heartbeat, nor anything critical.
func TestAllAtOnce(t *testing.T) {
	url := startAlertmanager(t)
	var posted []map[string]string
	seen := map[string]bool{}
	for _, r := range alerts(t) {
		labels := r.labels()
		if key := fmt.Sprint(labels); !seen[key] { // two rules of one severity are one alert
			seen[key] = true
			labels["cluster"] = "prod"
			posted = append(posted, labels)
		}
	}
	held := suppressed(t, url, posted)
	t.Logf("%d of %d alerts are held back: %v", len(held), len(posted), held)
	for what := range held {
		name, severity, _ := strings.Cut(what, " ")
		if severity == "critical" || name == heartbeat || slices.Contains(stack.Triggers, name) {
			t.Errorf("%s (%s) is held back", name, severity)
		}
	}
	for _, want := range []string{"EtcdMemberUnhealthy warning", "EtcdCertificateExpiring warning", "EtcdQuotaFullIn24h warning"} {
		if !held[want] {
			t.Errorf("%s is not held back", want)
		}
	}
}

// TestOtherClustersGoOn: what one cluster suffers from silences no other.
func TestOtherClustersGoOn(t *testing.T) {
	held := suppressed(t, startAlertmanager(t), []map[string]string{
		{"alertname": "EtcdNoLeader", "severity": "critical", "cluster": "one"},
		{"alertname": "EtcdMemberUnhealthy", "severity": "warning", "cluster": "other"},
		{"alertname": "EtcdApplyLag", "severity": "warning", "cluster": "one"},
	})
	if len(held) != 1 || !held["EtcdApplyLag warning"] {
		t.Errorf("held back: %v", held)
	}
}

// TestOtherMembersGoOn: the one that the exporter is blind to does not silence one that
// is down.
func TestOtherMembersGoOn(t *testing.T) {
	held := suppressed(t, startAlertmanager(t), []map[string]string{
		{"alertname": "EtcdExporterBlind", "severity": "warning", "cluster": "one", "url": "https://a:2379", "reason": "dns"},
		{"alertname": "EtcdMemberDown", "severity": "warning", "cluster": "one", "url": "https://b:2379"},
		{"alertname": "EtcdNoFaultTolerance", "severity": "warning", "cluster": "one"},
		{"alertname": "EtcdMemberUnhealthy", "severity": "warning", "cluster": "one", "url": "https://a:2379"},
	})
	if len(held) != 1 || !held["EtcdMemberUnhealthy warning"] {
		t.Errorf("held back: %v", held)
	}
}
