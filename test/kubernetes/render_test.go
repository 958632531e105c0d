// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomize builds a directory of deploy/.
func kustomize(t testing.TB, dir string) []byte {
	t.Helper()
	return build(t, filesys.MakeFsOnDisk(), filepath.Join(deploy, dir))
}

// kustomizeWith builds overlays/kubeadm with these components in place of its own, from
// a copy in memory.
func kustomizeWith(t testing.TB, components ...string) []byte {
	t.Helper()
	copied := filesys.MakeFsInMemory()
	must(t, filepath.WalkDir(deploy, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.Contains(name, "helm") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(deploy, name)
		if err != nil {
			return err
		}
		return copied.WriteFile(path.Join("/", filepath.ToSlash(inside)), text)
	}))
	const overlay = "/kubernetes/overlays/kubeadm"
	text, err := copied.ReadFile(overlay + "/kustomization.yaml")
	must(t, err)
	before, rest, _ := strings.Cut(string(text), "components:\n")
	_, after, _ := strings.Cut(rest, "configMapGenerator:\n")
	chosen := "components:\n"
	for _, name := range components {
		chosen += "  - ../../components/" + name + "\n"
	}
	if len(components) == 0 {
		chosen = ""
	}
	must(t, copied.WriteFile(overlay+"/kustomization.yaml", []byte(before+chosen+"configMapGenerator:\n"+after)))
	return build(t, copied, overlay)
}

func build(t testing.TB, from filesys.FileSystem, dir string) []byte {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(from, dir)
	must(t, err)
	text, err := built.AsYaml()
	must(t, err)
	return text
}

// values are those of one installation, by dotted name.
type values map[string]any

// with gives the values with others over them.
func (v values) with(others values) values {
	all := maps.Clone(v)
	maps.Copy(all, others)
	return all
}

// tree is what a values file would hold.
func (v values) tree() map[string]any {
	all := map[string]any{}
	for name, value := range v {
		at, keys := all, strings.Split(name, ".")
		for _, key := range keys[:len(keys)-1] {
			if at[key] == nil {
				at[key] = map[string]any{}
			}
			at = at[key].(map[string]any)
		}
		at[keys[len(keys)-1]] = value
	}
	return all
}

// helm renders the chart as `helm template etcdops` does, with the notes that an
// installation shows.
func helm(v values) (manifests []byte, notes string, err error) {
	loaded, err := loader.Load(filepath.Join(deploy, "helm", "etcdops"))
	if err != nil {
		return nil, "", err
	}
	return template(loaded, v)
}

func template(loaded *chart.Chart, v values) (manifests []byte, notes string, err error) {
	options := chartutil.ReleaseOptions{Name: "etcdops", Namespace: "etcdops", Revision: 1, IsInstall: true}
	complete, err := chartutil.ToRenderValues(loaded, v.tree(), options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, "", err
	}
	files, err := engine.Render(loaded, complete)
	if err != nil {
		return nil, "", err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			notes = files[name]
			continue
		}
		manifests = append(manifests, "---\n"+files[name]+"\n"...)
	}
	return manifests, notes, nil
}

// minimal is what a user has to say.
var minimal = values{"cluster.endpoints": []any{"https://10.0.0.1:2379"}}

// variant is one way to install.
type variant struct {
	name       string
	manifests  func(t testing.TB) []byte
	operator   bool // objects of prometheus-operator
	remediator bool
	own        bool // a certificate of the exporter's own
	open       bool // without TLS and authentication
}

// variants is every combination of what may be chosen, by either tool.
func variants() (all []variant) {
	for bits := range 16 {
		v := variant{operator: bits&1 != 0, remediator: bits&2 != 0, own: bits&4 != 0, open: bits&8 != 0}
		chosen := ""
		for i, name := range []string{"+operator", "+remediator", "+own", "+open"} {
			if bits&(1<<i) != 0 {
				chosen += name
			}
		}
		v.name, v.manifests = "helm"+chosen, v.helm
		all = append(all, v)
		if !v.open { // kustomize has no such choice
			v.name, v.manifests = "kustomize"+chosen, v.kustomize
			all = append(all, v)
		}
	}
	return all
}

func (v variant) helm(t testing.TB) []byte {
	t.Helper()
	chosen := minimal.with(values{"operator.enabled": v.operator, "remediator.enabled": v.remediator})
	if v.own {
		chosen["exporter.certificate.secret"] = "etcd-exporter-etcd"
	}
	if v.open {
		chosen["exporter.web.secret"], chosen["exporter.web.allowUnauthenticated"] = "", true
	}
	text, _, err := helm(chosen)
	must(t, err)
	return text
}

func (v variant) kustomize(t testing.TB) []byte {
	t.Helper()
	var components []string
	for _, c := range []struct {
		name   string
		chosen bool
	}{
		{"prometheus-operator", v.operator},
		{"own-certificate", v.own},
		{"remediator", v.remediator},
		{"remediator-prometheus-operator", v.remediator && v.operator},
	} {
		if c.chosen {
			components = append(components, c.name)
		}
	}
	return kustomizeWith(t, components...)
}
