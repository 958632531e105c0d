// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"path"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// isHardened looks at what the pods may do.
func (o *objects) isHardened(t *testing.T, v variant) {
	t.Helper()
	for name, d := range o.deployments {
		pod := d.Spec.Template.Spec
		onControlPlane(t, name, pod)
		if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || pod.HostPID || pod.HostIPC {
			t.Errorf("%s has a token, or the host's processes", name)
		}
		security := pod.SecurityContext
		if security.SeccompProfile == nil || security.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: seccomp is %v", name, security.SeccompProfile)
		}
		// Only kubeadm's key has to be read as root.
		asRoot := name == exporter && !v.own
		if *security.RunAsUser == 0 != asRoot || (security.RunAsNonRoot != nil && *security.RunAsNonRoot) == asRoot {
			t.Errorf("%s runs as user %d", name, *security.RunAsUser)
		}
		if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 {
			t.Errorf("%s has %d containers", name, len(pod.Containers))
		}
		isConfined(t, name, pod.Containers[0])
		volumesAreReadOnly(t, name, pod, asRoot)
		if v.open && name == exporter {
			continue
		}
		if !slices.Contains(pod.Containers[0].Args, "--web.config.file=/etc/etcdops/web/web.yml") {
			t.Errorf("%s is served without TLS: %v", name, pod.Containers[0].Args)
		}
	}
	if d := o.deployments[remediator]; d != nil && !slices.Contains(d.Spec.Template.Spec.Containers[0].Args, "--mode=plan") {
		t.Errorf("the remediator's arguments are %v", d.Spec.Template.Spec.Containers[0].Args)
	}
}

func onControlPlane(t *testing.T, name string, pod corev1.PodSpec) {
	t.Helper()
	const label = "node-role.kubernetes.io/control-plane"
	taint := corev1.Taint{Key: label, Effect: corev1.TaintEffectNoSchedule}
	_, selected := pod.NodeSelector[label]
	tolerated := slices.ContainsFunc(pod.Tolerations, func(toleration corev1.Toleration) bool {
		return toleration.Key == taint.Key && toleration.Operator == corev1.TolerationOpExists && toleration.Effect == taint.Effect
	})
	if !selected || !tolerated || !pod.HostNetwork || pod.DNSPolicy != corev1.DNSClusterFirstWithHostNet {
		t.Errorf("%s does not run beside etcd: selector %v, tolerations %v, host network %t, DNS %s",
			name, pod.NodeSelector, pod.Tolerations, pod.HostNetwork, pod.DNSPolicy)
	}
}

func isConfined(t *testing.T, name string, c corev1.Container) {
	t.Helper()
	s := c.SecurityContext
	if s == nil || s.Privileged != nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
		s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		t.Fatalf("%s: the security context is %v", name, s)
	}
	if s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) != 0 {
		t.Errorf("%s: the capabilities are %v", name, s.Capabilities)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s: the resources are %v", name, c.Resources)
	}
	if _, tag, tagged := strings.Cut(path.Base(c.Image), ":"); !tagged || tag == "latest" || len(c.Env) != 0 || len(c.EnvFrom) != 0 {
		t.Errorf("%s: image %s, environment %v %v", name, c.Image, c.Env, c.EnvFrom)
	}
}

// volumesAreReadOnly: only the journal's is written to; of the host there are three
// files and no directory; a Secret is nobody's but the program's.
func volumesAreReadOnly(t *testing.T, name string, pod corev1.PodSpec, kubeadm bool) {
	t.Helper()
	for _, m := range pod.Containers[0].VolumeMounts {
		if m.ReadOnly == (m.Name == "state") {
			t.Errorf("%s: %s is mounted read-only: %t", name, m.Name, m.ReadOnly)
		}
	}
	var host []string
	for _, volume := range pod.Volumes {
		if h := volume.HostPath; h != nil {
			host = append(host, h.Path)
			if *h.Type != corev1.HostPathFile {
				t.Errorf("%s: %s is a %s", name, h.Path, *h.Type)
			}
		}
		if s := volume.Secret; s != nil {
			want := int32(0o400)
			if pod.SecurityContext.FSGroup != nil {
				want = 0o440
			}
			if s.DefaultMode == nil {
				t.Errorf("%s: everybody may read the Secret %s", name, s.SecretName)
			} else if *s.DefaultMode != want {
				t.Errorf("%s: the Secret %s has the mode %o, want %o", name, s.SecretName, *s.DefaultMode, want)
			}
		}
	}
	var want []string
	if kubeadm {
		want = []string{"/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/etcd/healthcheck-client.crt", "/etc/kubernetes/pki/etcd/healthcheck-client.key"}
	}
	if !slices.Equal(host, want) {
		t.Errorf("%s has %v of its host, want %v", name, host, want)
	}
}
