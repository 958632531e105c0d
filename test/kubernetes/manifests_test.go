// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	exporter   = "etcd-exporter"
	remediator = "etcd-remediator"
)

// TestManifests: whatever is chosen, the API's types take every document, and the
// objects fit one another.
func TestManifests(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			o := decode(t, v.manifests(t))
			if _, there := o.deployments[remediator]; there != v.remediator || o.deployments[exporter] == nil {
				t.Fatalf("the deployments are %v", o.deployments)
			}
			if !maps.Equal(o.places, map[string]bool{"etcdops": true}) {
				t.Errorf("there are objects in the namespaces %v", o.places)
			}
			if len(o.services) != len(o.deployments) {
				t.Errorf("%d services of %d programs", len(o.services), len(o.deployments))
			}
			for name := range o.deployments {
				o.fits(t, name)
			}
			o.isHardened(t, v)
			o.isScraped(t, v)
		})
	}
}

// fits looks at what names something else: selectors, volumes, ports, claims.
func (o *objects) fits(t *testing.T, name string) {
	t.Helper()
	d := o.deployments[name]
	pod := d.Spec.Template
	selector := labels.SelectorFromSet(d.Spec.Selector.MatchLabels)
	if selector.Empty() || !selector.Matches(labels.Set(pod.Labels)) {
		t.Errorf("%s: the selector %v does not match the pod's labels %v", name, selector, pod.Labels)
	}
	if *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != "Recreate" {
		t.Errorf("%s: %d replicas by %s", name, *d.Spec.Replicas, d.Spec.Strategy.Type)
	}
	for other, d := range o.deployments {
		if other != name && selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			t.Errorf("%s selects the pods of %s", name, other)
		}
	}
	container := pod.Spec.Containers[0]
	var mounted, there []string
	for _, m := range container.VolumeMounts {
		mounted = append(mounted, m.Name)
	}
	for _, volume := range pod.Spec.Volumes {
		there = append(there, volume.Name)
		if c := volume.ConfigMap; c != nil && o.configs[c.Name] == nil {
			t.Errorf("%s: there is no ConfigMap %s", name, c.Name)
		}
		if c := volume.PersistentVolumeClaim; c != nil && (len(o.claims) != 1 || o.claims[0].Name != c.ClaimName) {
			t.Errorf("%s: there is no claim %s", name, c.ClaimName)
		}
	}
	slices.Sort(mounted)
	slices.Sort(there)
	if !slices.Equal(mounted, there) {
		t.Errorf("%s: mounts %v, volumes %v", name, mounted, there)
	}
	service := o.serviceOf(t, name)
	if port := service.Spec.Ports[0]; port.TargetPort.StrVal != container.Ports[0].Name || port.Port != container.Ports[0].ContainerPort {
		t.Errorf("%s: the service's port is %v, the container's %v", name, port, container.Ports[0])
	}
	for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
		switch {
		case probe == nil:
			t.Errorf("%s lacks a probe", name)
		case probe.TCPSocket != nil && probe.TCPSocket.Port.StrVal == container.Ports[0].Name:
		case probe.HTTPGet != nil && probe.HTTPGet.Port.StrVal == container.Ports[0].Name:
		default:
			t.Errorf("%s: the probe %v asks at another port", name, probe)
		}
	}
}

// serviceOf gives the one service that selects the pods of a program.
func (o *objects) serviceOf(t *testing.T, name string) *corev1.Service {
	t.Helper()
	var found []*corev1.Service
	for _, s := range o.services {
		if labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(o.deployments[name].Spec.Template.Labels)) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d services select the pods of %s", len(found), name)
	}
	return found[0]
}

