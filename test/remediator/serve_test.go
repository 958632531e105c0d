// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/lab"
)

// relaxed is what every policy of a short test says: nothing is waited for.
const relaxed = "stable_for: 1s, accept_unknown_disk: true, cooldown: 1h"

// fragment fills each member's database and deletes it all again, compacted.
func fragment(t testing.TB, l *lab.Lab, mebibytes int) {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	value := strings.Repeat("x", 64<<10)
	for i := range mebibytes * 16 {
		_, err := client.Put(patient(t), fmt.Sprintf("fill/%06d", i), value)
		must(t, err)
	}
	gone, err := client.Delete(patient(t), "fill/", clientv3.WithPrefix())
	must(t, err)
	_, err = client.Compact(patient(t), gone.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	await(t, time.Minute, "all members have freed the space", func() error { // a follower's in-use size falls with a later write
		_, err = client.Put(patient(t), "after", "1")
		must(t, err)
		for _, url := range l.Endpoints() {
			status, err := client.Status(patient(t), url)
			must(t, err)
			if status.DbSizeInUse > status.DbSize/4 {
				return fmt.Errorf("%s: %d of %d in use", url, status.DbSizeInUse, status.DbSize)
			}
		}
		return nil
	})
}

func sizes(t testing.TB, l *lab.Lab) (all []int64) {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	for _, url := range l.Endpoints() {
		ctx, cancel := context.WithTimeout(patient(t), 10*time.Second)
		status, err := client.Status(ctx, url)
		cancel()
		must(t, err)
		all = append(all, status.DbSize)
	}
	return all
}

// TestAlertToDefrag: an alert, and three members are smaller, the leader last; the
// same alert again is refused by the cool-down.
func TestAlertToDefrag(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{})
	fragment(t, l, 24)
	leader, err := l.Leader(patient(t))
	must(t, err)
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte("a-token-of-some-length\n"), 0o600))
	config := writeConfig(t, l, `  bearer_token_file: `+token+`
  policies:
    - {name: reclaim, matchers: ['alertname="EtcdFragmented"'], clusters: [lab], action: defrag, `+relaxed+`, defrag: {min_reclaimable: 1MiB, settle: 1s}}
`)
	s := serve(t, config, "--mode=enforce")
	if status, _ := s.Do(http.MethodPost, "/api/v1/alerts", alert("firing", "alertname", "EtcdFragmented")); status != http.StatusUnauthorized {
		t.Errorf("without the token: %d", status)
	}
	s.Token = "a-token-of-some-length"
	await(t, 30*time.Second, "the cluster has been watched", func() error { return s.stableFor(time.Second) })
	before := sizes(t, l)
	s.Fire("alertname", "EtcdFragmented", "cluster", "lab")
	run := s.Ended(1, 2*time.Minute)
	if run.Outcome != "succeeded" {
		t.Fatalf("%+v", run)
	}
	var steps []string
	for _, step := range run.Steps {
		steps = append(steps, step.Action+" "+step.URL)
	}
	last := "defrag " + l.Member(leader).ClientURL()
	if len(steps) != 4 || steps[3] != last || !strings.HasPrefix(steps[2], "move_leader ") {
		t.Errorf("steps %v; the leader was %s", steps, last)
	}
	for i, after := range sizes(t, l) {
		if after > before[i]/2 {
			t.Errorf("%s has %d bytes, before %d", l.Endpoints()[i], after, before[i])
		}
	}
	s.Fire("alertname", "EtcdFragmented", "cluster", "lab")
	again := s.Ended(2, time.Minute)
	if again.Outcome != "refused" || !slices.Contains(again.refusedBy(), "cooldown") {
		t.Errorf("the same alert again: %s (%s)", again.Outcome, again.Reason)
	}
	_, metrics := s.Do(http.MethodGet, "/metrics", "")
	for _, want := range []string{
		`etcdops_remediation_runs_total{action="defrag",cluster="lab",outcome="succeeded",policy="reclaim"} 1`,
		`etcdops_remediation_refused_total{cluster="lab",guard="cooldown",policy="reclaim"} 1`,
		`etcdops_remediation_refused_total{cluster="lab",guard="corrupt",policy="reclaim"} 0`,
		`etcdops_remediation_alert_firing{cluster="lab",policy="reclaim"} 1`,
		`etcdops_remediation_mode{mode="enforce"} 1`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// stableFor says whether the remediator has watched the cluster for that long: a
// plan by hand tells.
func (s *Server) stableFor(time.Duration) error {
	config := ""
	for _, arg := range s.cmd.Args {
		if strings.HasPrefix(arg, "--config.file=") {
			config = arg
		}
	}
	_, run := byHand(s.t, "plan", "defrag", config)
	if refused := run.refusedBy(); len(refused) > 0 {
		return fmt.Errorf("refused by %v: %s", refused, run.Reason)
	}
	return nil
}

// TestPlanModeChangesNothing: the default mode, whatever the policy asks for.
func TestPlanModeChangesNothing(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{})
	fragment(t, l, 8)
	config := writeConfig(t, l, `  policies:
    - {name: reclaim, mode: enforce, matchers: ['alertname="EtcdFragmented"'], clusters: [lab], action: defrag, `+relaxed+`, defrag: {min_reclaimable: 1MiB}}
`)
	s := serve(t, config)
	await(t, 30*time.Second, "the cluster has been watched", func() error { return s.stableFor(time.Second) })
	before := sizes(t, l)
	s.Fire("alertname", "EtcdFragmented")
	run := s.Ended(1, time.Minute)
	if run.Outcome != "planned" || run.Mode != "plan" || len(run.Steps) != 4 || run.Steps[0].StartedAt != "" {
		t.Errorf("%+v", run)
	}
	if after := sizes(t, l); !slices.Equal(before, after) {
		t.Errorf("sizes %v, before %v", after, before)
	}
	if status, _ := s.Do(http.MethodGet, "/", ""); status != http.StatusOK {
		t.Errorf("the status page answers %d", status)
	}
}
