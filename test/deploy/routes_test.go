// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/test/stack"
)

func TestAlertmanager(t *testing.T) {
	command(t, tool(t, "amtool"), "check-config", alertmanagerFile)
}

// receivers are those that amtool says an alert goes to.
func receivers(t testing.TB, amtool string, labels map[string]string) []string {
	t.Helper()
	args := []string{"config", "routes", "test", "--config.file=" + alertmanagerFile}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		args = append(args, name+"="+labels[name])
	}
	return strings.FieldsFunc(command(t, amtool, args...), func(r rune) bool { return strings.ContainsRune(", \n", r) })
}

func TestRoutes(t *testing.T) {
	amtool := tool(t, "amtool")
	for _, tc := range []struct{ alert, severity, want string }{
		{heartbeat, "info", "etcd_remediator"},
		{"EtcdAlarmNoSpace", "critical", "etcd_remediator critical"},
		{"EtcdQuotaLow", "warning", "etcd_remediator warning"},
		{"EtcdQuotaLow", "critical", "etcd_remediator critical"},
		{"EtcdFragmented", "warning", "etcd_remediator warning"},
		{"EtcdEventsFlood", "warning", "etcd_remediator warning"},
		{"EtcdBackupTooOld", "warning", "etcd_remediator warning"},
		{"EtcdBackupTooOld", "critical", "etcd_remediator critical"},
		{"EtcdBackupMissing", "critical", "etcd_remediator critical"},
		{"EtcdRemediationHeartbeatMissing", "warning", "warning"},
		{"EtcdRemediationBlocked", "warning", "warning"},
		{"EtcdRemediationIneffective", "critical", "critical"},
		{"EtcdRemediationDone", "info", "info"}, // the remediator's own
		{"EtcdAlarmCorrupt", "critical", "critical"},
		{"EtcdNoLeader", "critical", "critical"},
		{"EtcdEvenVoters", "info", "info"},
		{"EtcdFragmentedALot", "warning", "warning"}, // a regular expression matches whole names
		{"OfSomebodyElse", "page", "warning"},
		{"OfSomebodyElse", "", "warning"},
	} {
		labels := map[string]string{"alertname": tc.alert, "cluster": "prod"}
		if tc.severity != "" {
			labels["severity"] = tc.severity
		}
		if got := strings.Join(receivers(t, amtool, labels), " "); got != tc.want {
			t.Errorf("%s (%s) goes to %q, want %q", tc.alert, tc.severity, got, tc.want)
		}
	}
}

// TestEveryAlertIsRouted: each alert of the mixin goes to people by its severity, the
// triggers to the remediator as well, and the heartbeat to the remediator alone.
func TestEveryAlertIsRouted(t *testing.T) {
	amtool := tool(t, "amtool")
	known := map[string]bool{}
	for _, r := range alerts(t) {
		known[r.Alert] = true
		want := []string{r.Labels["severity"]}
		switch {
		case r.Alert == heartbeat:
			want = []string{remediator}
		case slices.Contains(stack.Triggers, r.Alert):
			want = []string{remediator, r.Labels["severity"]}
		}
		if got := receivers(t, amtool, r.labels()); !slices.Equal(got, want) {
			t.Errorf("%s (%s) goes to %v, want %v", r.Alert, r.Labels["severity"], got, want)
		}
	}
	for _, name := range append(slices.Clone(stack.Triggers), heartbeat) {
		if !known[name] {
			t.Errorf("alerts/ has no %s", name)
		}
	}
}

// TestWebhook: what alerts.md asks of the two routes to the remediator, and of the
// receiver.
func TestWebhook(t *testing.T) {
	text, err := os.ReadFile(alertmanagerFile)
	must(t, err)
	var config struct {
		Route struct {
			Routes []struct {
				Receiver string   `yaml:"receiver"`
				GroupBy  []string `yaml:"group_by"`
				Repeat   string   `yaml:"repeat_interval"`
				Continue bool     `yaml:"continue"`
			} `yaml:"routes"`
		} `yaml:"route"`
		Receivers []struct {
			Name     string `yaml:"name"`
			Webhooks []struct {
				SendResolved bool `yaml:"send_resolved"`
				MaxAlerts    int  `yaml:"max_alerts"`
				HTTP         struct {
					Authorization struct {
						Type string `yaml:"type"`
						File string `yaml:"credentials_file"`
					} `yaml:"authorization"`
				} `yaml:"http_config"`
			} `yaml:"webhook_configs"`
		} `yaml:"receivers"`
	}
	must(t, yaml.Unmarshal(text, &config))
	for i, route := range config.Route.Routes[:2] { // before people's: nothing of theirs ends the way
		if route.Receiver != remediator || !slices.Equal(route.GroupBy, []string{"cluster"}) || route.Repeat != "10m" || route.Continue != (i == 1) {
			t.Errorf("route %d: %+v", i, route)
		}
	}
	webhook := config.Receivers[0].Webhooks[0]
	if config.Receivers[0].Name != remediator || !webhook.SendResolved || webhook.MaxAlerts == 0 {
		t.Errorf("the remediator's receiver: %+v", config.Receivers[0])
	}
	if a := webhook.HTTP.Authorization; a.Type != "Bearer" || a.File == "" {
		t.Errorf("the webhook's authorization: %+v", a)
	}
}