// isScraped looks at what Prometheus and Grafana are given.
func (o *objects) isScraped(t *testing.T, v variant) {
	t.Helper()
	want := map[string]string{}
	if v.operator {
		want = map[string]string{"etcd_cluster": "/sd", "etcd": "/sd/native", "etcd_exporter": ""}
		if v.remediator {
			want["etcd_remediator"] = ""
		}
	}
	if len(o.scrapes) != len(want) {
		t.Errorf("the jobs are %v, want %v", o.scrapes, want)
	}
	for job, path := range want {
		scrape := o.scrapes[job]
		if scrape == nil {
			t.Errorf("there is no job %s", job)
			continue
		}
		open := v.open && job != "etcd_remediator"
		if (scrape.Spec.TLSConfig == nil) != open || (*scrape.Spec.Scheme == "HTTP") != open {
			t.Errorf("%s: %s with TLS %v", job, *scrape.Spec.Scheme, scrape.Spec.TLSConfig)
		}
		if (scrape.Spec.BasicAuth != nil) != (!open && job != "etcd_remediator") {
			t.Errorf("%s: the authentication is %v", job, scrape.Spec.BasicAuth)
		}
		if scrape.Labels["release"] != "kube-prometheus-stack" {
			t.Errorf("%s: no selector finds the labels %v", job, scrape.Labels)
		}
		if path == "" {
			o.isAddress(t, string(scrape.Spec.StaticConfigs[0].Targets[0]))
			continue
		}
		sd := scrape.Spec.HTTPSDConfigs[0]
		scheme, rest, _ := strings.Cut(string(sd.URL), "://")
		address, asked, _ := strings.Cut(rest, "/")
		o.isAddress(t, address)
		if "/"+asked != path || strings.ToUpper(scheme) != string(*scrape.Spec.Scheme) || (sd.TLSConfig == nil) != open || (sd.BasicAuth == nil) != open {
			t.Errorf("%s asks %s", job, sd.URL)
		}
	}
	o.hasRules(t, v)
}

// isAddress wants an address to be that of a service.
func (o *objects) isAddress(t *testing.T, address string) {
	t.Helper()
	for _, s := range o.services {
		if address == fmt.Sprintf("%s.%s.svc:%d", s.Name, s.Namespace, s.Spec.Ports[0].Port) {
			return
		}
	}
	t.Errorf("no service has the address %s", address)
}

// hasRules: every alert of alerts/ is there, those on the remediator where there is one.
func (o *objects) hasRules(t *testing.T, v variant) {
	t.Helper()
	var groups, want []string
	for _, rule := range o.rules {
		if rule.Labels["release"] != "kube-prometheus-stack" {
			t.Errorf("no selector finds the labels %v", rule.Labels)
		}
		for _, group := range rule.Spec.Groups {
			groups = append(groups, group.Name)
			if len(group.Rules) == 0 {
				t.Errorf("group %s is empty", group.Name)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "alerts", "*.yaml"))
	must(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if v.operator && (v.remediator || name != "etcdops-remediation") {
			want = append(want, name)
		}
	}
	slices.Sort(groups)
	if !slices.Equal(groups, want) {
		t.Errorf("the groups of rules are %v, want %v", groups, want)
	}
	o.hasDashboards(t, v)
}

// hasDashboards: every dashboard of dashboards/ is there, that of the remediator where
// there is one.
func (o *objects) hasDashboards(t *testing.T, v variant) {
	t.Helper()
	var got, want []string
	for _, config := range o.configs {
		if config.Labels["grafana_dashboard"] != "1" {
			continue
		}
		for name, text := range config.Data {
			got = append(got, name)
			committed := read(t, filepath.Join(root, "dashboards", name))
			if !json.Valid([]byte(text)) || strings.TrimSpace(text) != strings.TrimSpace(string(committed)) {
				t.Errorf("%s is not that of dashboards/", name)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "dashboards", "*.json"))
	must(t, err)
	for _, file := range files {
		if name := filepath.Base(file); v.operator && (v.remediator || name != "etcdops-remediation.json") {
			want = append(want, name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the dashboards are %v, want %v", got, want)
	}
}
