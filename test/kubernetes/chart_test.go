// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

// TestLint is `helm lint --strict`.
func TestLint(t *testing.T) {
	for name, v := range map[string]values{
		"minimal": minimal, "remediator": minimal.with(values{"remediator.enabled": true}),
	} {
		result := lint.AllWithKubeVersion(filepath.Join(deploy, "helm", "etcdops"), v.tree(), "etcdops", nil)
		for _, message := range result.Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

// TestValuesAreRefused: what cannot be meant is told before anything is installed.
func TestValuesAreRefused(t *testing.T) {
	if _, _, err := helm(minimal); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		values values
		want   string
	}{
		{values{"cluster.endpoints": []any{}}, "endpoints"},
		{values{"cluster.endpoints": []any{"10.0.0.1:2379"}}, "endpoints"},
		{values{"cluster.endpoints": []any{"https://user:password@10.0.0.1:2379"}}, "endpoints"},
		{values{"cluster.endpoints": []any{"https://10.0.0.1"}}, "endpoints"},
		{values{"cluster.name": "two words"}, "name"},
		{values{"cluster.extra": map[string]any{"tls": map[string]any{}}}, "extra"},
		{values{"exporter.port": 0}, "port"},
		{values{"exporter.port": "10379"}, "port"},
		{values{"exporter.imagee": "x"}, "imagee"},
		{values{"exporter.args": []any{"--web.listen-address=:1"}}, "args"},
		{values{"exporter.args": []any{"--config.file=x"}}, "args"},
		{values{"exporter.certificate.directory": "pki"}, "directory"},
		{values{"exporter.web.secret": ""}, "allowUnauthenticated"},
		{values{"remediator.mode": "act"}, "mode"},
		{values{"remediator.enabled": "yes"}, "enabled"},
		{values{"remediator.policies": []any{}}, "policies"},
		{values{"remediator.policies": []any{map[string]any{"name": "x", "action": "reboot"}}}, "action"},
		{values{"remediator.tokensSecret": ""}, "tokensSecret"},
		{values{"remediator.persistence.size": "a lot"}, "size"},
		{values{"remediator.extra": map[string]any{"journal": "/tmp"}}, "extra"},
		{values{"operator.scrapeInterval": "often"}, "scrapeInterval"},
		{values{"remediatior.enabled": true}, "remediatior"},
	} {
		_, _, err := helm(minimal.with(tc.values))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: %v", tc.values, err)
		}
	}
}

// TestNotes: they say what is missing, and what the certificate is worth.
func TestNotes(t *testing.T) {
	for _, tc := range []struct {
		values values
		want   []string
		not    string
	}{
		{minimal, []string{"https://10.0.0.1:2379", "Secret etcd-exporter-web", "all of etcd all the same", "curl -sk -u prometheus https://localhost:10379"}, "remediator"},
		{minimal.with(values{"exporter.certificate.secret": "mine"}), []string{"for mine (ca.crt"}, "healthcheck-client"},
		{minimal.with(values{"exporter.web.secret": "", "exporter.web.allowUnauthenticated": true}), []string{"asks nobody who they are", "curl -s http://"}, "Secret etcd-exporter-web"},
		{minimal.with(values{"remediator.enabled": true}), []string{"mode plan", "https://etcdops-remediator.etcdops.svc:10380/api/v1/alerts"}, "\n\n\n"},
		{minimal.with(values{"operator.enabled": false}), nil, "ScrapeConfig"},
	} {
		_, notes, err := helm(tc.values)
		must(t, err)
		for _, want := range tc.want {
			if !strings.Contains(notes, want) {
				t.Errorf("%v: no %q in\n%s", tc.values, want, notes)
			}
		}
		if strings.Contains(notes, tc.not) {
			t.Errorf("%v: %q in\n%s", tc.values, tc.not, notes)
		}
	}
}

// TestNobodyIsPagedTwice: the values for kube-prometheus-stack switch off what it has of
// its own for etcd.
func TestNobodyIsPagedTwice(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "helm", "kube-prometheus-stack-values.yaml"))
	must(t, err)
	var v struct {
		DefaultRules struct {
			Rules struct {
				Etcd *bool `json:"etcd"`
			} `json:"rules"`
		} `json:"defaultRules"`
		KubeEtcd struct {
			Enabled *bool `json:"enabled"`
		} `json:"kubeEtcd"`
	}
	must(t, yaml.UnmarshalStrict(text, &v))
	if rules, scraping := v.DefaultRules.Rules.Etcd, v.KubeEtcd.Enabled; rules == nil || *rules || scraping == nil || *scraping {
		t.Errorf("etcd's rules or their scraping stay on:\n%s", text)
	}
}
