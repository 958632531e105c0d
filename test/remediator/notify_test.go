// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// grafana takes annotations, and keeps them.
type grafana struct {
	URL string

	mu  sync.Mutex
	got []string // token and text
}

func startGrafana(t testing.TB) *grafana {
	t.Helper()
	g := &grafana{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var a struct {
			Text string
			Tags []string
		}
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil || r.URL.Path != "/api/annotations" {
			t.Errorf("%s: %v", r.URL, err)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.got = append(g.got, r.Header.Get("Authorization")+" "+a.Text+" "+strings.Join(a.Tags, " "))
	}))
	t.Cleanup(server.Close)
	g.URL = server.URL
	return g
}

// told lists what was told of a run.
func (g *grafana) told(id string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.got), func(s string) bool { return !strings.Contains(s, id) })
}

// alerts lists what it has of that name, as its API shows it.
func (a *Alertmanager) alerts(name string) (all []struct{ Labels, Annotations map[string]string }) {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.URL+"/api/v2/alerts?filter=alertname%3D"+name, http.NoBody)
	must(a.t, err)
	response, err := http.DefaultClient.Do(request)
	must(a.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(a.t, err, json.Unmarshal(body, &all))
	return all
}

// TestNotify: a real Alertmanager and what stands for Grafana hear of a run, whether a
// process that serves has carried it out or a person's own.
func TestNotify(t *testing.T) {
	t.Parallel()
	alertmanagerBinary(t)
	l := plainLab(t, 1)
	fragment(t, l, 8)
	alertmanager, graphs := startAlertmanager(t, "http://127.0.0.1:1", webhookToken), startGrafana(t)
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte("of-grafana\n"), 0o600))
	config := writeConfig(t, l, `  notify: {alertmanager: "`+alertmanager.URL+`", grafana: {url: "`+graphs.URL+`", token_file: `+token+`}}
  policies:
    - {name: alone, clusters: [lab], action: defrag, `+small+eager+`, defrag: {min_reclaimable: 1MiB}}
    - {name: served, clusters: [lab], action: defrag, `+small+eager+`, defrag: {min_reclaimable: 1MiB}}
`)
	heard := func(policy string) {
		t.Helper()
		status, run := byHand(t, "run", "defrag", "--yes", "--policy="+policy, "--config.file="+config)
		if status != 0 {
			t.Fatalf("exit %d: %+v", status, run)
		}
		await(t, 20*time.Second, "Alertmanager has heard", func() error {
			for _, a := range alertmanager.alerts("EtcdRemediationDone") {
				if a.Labels["policy"] == policy && a.Labels["outcome"] == "succeeded" && a.Labels["action"] == "defrag" &&
					a.Labels["cluster"] == "lab" && a.Annotations["run_id"] == run.ID {
					return nil
				}
			}
			return fmt.Errorf("it has %v", alertmanager.alerts("EtcdRemediationDone"))
		})
		await(t, 20*time.Second, "Grafana has heard", func() error {
			if got := graphs.told(run.ID); len(got) != 1 || !strings.HasPrefix(got[0], "Bearer of-grafana defrag of lab: succeeded") || !strings.Contains(got[0], "cluster:lab") {
				return errors.New(strings.Join(got, "\n"))
			}
			return nil
		})
	}
	heard("alone")
	fragment(t, l, 8)
	serve(t, config)
	heard("served")
}
