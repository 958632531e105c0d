// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestOverlay: the directory that people apply builds as it is, and with the components
// that it has commented out.
func TestOverlay(t *testing.T) {
	o := decode(t, kustomize(t, "kubernetes/overlays/kubeadm"))
	if len(o.namespaces) != 1 || o.namespaces[0].Labels["pod-security.kubernetes.io/enforce"] != "privileged" {
		t.Errorf("the namespaces are %v", o.namespaces)
	}
	text := string(read(t, filepath.Join(deploy, "kubernetes/overlays/kubeadm/kustomization.yaml")))
	components, err := filepath.Glob(filepath.Join(deploy, "kubernetes/components/*"))
	must(t, err)
	for _, dir := range components {
		if !strings.Contains(text, "- ../../components/"+filepath.Base(dir)+"\n") {
			t.Errorf("the overlay does not know %s", dir)
		}
	}
	kustomize(t, "kubernetes/base")
}

// TestRestoreDrill: the job of the restore drill is what the API's types have, and is as
// confined as the rest.
func TestRestoreDrill(t *testing.T) {
	o := decode(t, read(t, filepath.Join(deploy, "kubernetes/restore-drill-cronjob.yaml")))
	if len(o.jobs) != 1 || len(o.policies) != 1 || len(o.configs) != 1 {
		t.Fatalf("%d jobs, %d policies, %d ConfigMaps", len(o.jobs), len(o.policies), len(o.configs))
	}
	pod := o.jobs[0].Spec.JobTemplate.Spec.Template.Spec
	isConfined(t, "the drill", pod.Containers[0])
	if *pod.AutomountServiceAccountToken || !*pod.SecurityContext.RunAsNonRoot || pod.HostNetwork {
		t.Errorf("the drill's pod: %v", pod.SecurityContext)
	}
}

// TestVolumeByHand: the volume in the instructions is one, and is that of the claim.
func TestVolumeByHand(t *testing.T) {
	text := string(read(t, filepath.Join(root, "docs/install-kubernetes.md")))
	_, text, _ = strings.Cut(text, "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	volume := decodeOne[*corev1.PersistentVolume](t, []byte(text))
	claims := decode(t, variant{remediator: true}.kustomize(t)).claims
	if ref := volume.Spec.ClaimRef; ref.Name != claims[0].Name || ref.Namespace != claims[0].Namespace {
		t.Errorf("the volume is for %s/%s", ref.Namespace, ref.Name)
	}
	if have, want := volume.Spec.Capacity[corev1.ResourceStorage], claims[0].Spec.Resources.Requests[corev1.ResourceStorage]; have.Cmp(want) < 0 {
		t.Errorf("the volume has %v, and the claim wants %v", have, want)
	}
}
