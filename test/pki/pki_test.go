// SPDX-License-Identifier: Apache-2.0

package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/pki"
)

func newCA(t *testing.T) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA("test CA")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// verify checks a pair as a client of host (or a server, without one) would.
func verify(t *testing.T, ca *pki.CA, pair pki.Pair, host string, usage x509.ExtKeyUsage) error {
	t.Helper()
	loaded, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	_, err = loaded.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestServer(t *testing.T) {
	ca := newCA(t)
	pair, err := ca.Server(pki.Spec{CommonName: "m0", Hosts: append(pki.Loopback(), "etcd.example.org")})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1", "localhost", "etcd.example.org"} {
		if err := verify(t, ca, pair, host, x509.ExtKeyUsageServerAuth); err != nil {
			t.Error(err)
		}
	}
	if err := verify(t, ca, pair, "other.example.org", x509.ExtKeyUsageServerAuth); !errors.As(err, new(x509.HostnameError)) {
		t.Errorf("another host: %v", err)
	}
	if err := verify(t, newCA(t), pair, "localhost", x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("another CA of the same name accepts the certificate")
	}
}

func TestClient(t *testing.T) {
	ca := newCA(t)
	pair, err := ca.Client(pki.Spec{CommonName: "reader", Hosts: []string{"dropped.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(t, ca, pair, "", x509.ExtKeyUsageClientAuth); err != nil {
		t.Error(err)
	}
	if err := verify(t, ca, pair, "", x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("a client certificate serves as a server's")
	}
	loaded, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	if leaf := loaded.Leaf; leaf.Subject.CommonName != "reader" || len(leaf.DNSNames) > 0 {
		t.Errorf("subject %s, names %q", leaf.Subject, leaf.DNSNames)
	}
}

func TestValidity(t *testing.T) {
	ca := newCA(t)
	now := time.Now()
	for name, test := range map[string]struct {
		spec pki.Spec
		ok   bool
	}{
		"default":       {pki.Spec{}, true},
		"expired":       {pki.Spec{NotAfter: now.Add(-time.Minute)}, false},
		"not yet valid": {pki.Spec{NotBefore: now.Add(time.Hour)}, false},
		"expiring soon": {pki.Spec{NotAfter: now.Add(time.Hour)}, true},
	} {
		test.spec.Hosts = pki.Loopback()
		pair, err := ca.Server(test.spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(t, ca, pair, "localhost", x509.ExtKeyUsageServerAuth); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteReplacesFiles(t *testing.T) {
	ca := newCA(t)
	dir := filepath.Join(t.TempDir(), "deep")
	cert, key := filepath.Join(dir, "c.crt"), filepath.Join(dir, "c.key")
	for range 2 {
		pair, err := ca.Client(pki.Spec{CommonName: "c"})
		if err != nil {
			t.Fatal(err)
		}
		if err := pair.Write(cert, key); err != nil {
			t.Fatal(err)
		}
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
