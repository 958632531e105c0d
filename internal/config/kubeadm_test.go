// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func manifest(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "kubeadm.yml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// edit replaces every second text by its neighbour, and insists that each is there.
func edit(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the manifest holds no %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

func TestParseKubeadmManifest(t *testing.T) {
	const pki = "/etc/kubernetes/pki/etcd/"
	usual := Kubeadm{"https://10.0.0.1:2379", pki + "ca.crt", pki + "healthcheck-client.crt", pki + "healthcheck-client.key", "/var/lib/etcd", nil}
	moved := Kubeadm{"https://10.0.0.1:2379", "/srv/pki/ca.crt", "/srv/pki/healthcheck-client.crt", "/srv/pki/healthcheck-client.key", "/var/lib/etcd", nil}
	at := func(k Kubeadm, endpoint, dataDir string) Kubeadm { k.Endpoint, k.DataDir = endpoint, dataDir; return k }
	const caFlag, advertise = "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt\n    image", "    - --advertise-client-urls=https://10.0.0.1:2379\n"
	for _, test := range []struct {
		name  string
		edits []string
		want  Kubeadm
	}{
		{"as kubeadm writes it", nil, usual},
		{"flag and value apart", []string{"--advertise-client-urls=", "--advertise-client-urls\n    - ", "--data-dir=", "-data-dir\n    - "}, usual},
		{"args", []string{"    - etcd\n", "    - etcd\n    args:\n"}, usual},
		{"several advertised", []string{"--advertise-client-urls=", "--advertise-client-urls=https://10.0.0.7:2379,"}, at(usual, "https://10.0.0.7:2379", "/var/lib/etcd")},
		{"listen only", []string{advertise, ""}, at(usual, "https://127.0.0.1:2379", "/var/lib/etcd")},
		{"listen on any", []string{advertise, "", "https://127.0.0.1:2379,", "https://0.0.0.0:2379,"}, at(usual, "https://127.0.0.1:2379", "/var/lib/etcd")},
		{"listen on any, IPv6", []string{advertise, "", "https://127.0.0.1:2379,", "'https://[::]:2379',", "    - --listen-client-urls='", "    - '--listen-client-urls=", "',https://10", ",https://10", "2379\n    - --listen-m", "2379'\n    - --listen-m"}, at(usual, "https://[::1]:2379", "/var/lib/etcd")},
		{"last flag wins", []string{"    - --name=node-1", "    - --advertise-client-urls=https://10.0.0.9:1"}, at(usual, "https://10.0.0.9:1", "/var/lib/etcd")},
		{"other host path", []string{"      path: /etc/kubernetes/pki/etcd", "      path: /srv/pki"}, moved},
		{"mount of a parent", []string{"mountPath: /etc/kubernetes/pki/etcd", "mountPath: /etc/kubernetes", "      path: /etc/kubernetes/pki/etcd", "      path: /srv"}, Kubeadm{"https://10.0.0.1:2379", "/srv/pki/etcd/ca.crt", "/srv/pki/etcd/healthcheck-client.crt", "/srv/pki/etcd/healthcheck-client.key", "/var/lib/etcd", nil}},
		{"longest mount wins", []string{"    volumeMounts:\n", "    volumeMounts:\n    - {mountPath: /, name: etcd-data}\n", "      path: /etc/kubernetes/pki/etcd", "      path: /srv/pki"}, moved},
		{"longest mount wins, last", []string{"      name: etcd-certs\n  host", "      name: etcd-certs\n    - {mountPath: /etc, name: etcd-data}\n  host", "      path: /etc/kubernetes/pki/etcd", "      path: /srv/pki"}, moved},
		{"subPath", []string{"      name: etcd-certs\n  host", "      name: etcd-certs\n      subPath: pki\n  host", "      path: /etc/kubernetes/pki/etcd", "      path: /srv"}, moved},
		{"similar mount", []string{"mountPath: /etc/kubernetes/pki/etcd", "mountPath: /etc/kubernetes/pki/et"}, usual},
		{"no volumes", []string{"    volumeMounts:\n", "    ports: []\n    other:\n"}, usual},
		{"data on an emptyDir", []string{"  - hostPath:\n      path: /var/lib/etcd\n      type: DirectoryOrCreate\n", "  - emptyDir: {}\n"}, at(usual, usual.Endpoint, "")},
		{"only container", []string{"    name: etcd\n    volume", "    name: store\n    volume"}, usual},
		{"two containers", []string{"  containers:\n", "  containers:\n  - {name: sidecar, command: [x, --advertise-client-urls=https://h:1]}\n"}, usual},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseKubeadmManifest([]byte(edit(t, manifest(t), test.edits...)))
			got.Settings = nil // they have a test of their own
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
	for _, test := range []struct {
		name, want string
		edits      []string
	}{
		{"not a Pod", "is not a Pod manifest", []string{"kind: Pod", "kind: Job"}},
		{"no etcd container", "has 2 containers, none of them called etcd", []string{"    name: etcd\n    volume", "    name: a\n    volume", "  containers:\n", "  containers:\n  - {name: sidecar}\n"}},
		{"no URL", "has neither --advertise-client-urls nor", []string{"advertise-client-urls=", "a=", "listen-client-urls=", "b="}},
		{"no CA", "has no --trusted-ca-file", []string{"- --trusted-ca-file", "- --x"}},
		{"relative CA", "is not an absolute path", []string{caFlag, "--trusted-ca-file=ca.crt\n    image"}},
		{"CA in a secret", `lies in the volume "etcd-certs", which is no hostPath`, []string{"  - hostPath:\n      path: /etc/kubernetes/pki/etcd\n      type: DirectoryOrCreate\n", "  - secret: {}\n"}},
		{"plain http", "has plain http in --advertise-client-urls: give --etcd.endpoints=http://10.0.0.1:2379", []string{"--advertise-client-urls=https", "--advertise-client-urls=http"}},
		{"variable", "whose first URL cannot be used", []string{"--advertise-client-urls=https://10.0.0.1", "--advertise-client-urls=https://$(IP)"}},
		{"containers is text", "does not have the shape of a Pod", []string{"  containers:\n", "  containers: x\n  y:\n"}},
		{"bad YAML", "line 9: not valid YAML", []string{"  name: etcd\n  namespace", "\tname: etcd\n  namespace"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseKubeadmManifest([]byte(edit(t, manifest(t), test.edits...)))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || goNames.MatchString(err.Error()) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestKubeadmSettings(t *testing.T) {
	for _, test := range []struct {
		name  string
		edits []string
		want  string
	}{
		{"as kubeadm writes it", nil, "map[client-cert-auth:true]"},
		{"args", []string{"    - etcd\n", "    - etcd\n    args:\n"}, "map[client-cert-auth:true]"},
		{"args alone", []string{"  - command:\n    - etcd\n", "  - args:\n"}, "map[client-cert-auth:true]"},
		{"more of them", []string{"    - etcd\n", "    - etcd\n    - --quota-backend-bytes\n    - \"8589934592\"\n"}, "map[client-cert-auth:true quota-backend-bytes:8589934592]"},
		{"a configuration file", []string{"    - etcd\n", "    - etcd\n    - --config-file=/etc/etcd.yml\n"}, "map[]"},
	} {
		k, err := ParseKubeadmManifest([]byte(edit(t, manifest(t), test.edits...)))
		if got := fmt.Sprint(k.Settings); err != nil || got != test.want {
			t.Errorf("%s: %s, %v, want %s", test.name, got, err, test.want)
		}
	}
}

func TestKubeadmFlags(t *testing.T) {
	k, err := LoadKubeadmManifest(filepath.Join("testdata", "kubeadm.yml"))
	if err != nil {
		t.Fatal(err)
	}
	want := "--etcd.endpoints=https://10.0.0.1:2379 --etcd.ca-file=/etc/kubernetes/pki/etcd/ca.crt " +
		"--etcd.cert-file=/etc/kubernetes/pki/etcd/healthcheck-client.crt --etcd.key-file=/etc/kubernetes/pki/etcd/healthcheck-client.key"
	if got := k.Flags(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	k.CAFile = "/a b/$(rm -rf x)'\n"
	if got := k.Flags(); !strings.Contains(got, ` --etcd.ca-file='/a b/$(rm -rf x)'\'' ' `) {
		t.Errorf("not quoted for a shell: %s", got)
	}
}
