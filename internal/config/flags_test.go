// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFromFlags(t *testing.T) {
	dir := secretDir(t)
	t.Chdir(dir)
	v, err := FromFlags(Flags{})
	if err != nil {
		t.Fatal(err)
	}
	if c := v.Clusters[0]; c.Name != "default" || !reflect.DeepEqual(c.Endpoints, []string{"http://127.0.0.1:2379"}) || c.ProbeKey != "health" || len(c.Keyspaces) != 2 || c.Backups != nil {
		t.Errorf("defaults: %+v", c)
	}
	v, err = FromFlags(Flags{
		Endpoints: []string{"https://A:1, https://b:2/,", "https://c:3"}, EndpointsSet: true, Discover: true,
		CAFile: "ca.crt", CertFile: "client.crt", KeyFile: "client.key", ServerName: "etcd",
		Username: "root", PasswordFile: "password", ProbeKey: "/k", BackupPaths: []string{"snaps", "/b/*.db"}, BackupInterval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	cwd, err := os.Getwd() // as the package sees it: the temporary directory may be a link
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(cwd, name) }
	want := Cluster{
		Name: "default", Endpoints: []string{"https://a:1", "https://b:2", "https://c:3"}, Discover: true, ProbeKey: "/k",
		TLS:       TLS{CAFile: in("ca.crt"), CertFile: in("client.crt"), KeyFile: in("client.key"), ServerName: "etcd"},
		Auth:      Auth{Username: "root", PasswordFile: in("password")},
		Keyspaces: v.Clusters[0].Keyspaces,
		Backups: []Backup{
			{Name: "snaps", Path: in("snaps"), Pattern: "*.db", Interval: time.Hour, CheckInterval: 30 * time.Second, Verify: true},
			{Name: "/b/*.db", Path: "/b/*.db", Glob: true, Pattern: "*.db", Interval: time.Hour, CheckInterval: 30 * time.Second, Verify: true},
		},
	}
	if !v.Clusters[0].Equal(want) {
		t.Errorf("got  %+v\nwant %+v", v.Clusters[0], want)
	}
}

func TestFromFlagsFaults(t *testing.T) {
	t.Chdir(secretDir(t))
	https := []string{"https://h:1"}
	for _, test := range []struct {
		name  string
		flags Flags
		want  string
	}{
		{"no scheme", Flags{Endpoints: []string{"http://a:1,h:2379"}}, `0 --etcd.endpoints: "h:2379" has no scheme`},
		{"nothing but commas", Flags{Endpoints: []string{" , "}, EndpointsSet: true}, "0 --etcd.endpoints: at least one client URL"},
		{"password in the URL", Flags{Endpoints: []string{"https://root:hunter2@h:1"}}, "0 --etcd.endpoints: must not hold a user"},
		{"twice", Flags{Endpoints: []string{"https://h:1", "https://H:1/"}}, `0 --etcd.endpoints: "https://h:1" is given twice: each`},
		{"tls for http", Flags{CAFile: "ca.crt"}, "0 --etcd.ca-file: every endpoint is http://"},
		{"cert alone", Flags{Endpoints: https, CertFile: "client.crt"}, "0 --etcd.cert-file: needs --etcd.key-file as well"},
		{"key alone", Flags{Endpoints: https, KeyFile: "client.key"}, "0 --etcd.key-file: needs --etcd.cert-file as well"},
		{"files", Flags{Endpoints: https, CAFile: "no", CertFile: "no", KeyFile: "no"}, "0 --etcd.ca-file: cannot read \"no\"\n0 --etcd.cert-file: cannot read \"no\"\n0 --etcd.key-file: cannot read the file it names"},
		{"server name", Flags{Endpoints: https, ServerName: "a b"}, "0 --etcd.server-name: neither"},
		{"user alone", Flags{Username: "root"}, "0 --etcd.username: needs --etcd.password-file as well"},
		{"password alone", Flags{PasswordFile: "password"}, "0 --etcd.password-file: needs --etcd.username as well"},
		{"password pasted", Flags{Username: "root", PasswordFile: "hunter2"}, "0 --etcd.password-file: cannot read the file it names"},
		{"backups", Flags{BackupPaths: []string{"", "/b/[", "/c", "/c"}}, "0 --backup.path: is empty\n0 --backup.path: no valid pattern\n0 --backup.path: given twice"},
		{"interval", Flags{BackupPaths: []string{"/b"}, BackupIntervalSet: true}, "0 --backup.interval: must be above zero"},
		{"negative interval", Flags{BackupPaths: []string{"/b"}, BackupInterval: -1}, "0 --backup.interval: must be above zero"},
		{"no manifest", Flags{KubeadmManifest: "none.yaml"}, `0 --etcd.kubeadm-manifest: cannot read "none.yaml": no such file`},
		{"manifest is no YAML", Flags{KubeadmManifest: "broken.yml"}, `0 --etcd.kubeadm-manifest: "broken.yml" line 2: not valid YAML`},
		{"manifest is text", Flags{KubeadmManifest: "garbage"}, `0 --etcd.kubeadm-manifest: "garbage" is not a Pod manifest`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := FromFlags(test.flags)
			wantFaults(t, err, test.want)
		})
	}
}

