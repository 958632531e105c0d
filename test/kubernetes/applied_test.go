// SPDX-License-Identifier: Apache-2.0

//go:build slow

package kubernetes

import (
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/etcdops/etcdops/test/stack"
)

// dryRun is what --dry-run=server says.
var dryRun = []string{metav1.DryRunAll}

// apply is `kubectl apply --server-side --validate=strict` of one document.
func (a *apiServer) apply(t testing.TB, document []byte, dryRun []string) (*unstructured.Unstructured, error) {
	t.Helper()
	var object unstructured.Unstructured
	must(t, yaml.Unmarshal(document, &object.Object))
	client, err := dynamic.NewForConfig(a.config)
	must(t, err)
	of, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	var resource dynamic.ResourceInterface = client.Resource(of)
	if object.GetNamespace() != "" {
		resource = client.Resource(of).Namespace(object.GetNamespace())
	}
	return resource.Patch(t.Context(), object.GetName(), types.ApplyYAMLPatchType, document,
		metav1.PatchOptions{FieldManager: "kubectl", FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun})
}

// knowOperator gives the API server prometheus-operator's kinds, as its own generator
// makes them of its types.
func (a *apiServer) knowOperator(t testing.TB) {
	t.Helper()
	generator, err := stack.Tool(root, "controller-gen")
	must(t, err)
	const apis = "paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/"
	dir := t.TempDir()
	output, err := exec.CommandContext(t.Context(), generator, "crd", apis+"v1", apis+"v1alpha1", "output:crd:dir="+dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, kind := range []string{"prometheusrules", "scrapeconfigs"} {
		definition := read(t, filepath.Join(dir, "monitoring.coreos.com_"+kind+".yaml"))
		_, err := a.apply(t, definition, nil)
		must(t, err)
		must(t, stack.Await(t.Context(), time.Minute, kind+" are served", func() error {
			_, err := a.RESTClient().Get().AbsPath("/apis/monitoring.coreos.com/" + map[string]string{"prometheusrules": "v1", "scrapeconfigs": "v1alpha1"}[kind] + "/" + kind).DoRaw(t.Context())
			return err
		}))
	}
}

// TestAPIServerTakes: a real API server takes every manifest of every variant, strictly, and the
// pods as well; what it takes for real it takes again without a change.
func TestAPIServerTakes(t *testing.T) {
	a := newAPIServer(t, newWorld(t))
	a.knowOperator(t)
	_, err := a.apply(t, read(t, filepath.Join(deploy, "kubernetes/base/namespace.yaml")), nil)
	must(t, err)
	a.makeNamespace(t, "other")
	taken := 0
	for _, v := range variants() {
		manifests := v.manifests(t)
		for _, document := range documents(t, manifests) {
			if _, err := a.apply(t, document, dryRun); err != nil {
				t.Errorf("%s: %v\n%.1000s", v.name, err, document)
			}
			taken++
		}
		for name, d := range decode(t, manifests).deployments {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: d.Spec.Template.Labels}, Spec: d.Spec.Template.Spec}
			if _, err := a.CoreV1().Pods("etcdops").Create(t.Context(), pod, metav1.CreateOptions{DryRun: dryRun}); err != nil {
				t.Errorf("%s: the pod of %s: %v", v.name, name, err)
			}
			taken++
		}
	}
	t.Logf("%d variants: the API server took %d objects by --dry-run=server", len(variants()), taken)

	everything := variant{operator: true, remediator: true, own: true}.kustomize(t)
	for _, document := range documents(t, everything) {
		first, err := a.apply(t, document, nil)
		must(t, err)
		second, err := a.apply(t, document, nil)
		must(t, err)
		for _, o := range []*unstructured.Unstructured{first, second} { // when and by whom, and not what
			o.SetManagedFields(nil)
			o.SetResourceVersion("")
		}
		if !reflect.DeepEqual(first.Object, second.Object) {
			t.Errorf("%s %s changes when it is applied again:\n%v\n%v", first.GetKind(), first.GetName(), first.Object, second.Object)
		}
	}
	restoreDrill := documents(t, read(t, filepath.Join(deploy, "kubernetes/restore-drill-cronjob.yaml")))
	for _, document := range restoreDrill {
		if _, err := a.apply(t, document, dryRun); err != nil {
			t.Errorf("the restore drill: %v", err)
		}
	}
}

// TestAPIServerRefuses: the API server looks at what it is given, so that taking it says something.
func TestAPIServerRefuses(t *testing.T) {
	a := newAPIServer(t, newWorld(t))
	a.knowOperator(t)
	_, err := a.apply(t, read(t, filepath.Join(deploy, "kubernetes/base/namespace.yaml")), nil)
	must(t, err)
	manifests := string(variant{operator: true, remediator: true}.kustomize(t))
	for _, tc := range []struct{ from, to, want string }{
		{"hostNetwork: true", "hostNetworks: true", "field not declared in schema"},
		{"containerPort: 10379", "containerPort: 99999", "must be between 1 and 65535"},
		{"jobName: etcd\n", "jobname: etcd\n", "field not declared in schema"},
		{"scheme: HTTPS", "scheme: GOPHER", "Unsupported value"},
		{"storage: 1Gi", "storage: much", "quantities must match"},
	} {
		refused := ""
		for _, document := range documents(t, []byte(strings.ReplaceAll(manifests, tc.from, tc.to))) {
			if _, err := a.apply(t, document, dryRun); err != nil {
				refused += err.Error() + "\n"
			}
		}
		if !strings.Contains(refused, tc.want) {
			t.Errorf("%s: %q", tc.to, refused)
		}
	}
	_, err = a.CoreV1().Namespaces().Patch(t.Context(), "etcdops", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"baseline"}}}`), metav1.PatchOptions{})
	must(t, err)
	d := decode(t, []byte(manifests)).deployments[exporter]
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "exporter"}, Spec: d.Spec.Template.Spec}
	if _, err := a.CoreV1().Pods("etcdops").Create(t.Context(), pod, metav1.CreateOptions{DryRun: dryRun}); err == nil || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("a namespace without the level privileged takes the pod: %v", err)
	}
}
