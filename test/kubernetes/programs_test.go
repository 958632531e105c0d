// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProgramsAccept: both programs accept arguments and configuration of every variant,
// as the user and with the rights of the manifest, and have nothing to warn of.
func TestProgramsAccept(t *testing.T) {
	w := newWorld(t)
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			o := decode(t, v.manifests(t))
			e := newPod(t, o, exporter, w)
			accepts(t, e, append(e.args(), "--config.check")...)
			if v.remediator {
				r := newPod(t, o, remediator, w)
				accepts(t, r, "check-config", r.args()[1])
			}
		})
	}
}

func accepts(t *testing.T, p *pod, args ...string) {
	t.Helper()
	output, err := p.command(args...).CombinedOutput()
	if err != nil || strings.Contains(string(output), "warning") {
		t.Errorf("%s %q: %v\n%s", filepath.Base(p.program), args, err, output)
	}
}

// TestRootWithoutCapabilities: why the exporter is root where it has kubeadm's key, and
// that this root may read nothing that is another's.
func TestRootWithoutCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	w := newWorld(t)
	o := decode(t, variant{operator: true}.kustomize(t))
	p := newPod(t, o, exporter, w)
	check := func() string {
		output, err := p.command(append(p.args(), "--config.check")...).CombinedOutput()
		if err == nil {
			return ""
		}
		return string(output)
	}
	if refused := check(); refused != "" {
		t.Errorf("root's key, as root: %s", refused)
	}
	key := filepath.Join(p.dir, "etc/etcdops/tls/tls.key")
	must(t, os.Chown(key, 65532, 65532))
	if refused := check(); !strings.Contains(refused, "permission denied") {
		t.Errorf("another's key, as root without a capability: %q", refused)
	}
	must(t, os.Chown(key, 0, 0))
	*p.spec.SecurityContext.RunAsUser, *p.spec.SecurityContext.RunAsGroup = 65532, 65532
	if refused := check(); !strings.Contains(refused, "permission denied") {
		t.Errorf("root's key, as another: %q", refused)
	}
}
