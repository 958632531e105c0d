// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"

	"github.com/etcdops/etcdops/remediate"
)

// HeartbeatAlert always fires, to show that the way from Prometheus to here works.
// It starts no run, whatever a policy's matchers say.
const HeartbeatAlert = "EtcdRemediationHeartbeat"

// Rule says which alerts start a policy.
type Rule struct {
	Policy   remediate.Policy
	Matchers labels.Matchers // none: no alert starts it
}

// Router finds the policies that an alert starts. It is made anew with each
// configuration, and may be used by several requests at once.
type Router struct {
	ClusterLabel string   // the alert's label that names the cluster
	Clusters     []string // all that are configured
	Rules        []Rule
}

// Hit is one alert for one policy and cluster.
type Hit struct {
	Policy      remediate.Policy
	Cluster     string
	Alert       string // its name
	Fingerprint string // Alertmanager's own, made of the labels
	Status      string // Firing or Resolved
	StartsAt    time.Time
}

// Miss is an alert that a policy's matchers take, and that starts it nevertheless
// not.
type Miss struct {
	Policy, Alert, Status string
	Reason                string // one line
}

// Found is what a message means.
type Found struct {
	Hits      []Hit
	Misses    []Miss
	Heartbeat bool // the heartbeat fires
	Counts    map[Count]int
}

// Count is what alerts are counted by.
type Count struct {
	Status  string
	Matched bool // it hit at least one policy
}

// CompileMatchers parses matchers in Alertmanager's syntax; all of them must match.
// Matchers that an alert without any label would fit are refused: such a policy
// would be started by nearly every alert.
func CompileMatchers(texts []string) (labels.Matchers, error) {
	var all labels.Matchers
	for _, text := range texts {
		parsed, err := labels.ParseMatchers(text)
		if err != nil {
			return nil, fmt.Errorf("matcher %s: %w", quote(text), err)
		}
		if len(parsed) == 0 {
			return nil, fmt.Errorf("matcher %s holds no matcher: write one such as alertname=\"EtcdFragmented\"", quote(text))
		}
		all = append(all, parsed...)
	}
	if len(all) > 0 && all.Matches(nil) {
		return nil, fmt.Errorf("the matchers %s fit nearly every alert: name at least one label with a value, such as alertname=\"EtcdFragmented\"", quote(all.String()))
	}
	return all, nil
}

// Match finds what a message starts or ends. An alert that stands there twice
// counts twice and hits once.
func (r *Router) Match(m Message) Found {
	type key struct{ policy, cluster, fingerprint, status string }
	found, seen := Found{Counts: map[Count]int{}}, map[key]bool{}
	for _, alert := range m.Alerts {
		hits, misses := r.alert(alert)
		found.Counts[Count{alert.Status, len(hits) > 0}]++
		found.Misses = append(found.Misses, misses...)
		if isHeartbeat(alert) && alert.Status == Firing {
			found.Heartbeat = true
		}
		for _, h := range hits {
			if k := (key{h.Policy.Name, h.Cluster, h.Fingerprint, h.Status}); !seen[k] {
				seen[k] = true
				found.Hits = append(found.Hits, h)
			}
		}
	}
	return found
}

func isHeartbeat(a Alert) bool { return a.Labels[model.AlertNameLabel] == HeartbeatAlert }

// alert finds the policies of one alert.
func (r *Router) alert(a Alert) (hits []Hit, misses []Miss) {
	if isHeartbeat(a) {
		return nil, nil
	}
	name := string(a.Labels[model.AlertNameLabel])
	for _, rule := range r.Rules {
		if len(rule.Matchers) == 0 || !rule.Matchers.Matches(a.Labels) {
			continue
		}
		cluster, reason := r.cluster(a.Labels)
		if reason == "" && !slices.Contains(rule.Policy.Clusters, cluster) {
			reason = fmt.Sprintf("the policy does not allow the cluster %s", quote(cluster))
		}
		if reason != "" {
			misses = append(misses, Miss{rule.Policy.Name, name, a.Status, reason})
			continue
		}
		hits = append(hits, Hit{
			Policy: rule.Policy, Cluster: cluster, Alert: name,
			Fingerprint: a.Labels.Fingerprint().String(), Status: a.Status, StartsAt: a.StartsAt,
		})
	}
	return hits, misses
}

// cluster gives the configured cluster that an alert is about, or why there is none.
func (r *Router) cluster(ls model.LabelSet) (name, reason string) {
	name = string(ls[model.LabelName(r.ClusterLabel)])
	switch {
	case slices.Contains(r.Clusters, name):
		return name, ""
	case name == "" && len(r.Clusters) == 1:
		return r.Clusters[0], ""
	case name == "":
		return "", fmt.Sprintf("it has no label %s, and not exactly one cluster is configured", quote(r.ClusterLabel))
	default:
		return "", fmt.Sprintf("no cluster is called %s", quote(name))
	}
}
