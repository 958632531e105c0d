// SPDX-License-Identifier: Apache-2.0

//go:build slow

package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/stack"
)

// installed is what the chart installs: both programs as its pods run them.
type installed struct {
	t          testing.TB
	w          *world
	o          *objects
	exporter   client
	remediator client
	pod        *pod // of the remediator
}

// install installs the chart with one policy, which may act, and key spaces that are
// counted again at once.
func install(t testing.TB, w *world, policy map[string]any) *installed {
	t.Helper()
	maps.Copy(policy, map[string]any{
		"name": "it", "require_snapshot": "off", "stable_for": "2s", "cooldown": "1s", "accept_unknown_disk": true,
	})
	manifests, _, err := helm(minimal.with(values{
		"cluster.extra": map[string]any{"keyspaces": []any{
			map[string]any{"prefix": "/registry/", "interval": "1s"},
			map[string]any{"prefix": "/registry/events/", "interval": "1s"},
		}},
		"remediator.enabled": true, "remediator.mode": "enforce", "remediator.policies": []any{policy},
	}))
	must(t, err)
	o := decode(t, manifests)
	i := &installed{t: t, w: w, o: o, pod: newPod(t, o, remediator, w)}
	i.exporter = client{t, w, newPod(t, o, exporter, w).start()}
	i.remediator = client{t, w, i.pod.start()}
	return i
}

var sample = regexp.MustCompile(`(?m)^etcdops_(\w+)\{(.*)\} (\S+)$`)

// series gives the values of a metric of the exporter by their labels.
func (i *installed) series(metric string) map[string]float64 {
	i.t.Helper()
	all := map[string]float64{}
	for _, found := range sample.FindAllStringSubmatch(i.exporter.scrape(i.o, "etcd_cluster"), -1) {
		if found[1] != metric {
			continue
		}
		value, err := strconv.ParseFloat(found[3], 64)
		must(i.t, err)
		all[found[2]] = value
	}
	return all
}

var group = regexp.MustCompile(`^group="([^"]*)",prefix="([^"]*)"$`)

// counted is how many keys the exporter counts below a prefix, by group.
func (i *installed) counted(prefix string) map[string]int {
	i.t.Helper()
	all := map[string]int{}
	for labels, value := range i.series("keyspace_group_keys") {
		if found := group.FindStringSubmatch(labels); found != nil && found[2] == prefix && value > 0 {
			all[found[1]] = int(value)
		}
	}
	return all
}

// remediation is a run, as far as tests look at it.
type remediation struct {
	Outcome    string
	Reason     string
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Guards     []struct{ Guard, Verdict, Reason string }
	Steps      []struct {
		Action      string
		Member      string
		BeforeBytes int64 `json:"before_bytes"`
		AfterBytes  int64 `json:"after_bytes"`
		Keys        int
		Revision    int64
		Error       string
	}
}

// String tells of the run in a line.
func (r remediation) String() string {
	text := r.Outcome + " " + r.Reason
	for _, g := range r.Guards {
		if g.Verdict != "allow" {
			text += fmt.Sprintf("; %s: %s", g.Guard, g.Reason)
		}
	}
	for _, s := range r.Steps {
		text += fmt.Sprintf("; %s of %s", s.Action, s.Member)
		if s.AfterBytes > 0 {
			text += fmt.Sprintf(" from %d to %d MiB", s.BeforeBytes>>20, s.AfterBytes>>20)
		}
		if s.Keys > 0 {
			text += fmt.Sprintf(", %d keys", s.Keys)
		}
		text += s.Error
	}
	return text
}

// plans waits until a plan by hand is as wanted: `kubectl exec` of the instructions.
func (i *installed) plans(within time.Duration, action string, wanted func(remediation) bool) {
	i.t.Helper()
	must(i.t, stack.Await(i.t.Context(), within, "a plan to "+action, func() error {
		output, err := i.pod.command("plan", action, i.pod.args()[1], "--output=json").Output()
		var plan remediation
		if failed := json.Unmarshal(output, &plan); failed != nil {
			return errors.Join(err, failed)
		}
		if plan.Outcome != "planned" || !wanted(plan) {
			return errors.New(plan.String())
		}
		return nil
	}))
}

// acts sends an alert as Alertmanager does, and waits until the run that it starts has
// ended well.
func (i *installed) acts(alert string) remediation {
	i.t.Helper()
	labels := map[string]string{"alertname": alert, "cluster": "prod"}
	message, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}", "status": "firing", "receiver": "etcd_remediator",
		"alerts": []any{map[string]any{"status": "firing", "labels": labels, "startsAt": time.Now(), "fingerprint": "0123456789abcdef"}},
	})
	must(i.t, err)
	if status, body := i.ask(http.MethodPost, "/api/v1/alerts", string(message)); status != http.StatusOK {
		i.t.Fatalf("the webhook answers %d: %s", status, body)
	}
	var run remediation
	must(i.t, stack.Await(i.t.Context(), 4*time.Minute, "a remediation", func() error {
		_, body := i.ask(http.MethodGet, "/api/v1/runs", "")
		var runs []remediation
		if err := json.Unmarshal([]byte(body), &runs); err != nil || len(runs) == 0 || runs[0].Outcome == "" {
			return fmt.Errorf("%w: %s", err, body)
		}
		run = runs[0]
		return nil
	}))
	if run.Outcome != "succeeded" {
		i.t.Fatalf("the remediation: %s", run)
	}
	return run
}

// ask asks the remediator as Alertmanager does, by its service's name and with its token.
func (i *installed) ask(method, path, body string) (status int, answer string) {
	i.t.Helper()
	spec := i.o.scrapes["etcd_remediator"].Spec
	request, err := http.NewRequestWithContext(i.t.Context(), method, "https://"+string(spec.StaticConfigs[0].Targets[0])+path, strings.NewReader(body))
	must(i.t, err)
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(i.w.secrets["etcd-remediator-tokens"]["bearer"])))
	request.Header.Set("Content-Type", "application/json")
	return i.remediator.do(request, spec.TLSConfig)
}
