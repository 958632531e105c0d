// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
)

// TestValuesAreTaken: each value reaches the object that it is for.
func TestValuesAreTaken(t *testing.T) {
	all := minimal.with(values{"remediator.enabled": true})
	for _, tc := range []struct {
		values values
		got    func(o *objects) any
		want   string
	}{
		{values{"cluster.name": "west"}, config, "name: west"},
		{values{"cluster.discover": false}, config, "discover: false"},
		{values{"cluster.extra": map[string]any{"probe_key": "well"}}, config, "probe_key: well"},
		{values{"remediator.extra": map[string]any{"max_concurrent_clusters": 2}}, config, "max_concurrent_clusters: 2"},
		{values{"remediator.policies": []any{map[string]any{"name": "mine", "action": "compact"}}}, config, "name: mine"},
		{values{"nodeSelector": map[string]any{"etcd": "here"}}, func(o *objects) any { return pods(o, func(p corev1.PodSpec) any { return p.NodeSelector["etcd"] }) }, "here here"},
		{values{"tolerations": []any{}}, func(o *objects) any { return pods(o, func(p corev1.PodSpec) any { return len(p.Tolerations) }) }, "2 0"},
		{values{"exporter.args": []any{"--log.level=debug"}}, argsOf(exporter), "--log.level=debug"},
		{values{"exporter.port": 9999}, argsOf(exporter), "--web.listen-address=:9999"},
		{values{"exporter.port": 9999}, func(o *objects) any { return o.scrapes["etcd"].Spec.HTTPSDConfigs[0].URL }, "svc:9999/sd/native"},
		{values{"exporter.image.repository": "registry/etcd_exporter", "exporter.image.tag": "v1"}, func(o *objects) any { return containerOf(o, exporter).Image }, "registry/etcd_exporter:v1"},
		{values{"exporter.image.pullPolicy": "Never"}, func(o *objects) any { return containerOf(o, exporter).ImagePullPolicy }, "Never"},
		{values{"exporter.resources": map[string]any{"requests": map[string]any{"cpu": "1"}}}, func(o *objects) any { return quantity(containerOf(o, exporter).Resources.Requests, corev1.ResourceCPU) }, "1"},
		{values{"exporter.certificate.directory": "/pki"}, func(o *objects) any { return o.deployments[exporter].Spec.Template.Spec.Volumes[2].HostPath.Path }, "/pki/ca.crt"},
		{values{"remediator.port": 9998}, func(o *objects) any { return o.scrapes["etcd_remediator"].Spec.StaticConfigs[0].Targets }, "svc:9998"},
		{values{"remediator.mode": "enforce"}, argsOf(remediator), "--mode=enforce"},
		{values{"remediator.persistence.size": "2Gi"}, func(o *objects) any { return quantity(o.claims[0].Spec.Resources.Requests, corev1.ResourceStorage) }, "2Gi"},
		{values{"remediator.persistence.storageClassName": "fast"}, func(o *objects) any { return *o.claims[0].Spec.StorageClassName }, "fast"},
		{values{"remediator.persistence.existingClaim": "mine"}, func(o *objects) any { return fmt.Sprint(len(o.claims), volumesOf(o, remediator)) }, "0 [mine]"},
		{values{"operator.scrapeInterval": "15s"}, func(o *objects) any { return *o.scrapes["etcd"].Spec.ScrapeInterval }, "15s"},
		{values{"operator.scrapeSecret": "mine"}, func(o *objects) any { return o.scrapes["etcd"].Spec.BasicAuth.Password.Name }, "mine"},
		{values{"operator.labels": map[string]any{"team": "etcd"}}, func(o *objects) any { return o.rules[0].Labels["team"] }, "etcd"},
		{values{"operator.labels": map[string]any{"team": "etcd"}}, func(o *objects) any { return o.scrapes["etcd"].Labels["team"] }, "etcd"},
		{values{"operator.rules": false}, func(o *objects) any { return len(o.rules) }, "0"},
		{values{"operator.dashboards": false}, func(o *objects) any { return len(o.configs) }, "1"},
	} {
		manifests, _, err := helm(all.with(tc.values))
		must(t, err)
		if got := fmt.Sprint(tc.got(decode(t, manifests))); !strings.Contains(got, tc.want) {
			t.Errorf("%v: no %q in %s", tc.values, tc.want, got)
		}
	}
}

func config(o *objects) any { return o.configs["etcdops-config"].Data["etcdops.yml"] }

func containerOf(o *objects, name string) corev1.Container {
	return o.deployments[name].Spec.Template.Spec.Containers[0]
}

func argsOf(name string) func(*objects) any {
	return func(o *objects) any { return containerOf(o, name).Args }
}

// pods gives something of the exporter's and the remediator's pods.
func pods(o *objects, of func(corev1.PodSpec) any) string {
	return fmt.Sprint(of(o.deployments[exporter].Spec.Template.Spec), " ", of(o.deployments[remediator].Spec.Template.Spec))
}

func quantity(list corev1.ResourceList, name corev1.ResourceName) string {
	q := list[name]
	return q.String()
}

func volumesOf(o *objects, name string) (claims []string) {
	for _, volume := range o.deployments[name].Spec.Template.Spec.Volumes {
		if c := volume.PersistentVolumeClaim; c != nil {
			claims = append(claims, c.ClaimName)
		}
	}
	return claims
}

// TestPackage: the archive that `helm package` makes holds what the symbolic links of the
// chart lead to, and renders as the chart does. An installation of all of it fits into
// the Secret that Helm keeps it in.
func TestPackage(t *testing.T) {
	loaded, err := loader.Load(filepath.Join(deploy, "helm", "etcdops"))
	must(t, err)
	archive, err := chartutil.Save(loaded, t.TempDir())
	must(t, err)
	packed, err := loader.LoadFile(archive)
	must(t, err)
	v := minimal.with(values{"remediator.enabled": true})
	want, notes, err := template(loaded, v)
	must(t, err)
	got, _, err := template(packed, v)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Error("the archive renders otherwise than the chart")
	}
	for _, kind := range []string{"alerts/*.yaml", "dashboards/*.json"} {
		files, err := filepath.Glob(filepath.Join(root, kind))
		must(t, err)
		for _, file := range files {
			name := "files/" + filepath.Base(filepath.Dir(file)) + "/" + filepath.Base(file)
			if !slices.ContainsFunc(packed.Files, func(f *chart.File) bool { return f.Name == name && bytes.Equal(f.Data, read(t, file)) }) {
				t.Errorf("the archive lacks %s", name)
			}
		}
	}
	if size := kept(t, &release.Release{Name: "etcdops", Chart: packed, Config: v.tree(), Manifest: string(got), Info: &release.Info{Notes: notes}}); size > 700<<10 {
		t.Errorf("Helm would keep %d KiB of a release; a Secret holds 1024", size>>10)
	}
}

// kept is the size of a release as Helm stores it.
func kept(t *testing.T, r *release.Release) int {
	t.Helper()
	text, err := json.Marshal(r)
	must(t, err)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(text)
	must(t, err, w.Close())
	return base64.StdEncoding.EncodedLen(packed.Len())
}
