// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/internal/memberflags"
)

// DefaultKubeadmManifest is where kubeadm keeps etcd's static pod manifest.
const DefaultKubeadmManifest = "/etc/kubernetes/manifests/etcd.yaml"

// Kubeadm is what a static pod manifest of etcd says of the member on this
// host. File names are the host's.
type Kubeadm struct {
	Endpoint string // https client URL
	CAFile   string
	CertFile string // kubeadm's healthcheck-client pair, beside the CA; not checked to exist
	KeyFile  string
	DataDir  string // empty when the manifest does not say, or it lies on no host path
	// Settings are the member's, as memberflags gives them.
	Settings map[string]string
}

// Flags gives the exporter's flags that say the same, on one line for a shell.
func (k Kubeadm) Flags() string {
	return strings.Join([]string{
		flagEndpoints + "=" + shellWord(k.Endpoint), flagCA + "=" + shellWord(k.CAFile),
		flagCert + "=" + shellWord(k.CertFile), flagKey + "=" + shellWord(k.KeyFile),
	}, " ")
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(oneLine(s), "'", `'\''`) + "'"
}

// LoadKubeadmManifest reads a manifest. Its error is one line that names the file.
func LoadKubeadmManifest(name string) (Kubeadm, error) {
	data, _, err := readRegular(name, maxConfigBytes)
	if err != nil {
		return Kubeadm{}, fmt.Errorf("cannot read %s: %w", quotePath(name), pathless(err))
	}
	k, err := ParseKubeadmManifest(data)
	if err != nil {
		return Kubeadm{}, fmt.Errorf("%s %w", quotePath(name), err)
	}
	return k, nil
}

// pod is the little of a Pod that is needed.
type pod struct {
	Kind string `yaml:"kind"`
	Spec struct {
		Containers []container `yaml:"containers"`
		Volumes    []volume    `yaml:"volumes"`
	} `yaml:"spec"`
}

type container struct {
	Name         string   `yaml:"name"`
	Command      []string `yaml:"command"`
	Args         []string `yaml:"args"`
	VolumeMounts []struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
		SubPath   string `yaml:"subPath"`
	} `yaml:"volumeMounts"`
}

type volume struct {
	Name     string `yaml:"name"`
	HostPath *struct {
		Path string `yaml:"path"`
	} `yaml:"hostPath"`
}

// ParseKubeadmManifest finds etcd's client URL, CA, client pair and data
// directory in a static pod manifest.
func ParseKubeadmManifest(data []byte) (Kubeadm, error) {
	p, err := decodePod(data)
	if err != nil {
		return Kubeadm{}, err
	}
	c, err := etcdContainer(p)
	if err != nil {
		return Kubeadm{}, err
	}
	words := slices.Concat(c.Command, c.Args)
	flags, _ := memberflags.Parse(words)
	k := Kubeadm{Settings: memberflags.Settings(words)}
	if k.Endpoint, err = manifestEndpoint(flags); err != nil {
		return Kubeadm{}, err
	}
	ca := flags["trusted-ca-file"]
	if ca == "" {
		return Kubeadm{}, errors.New("has no --trusted-ca-file among etcd's flags")
	}
	if k.CAFile, err = hostPath(ca, c, p.Spec.Volumes); err != nil {
		return Kubeadm{}, fmt.Errorf("has a --trusted-ca-file that %w", err)
	}
	k.CertFile = path.Join(path.Dir(k.CAFile), "healthcheck-client.crt")
	k.KeyFile = path.Join(path.Dir(k.CAFile), "healthcheck-client.key")
	if dir := flags["data-dir"]; dir != "" {
		if k.DataDir, err = hostPath(dir, c, p.Spec.Volumes); err != nil {
			k.DataDir = "" // only the free space of its disk goes unseen
		}
	}
	return k, nil
}

