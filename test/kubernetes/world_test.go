// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"os"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

// world is what has to be there before anything is installed: kubeadm's files on the
// host, and the Secrets of docs/install-kubernetes.md.
type world struct {
	lab      *lab.Lab
	host     map[string][]byte
	secrets  map[string]map[string][]byte
	endpoint string // of etcd
}

// newWorld makes one around a member of etcd.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldWith(t, lab.Options{Members: 1})
}

func newWorldWith(t testing.TB, options lab.Options) *world {
	t.Helper()
	l, err := lab.Start(t.Context(), options)
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	const dir = "/etc/kubernetes/pki/etcd/"
	w := &world{lab: l, endpoint: l.Endpoints()[0], host: map[string][]byte{
		dir + "ca.crt":                 read(t, l.CAFile()),
		dir + "healthcheck-client.crt": read(t, l.ClientCert()),
		dir + "healthcheck-client.key": read(t, l.ClientKey()),
	}}
	issue := func(name string) map[string][]byte {
		pair, err := l.CA().Client(pki.Spec{CommonName: name})
		must(t, err)
		return map[string][]byte{"ca.crt": l.CA().PEM(), "tls.crt": pair.Cert, "tls.key": pair.Key}
	}
	w.secrets = map[string]map[string][]byte{"etcd-exporter-etcd": issue("etcdops-exporter"), "etcd-remediator-etcd": issue("etcdops-remediator")}
	for _, made := range []map[string]map[string][]byte{
		instructions(t, "2. Namespace and Secrets", "etcd-exporter-web"),
		instructions(t, "The remediator", "etcd-remediator-web"),
	} {
		for name, secret := range made {
			if name, ours := strings.CutPrefix(name, "etcdops/"); ours {
				w.secrets[name] = secret
			}
		}
	}
	return w
}

// adapt puts the lab's address in the place of the one that a user has to edit.
func (w *world) adapt(config string) string {
	return strings.ReplaceAll(config, "https://10.0.0.1:2379", w.endpoint)
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	return content
}