// hostManifest writes a manifest whose host paths lie in dir.
func hostManifest(t *testing.T, dir string) string {
	t.Helper()
	return write(t, dir, "etcd.yaml", edit(t, manifest(t),
		"      path: /etc/kubernetes/pki/etcd", "      path: "+dir, "      path: /var/lib/etcd", "      path: "+filepath.Join(dir, "data")), 0o644)
}

func TestFromFlagsKubeadm(t *testing.T) {
	dir := secretDir(t)
	name := hostManifest(t, dir)
	in := func(name string) string { return filepath.Join(dir, name) }

	_, err := FromFlags(Flags{KubeadmManifest: name})
	if err == nil || !strings.HasPrefix(err.Error(), "--etcd.kubeadm-manifest: ") || !strings.Contains(err.Error(), "healthcheck-client.crt") {
		t.Errorf("missing pair: %v", err)
	}

	writePair(t, dir, "healthcheck-client", 0o600)
	if err := os.Mkdir(in("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	v, err := FromFlags(Flags{KubeadmManifest: name, Endpoints: []string{DefaultEndpoint}})
	if err != nil {
		t.Fatal(err)
	}
	c := v.Clusters[0]
	if want := (TLS{CAFile: in("ca.crt"), CertFile: in("healthcheck-client.crt"), KeyFile: in("healthcheck-client.key")}); c.TLS != want {
		t.Errorf("got %+v, want %+v", c.TLS, want)
	}
	if c.Endpoints[0] != "https://10.0.0.1:2379" || c.DataDirs["https://10.0.0.1:2379"] != in("data") {
		t.Errorf("got %q, %q", c.Endpoints, c.DataDirs)
	}

	v, err = FromFlags(Flags{
		KubeadmManifest: name, Endpoints: []string{"https://h:1"}, EndpointsSet: true,
		CertFile: in("client.crt"), KeyFile: in("client.key"), ServerName: "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	c = v.Clusters[0]
	if want := (TLS{CAFile: in("ca.crt"), CertFile: in("client.crt"), KeyFile: in("client.key"), ServerName: "x"}); c.TLS != want || c.Endpoints[0] != "https://h:1" || c.DataDirs != nil {
		t.Errorf("explicit flags do not win: %+v", c)
	}

	_, err = FromFlags(Flags{KubeadmManifest: name, CertFile: in("client.crt")})
	wantFaults(t, err, "0 --etcd.cert-file: needs --etcd.key-file as well")
	write(t, dir, "ca.crt", "swordfish", 0o644)
	_, err = FromFlags(Flags{KubeadmManifest: name})
	wantFaults(t, err, "0 --etcd.kubeadm-manifest: holds no PEM certificate")
}