// decodePod reads the document. The parser's own errors name Go types, so they
// are not shown.
func decodePod(data []byte) (p pod, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = pod{}, errors.New("is not valid YAML")
		}
	}()
	root, fault := parseYAML(data)
	switch {
	case fault != nil && strings.HasPrefix(fault.Message, "is empty"):
		return p, errors.New("is empty: not a Pod")
	case fault != nil && fault.Line > 0:
		return p, fmt.Errorf("line %d: %s", fault.Line, fault.Message)
	case fault != nil:
		return p, errors.New(fault.Message)
	case root.Kind != yaml.MappingNode || textField(root, "kind") != "Pod":
		return p, errors.New("is not a Pod manifest (kind: Pod)")
	}
	if err := root.Decode(&p); err != nil {
		return pod{}, errors.New("does not have the shape of a Pod: spec.containers with command and args, spec.volumes")
	}
	return p, nil
}

// etcdContainer is the one called etcd, or else the only one.
func etcdContainer(p pod) (container, error) {
	for _, c := range p.Spec.Containers {
		if c.Name == "etcd" {
			return c, nil
		}
	}
	if len(p.Spec.Containers) == 1 {
		return p.Spec.Containers[0], nil
	}
	return container{}, fmt.Errorf("has %d containers, none of them called etcd", len(p.Spec.Containers))
}

// manifestEndpoint takes the first URL that etcd advertises to clients, or
// else the first it listens on.
func manifestEndpoint(flags map[string]string) (string, error) {
	flag := "--advertise-client-urls"
	first, _, _ := strings.Cut(flags["advertise-client-urls"], ",")
	if first = strings.TrimSpace(first); first == "" {
		flag = "--listen-client-urls"
		first, _, _ = strings.Cut(flags["listen-client-urls"], ",")
		first = strings.TrimSpace(first)
	}
	if first == "" {
		return "", errors.New("has neither --advertise-client-urls nor --listen-client-urls among etcd's flags")
	}
	endpoint, err := clientURL(first)
	switch {
	case err != nil:
		return "", fmt.Errorf("has %s whose first URL cannot be used: %w", flag, err)
	case !strings.HasPrefix(endpoint, "https://"):
		return "", fmt.Errorf("has plain http in %s: give %s=%s instead of the manifest", flag, flagEndpoints, endpoint)
	}
	return reachable(endpoint), nil
}

// reachable turns "any address", which an etcd may listen on, into this host.
func reachable(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	a, err := netip.ParseAddr(u.Hostname())
	if err != nil || !a.IsUnspecified() {
		return endpoint
	}
	loopback := "127.0.0.1"
	if a.Is6() {
		loopback = "::1"
	}
	return "https://" + net.JoinHostPort(loopback, u.Port())
}

// hostPath translates a path of the container through its mounts: the longest
// mount path wins; where nothing is mounted the path is taken as it is.
func hostPath(name string, c container, volumes []volume) (string, error) {
	if !path.IsAbs(name) {
		return "", fmt.Errorf("is not an absolute path: %s", quotePath(name))
	}
	name = path.Clean(name)
	best, bestVolume, subPath := "", "", ""
	for _, m := range c.VolumeMounts {
		mount := path.Clean(m.MountPath)
		if path.IsAbs(mount) && within(name, mount) && len(mount) > len(best) {
			best, bestVolume, subPath = mount, m.Name, m.SubPath
		}
	}
	if best == "" {
		return name, nil
	}
	for _, v := range volumes {
		if v.Name == bestVolume && v.HostPath != nil && path.IsAbs(v.HostPath.Path) {
			return path.Join(v.HostPath.Path, path.Clean("/"+subPath), strings.TrimPrefix(name, best)), nil
		}
	}
	return "", fmt.Errorf("lies in the volume %s, which is no hostPath: %s", quote(bestVolume), quotePath(name))
}

// within says whether name is dir or lies below it; both are clean.
func within(name, dir string) bool {
	return name == dir || dir == "/" || strings.HasPrefix(name, dir+"/")
}

// pathless drops the file name from an error that will be given one.
func pathless(err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}
