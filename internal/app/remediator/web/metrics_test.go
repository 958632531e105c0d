// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/etcdops/etcdops/internal/app/remediator/web/table"
	"github.com/etcdops/etcdops/remediate"
)

// ours are the full names of the table.
func ours() []string {
	var names []string
	for _, m := range table.Metrics() {
		names = append(names, m.FullName())
	}
	return names
}

func metricsState() State {
	return State{
		Mode: remediate.ModeApprove, Leader: true,
		Policies: []Policy{
			{Name: "reclaim", Action: remediate.ActionDefrag, Budget: 4, Clusters: []Standing{{Cluster: "prod", BudgetLeft: 4}, {Cluster: "dev", BudgetLeft: 4}}},
			{Name: "full", Action: remediate.ActionRecoverSpace, Budget: 2, Clusters: []Standing{{Cluster: "prod", BudgetLeft: 2}}},
		},
	}
}

func newTestMetrics(s *State) *Metrics {
	m := NewMetrics(func() State { return *s })
	var policies []remediate.Policy
	for _, p := range s.Policies {
		policy := remediate.Policy{Name: p.Name, Action: p.Action}
		for _, c := range p.Clusters {
			policy.Clusters = append(policy.Clusters, c.Cluster)
		}
		policies = append(policies, policy)
	}
	m.Expect([]string{"prod", "dev"}, policies, []string{"members", "cooldown"})
	return m
}

// compare holds the registry against testdata/NAME.prom.
func compare(t *testing.T, m *Metrics, name string) {
	t.Helper()
	file := filepath.Join("testdata", name+".prom")
	if *update {
		text, err := testutil.CollectAndFormat(m.registry, expfmt.TypeTextPlain, ours()...)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := testutil.GatherAndCompare(m.registry, bytes.NewReader(want), ours()...); err != nil {
		t.Error(err)
	}
}

// TestFromTheStart: every series that a policy can produce is there at 0.
func TestFromTheStart(t *testing.T) {
	s := metricsState()
	m := newTestMetrics(&s)
	compare(t, m, "start")
	problems, err := testutil.GatherAndLint(m.registry, ours()...)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(m.registry, "etcd_remediator_build_info", "go_info"); err != nil || n != 2 {
		t.Errorf("%d of the program's own metrics, %v", n, err)
	}
}

// TestCounts: what happens is counted where it belongs.
func TestCounts(t *testing.T) {
	s := metricsState()
	m := newTestMetrics(&s)
	end := time.Unix(1_700_000_000, 500_000_000)
	m.RunEnded(remediate.Run{
		Cluster: "prod", Policy: "reclaim", Action: remediate.ActionDefrag, Outcome: remediate.Succeeded, StartedAt: end.Add(-90 * time.Second), FinishedAt: end,
		Steps: []*remediate.Step{
			{Action: remediate.StepDefrag, BeforeBytes: 3000, AfterBytes: 1000, StartedAt: end, FinishedAt: end},
			{Action: remediate.StepPrune, Keys: 77, StartedAt: end, FinishedAt: end},
		},
	})
	m.RunEnded(remediate.Run{Cluster: "dev", Policy: "reclaim", Action: remediate.ActionDefrag, Outcome: remediate.AwaitingApproval, AcceptedAt: end, StartedAt: end, FinishedAt: end})
	m.Remember(remediate.Run{Cluster: "prod", Policy: "full", Action: remediate.ActionRecoverSpace, Outcome: remediate.Failed, FinishedAt: end})
	m.RunEnded(remediate.Run{Cluster: "prod", Action: remediate.ActionCompact, Outcome: remediate.NothingToDo, StartedAt: end, FinishedAt: end.Add(-time.Hour)}) // by hand, with a clock that went back
	m.Refused("prod", "full", "members")
	m.Refused("prod", "full", "values")
	m.Alerts("firing", true, 3)
	m.Truncated(5)
	m.Heartbeat(end)
	s.PausedSince, s.Leader, s.QueueLength, s.Mode = end, false, 3, remediate.ModeEnforce
	s.Running = []Running{{Run: remediate.Run{Cluster: "prod", Action: remediate.ActionDefrag}}, {Run: remediate.Run{Cluster: "dev", Action: remediate.ActionSnapshot}}}
	s.Policies[0].Clusters[0] = Standing{Cluster: "prod", BudgetLeft: -1, BreakerOpen: true, Firing: true}
	s.Policies = append(s.Policies, s.Policies[0]) // a duplicate costs itself alone
	compare(t, m, "later")
}

// TestRequests: the webhook's answers are counted, the refused ones too, and no
// others.
func TestRequests(t *testing.T) {
	b := &backend{}
	auth, err := NewAuth(secret(t, "bearer", callerToken), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMetrics(b.State)
	h := Handler(Options{Backend: b, Auth: auth, Metrics: m, Webhook: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		_, _ = w.Write([]byte("ok"))
	})})
	for range 2 {
		ask(t, h, "POST", "/api/v1/alerts")
	}
	ask(t, h, "POST", "/api/v1/alerts", "Authorization", "Bearer "+callerToken)
	ask(t, h, "GET", "/api/v1/alerts", "Authorization", "Bearer "+callerToken)
	ask(t, h, "GET", "/api/v1/runs")
	for code, want := range map[string]float64{"200": 1, "401": 2, "405": 1, "400": 0} {
		if got := testutil.ToFloat64(m.counters[table.WebhookRequests].WithLabelValues(code)); got != want {
			t.Errorf("%s: %v, want %v", code, got, want)
		}
	}
	w := ask(t, h, "GET", "/metrics")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `etcdops_remediation_webhook_requests_total{code="401"} 2`) {
		t.Errorf("/metrics: %d", w.Code)
	}
}

// TestTable: the contract's names and labels.
func TestTable(t *testing.T) {
	want := strings.Fields("runs_total{cluster,policy,action,outcome} refused_total{cluster,policy,guard} in_progress{cluster,action} last_run_timestamp_seconds{cluster,policy,outcome} duration_seconds{action} reclaimed_bytes_total{cluster} pruned_keys_total{cluster} budget_remaining{cluster,policy} breaker_open{cluster,policy} alert_firing{cluster,policy} paused{} leader{} mode{mode} queue_length{} heartbeat_timestamp_seconds{} webhook_requests_total{code} webhook_alerts_total{status,matched} webhook_truncated_alerts_total{}")
	var got []string
	for _, m := range table.Metrics() {
		got = append(got, m.Name+"{"+strings.Join(m.Labels, ",")+"}")
		if m.Help == "" {
			t.Errorf("%s has no help", m.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
