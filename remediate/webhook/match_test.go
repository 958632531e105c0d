// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/etcdops/etcdops/remediate"
)

func rule(t testing.TB, name string, clusters []string, matchers ...string) Rule {
	t.Helper()
	compiled, err := CompileMatchers(matchers)
	if err != nil {
		t.Fatal(err)
	}
	return Rule{Policy: remediate.Policy{Name: name, Clusters: clusters}, Matchers: compiled}
}

func testRouter(t testing.TB) *Router {
	t.Helper()
	return &Router{
		ClusterLabel: "cluster", Clusters: []string{"prod", "dev"},
		Rules: []Rule{
			rule(t, "reclaim", []string{"prod"}, `alertname="EtcdFragmented"`),
			rule(t, "full", []string{"prod", "dev"}, `alertname=~"EtcdAlarmNoSpace|EtcdQuotaLow"`, `severity="critical"`),
			rule(t, "nobody", nil, `alertname="EtcdFragmented"`),
			rule(t, "by hand", []string{"prod", "dev"}),
			rule(t, "all", []string{"prod", "dev"}, `everything="yes"`),
		},
	}
}

var began = time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)

func alert(status string, pairs ...string) Alert {
	set := model.LabelSet{}
	for i := 0; i < len(pairs); i += 2 {
		set[model.LabelName(pairs[i])] = model.LabelValue(pairs[i+1])
	}
	return Alert{Status: status, Labels: set, StartsAt: began}
}

func TestMatch(t *testing.T) {
	full := []string{"alertname", "EtcdAlarmNoSpace", "severity", "critical"}
	for name, tc := range map[string]struct {
		alerts []Alert
		hits   string // policy/cluster/alert/status
		misses string // parts of their texts
	}{
		"one policy":          {[]Alert{alert(Firing, append(full, "cluster", "prod")...)}, "full/prod/EtcdAlarmNoSpace/firing", ""},
		"resolved":            {[]Alert{alert(Resolved, append(full, "cluster", "dev")...)}, "full/dev/EtcdAlarmNoSpace/resolved", ""},
		"every matcher":       {[]Alert{alert(Firing, "alertname", "EtcdQuotaLow", "severity", "warning", "cluster", "prod")}, "", ""},
		"whole names":         {[]Alert{alert(Firing, "alertname", "XEtcdFragmented", "cluster", "prod")}, "", ""},
		"two policies":        {[]Alert{alert(Firing, append(full, "cluster", "prod", "everything", "yes")...)}, "full/prod/EtcdAlarmNoSpace/firing all/prod/EtcdAlarmNoSpace/firing", ""},
		"allow-list":          {[]Alert{alert(Firing, "alertname", "EtcdFragmented", "cluster", "dev")}, "", `the policy does not allow the cluster "dev"`},
		"no cluster allowed":  {[]Alert{alert(Firing, "alertname", "EtcdFragmented", "cluster", "prod")}, "reclaim/prod/EtcdFragmented/firing", `the policy does not allow the cluster "prod"`},
		"unknown cluster":     {[]Alert{alert(Firing, append(full, "cluster", "prod2")...)}, "", `no cluster is called "prod2"`},
		"no cluster label":    {[]Alert{alert(Firing, full...)}, "", `it has no label "cluster"`},
		"duplicate":           {[]Alert{alert(Firing, append(full, "cluster", "prod")...), alert(Firing, append(full, "cluster", "prod")...)}, "full/prod/EtcdAlarmNoSpace/firing", ""},
		"heartbeat":           {[]Alert{alert(Firing, "alertname", HeartbeatAlert, "everything", "yes", "cluster", "prod")}, "", ""},
		"firing and resolved": {[]Alert{alert(Firing, append(full, "cluster", "prod", "url", "a")...), alert(Resolved, append(full, "cluster", "prod", "url", "b")...)}, "full/prod/EtcdAlarmNoSpace/firing full/prod/EtcdAlarmNoSpace/resolved", ""},
		"names like code":     {[]Alert{alert(Firing, append(full, "cluster", "prod\n../../x")...)}, "", `no cluster is called "prod\n../../x"`},
	} {
		t.Run(name, func(t *testing.T) {
			found := testRouter(t).Match(Message{Alerts: tc.alerts})
			var hits, misses []string
			for _, h := range found.Hits {
				hits = append(hits, fmt.Sprintf("%s/%s/%s/%s", h.Policy.Name, h.Cluster, h.Alert, h.Status))
				if len(h.Fingerprint) != 16 || !h.StartsAt.Equal(began) {
					t.Errorf("fingerprint %q, starts %s", h.Fingerprint, h.StartsAt)
				}
			}
			for _, m := range found.Misses {
				misses = append(misses, m.Reason)
			}
			if got := strings.Join(hits, " "); got != tc.hits {
				t.Errorf("hits %q, want %q", got, tc.hits)
			}
			if got := strings.Join(misses, "; "); !strings.Contains(got, tc.misses) || (tc.misses == "") != (got == "") {
				t.Errorf("misses %q, want %q", got, tc.misses)
			}
		})
	}
}

