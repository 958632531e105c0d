// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/etcdops/etcdops/test/stack"
)

// pod is a container on this machine: what it mounts lies in a directory, whose name
// stands before every path, and it runs as the user and with the rights that its
// manifest gives it, where the test is root's.
type pod struct {
	t       testing.TB
	dir     string
	program string
	spec    corev1.PodSpec
}

// newPod makes the volumes of a program's pod.
func newPod(t testing.TB, o *objects, name string, w *world) *pod {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcdops-pod-") //nolint:usetesting // t.TempDir is root's alone
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	p := &pod{t: t, dir: dir, program: filepath.Join(programs, strings.ReplaceAll(name, "-", "_")), spec: o.deployments[name].Spec.Template.Spec}
	for _, mount := range p.spec.Containers[0].VolumeMounts {
		for _, volume := range p.spec.Volumes {
			if volume.Name == mount.Name {
				p.mount(o, w, volume, filepath.Join(dir, mount.MountPath))
			}
		}
	}
	return p
}

func (p *pod) mount(o *objects, w *world, volume corev1.Volume, at string) {
	p.t.Helper()
	must(p.t, os.MkdirAll(filepath.Dir(at), 0o755))
	switch {
	case volume.HostPath != nil:
		content, there := w.host[volume.HostPath.Path]
		if !there {
			p.t.Fatalf("the host has no %s", volume.HostPath.Path)
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(volume.HostPath.Path, ".key") {
			mode = 0o600
		}
		must(p.t, os.WriteFile(at, content, mode))
	case volume.Secret != nil:
		for key, content := range w.secrets[volume.Secret.SecretName] {
			p.give(filepath.Join(at, key), content, os.FileMode(*volume.Secret.DefaultMode))
		}
	case volume.ConfigMap != nil:
		for key, text := range o.configs[volume.ConfigMap.Name].Data {
			p.give(filepath.Join(at, key), []byte(p.inside(w.adapt(text))), 0o644)
		}
	case volume.PersistentVolumeClaim != nil:
		must(p.t, os.MkdirAll(at, 0o755))
		p.chown(at)
		must(p.t, os.Chmod(at, 0o775|os.ModeSetgid))
	default:
		p.t.Fatalf("nobody expects the volume %v", volume)
	}
}

// give writes a file of a volume, which belongs to root and the pod's group.
func (p *pod) give(name string, content []byte, mode os.FileMode) {
	p.t.Helper()
	must(p.t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, content, mode), os.Chmod(name, mode))
	p.chown(name)
}

func (p *pod) chown(name string) {
	p.t.Helper()
	if group := p.spec.SecurityContext.FSGroup; group != nil && os.Geteuid() == 0 {
		must(p.t, os.Chown(name, 0, int(*group)))
	}
}

// inside puts the pod's directory before the paths of the container.
func (p *pod) inside(text string) string {
	return strings.NewReplacer("/etc/etcdops/", p.dir+"/etc/etcdops/", "/var/lib/etcd_remediator", p.dir+"/var/lib/etcd_remediator").Replace(text)
}

// args are those of the manifest, on a free port.
func (p *pod) args() (args []string) {
	for _, arg := range p.spec.Containers[0].Args {
		if strings.HasPrefix(arg, "--web.listen-address=") {
			arg = "--web.listen-address=127.0.0.1:0"
		}
		args = append(args, p.inside(arg))
	}
	return args
}

// command runs the program as the container runtime would: this user and no other
// group, no capability, no way to any.
func (p *pod) command(args ...string) *exec.Cmd {
	args = append([]string{p.program}, args...)
	if os.Geteuid() == 0 {
		s := p.spec.SecurityContext
		groups := "--clear-groups"
		if s.FSGroup != nil {
			groups = fmt.Sprintf("--groups=%d", *s.FSGroup)
		}
		args = append([]string{
			"setpriv", "--reuid=" + strconv.FormatInt(*s.RunAsUser, 10), "--regid=" + strconv.FormatInt(*s.RunAsGroup, 10), groups,
			"--bounding-set=-all", "--inh-caps=-all", "--no-new-privs",
		}, args...)
	}
	cmd := exec.CommandContext(context.WithoutCancel(p.t.Context()), args[0], args[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}

var listening = regexp.MustCompile(`Listening on"?,?.*address"?[=:]"?([^\s",}]+)`)

// start starts the program with the arguments of the manifest and gives its address.
func (p *pod) start() (address string) {
	p.t.Helper()
	log := run(p.t, p.command(p.args()...))
	must(p.t, stack.Await(p.t.Context(), 20*time.Second, p.program+" listens", func() error {
		log.alive(p.t)
		found := listening.FindStringSubmatch(log.String())
		if found == nil {
			return fmt.Errorf("its log says\n%s", log)
		}
		address = found[1]
		return nil
	}))
	return address
}