// TestMatchSingleCluster: with one cluster the label may be missing, not wrong.
func TestMatchSingleCluster(t *testing.T) {
	r := &Router{ClusterLabel: "etcd", Clusters: []string{"prod"}, Rules: []Rule{rule(t, "reclaim", []string{"prod"}, `alertname="A"`)}}
	for _, tc := range []struct {
		labels []string
		hits   int
	}{
		{[]string{"alertname", "A"}, 1},
		{[]string{"alertname", "A", "etcd", "prod"}, 1},
		{[]string{"alertname", "A", "etcd", "other"}, 0},
		{[]string{"alertname", "A", "cluster", "other"}, 1}, // not the label that is configured
	} {
		if found := r.Match(Message{Alerts: []Alert{alert(Firing, tc.labels...)}}); len(found.Hits) != tc.hits {
			t.Errorf("%v: %d hits, want %d", tc.labels, len(found.Hits), tc.hits)
		}
	}
}

func TestMatchCounts(t *testing.T) {
	found := testRouter(t).Match(Message{Alerts: []Alert{
		alert(Firing, "everything", "yes", "cluster", "prod"),
		alert(Firing, "everything", "yes", "cluster", "prod"),
		alert(Resolved, "everything", "yes", "cluster", "nowhere"),
		alert(Firing, "alertname", HeartbeatAlert),
	}})
	want := map[Count]int{{Firing, true}: 2, {Resolved, false}: 1, {Firing, false}: 1}
	if len(found.Counts) != len(want) {
		t.Errorf("counts %v", found.Counts)
	}
	for c, n := range want {
		if found.Counts[c] != n {
			t.Errorf("%v is counted %d times, want %d", c, found.Counts[c], n)
		}
	}
	if !found.Heartbeat {
		t.Error("no heartbeat")
	}
	resolved := testRouter(t).Match(Message{Alerts: []Alert{alert(Resolved, "alertname", HeartbeatAlert)}})
	if resolved.Heartbeat {
		t.Error("a heartbeat that is resolved counts as one")
	}
}

func TestCompileMatchers(t *testing.T) {
	for _, tc := range []struct {
		texts []string
		want  string // of the error; empty: none
		count int
	}{
		{nil, "", 0},
		{[]string{`alertname="A"`}, "", 1},
		{[]string{`alertname="A", severity!="info"`, `url=~".+"`}, "", 3},
		{[]string{`{alertname=~"EtcdBackup(TooOld|Missing)"}`}, "", 1},
		{[]string{`alertname`}, `matcher "alertname": bad matcher format`, 0},
		{[]string{`alertname=~"("`}, "error parsing regexp", 0},
		{[]string{`alertname="A`}, "unescaped double quote", 0},
		{[]string{`{}`}, "holds no matcher", 0},
		{[]string{`severity!="info"`}, "fit nearly every alert", 0},
		{[]string{`alertname=~".*"`}, "fit nearly every alert", 0},
		{[]string{`alertname=""`}, "fit nearly every alert", 0},
	} {
		got, err := CompileMatchers(tc.texts)
		switch {
		case tc.want == "" && (err != nil || len(got) != tc.count):
			t.Errorf("%q: %v, %v", tc.texts, got, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%q: %v, want %q", tc.texts, err, tc.want)
		case err != nil:
			oneLine(t, err)
		}
	}
}
