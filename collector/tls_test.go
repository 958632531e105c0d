// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// issueCert makes a certificate of that common name; nobody verifies it.
func issueCert(t *testing.T, name string, notAfter time.Time, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: notAfter.Add(-24 * time.Hour), NotAfter: notAfter,
	}
	for _, f := range change {
		f(template)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func certificateSeries(role, subject, url string) string {
	return fmt.Sprintf("certificate_not_after_timestamp_seconds{role=%q,subject=%q,url=%q}", role, subject, url)
}

// TestCertificates: what each kind of chain becomes.
func TestCertificates(t *testing.T) {
	t.Parallel()
	late, soon := time.Unix(2_000_000_000, 0), time.Unix(1_900_000_000, 0)
	expired := time.Unix(1_000_000_000, 0)
	leaf := issueCert(t, "m0", late)
	noName := func(c *x509.Certificate) { c.Subject = pkix.Name{} }
	tests := map[string]struct {
		chain []*x509.Certificate
		want  series
	}{
		"plain endpoint": {nil, series{}},
		"expired leaf": {
			[]*x509.Certificate{issueCert(t, "m0", expired)},
			series{certificateSeries("server", "CN=m0", urlOf(0)): 1e9},
		},
		"chain with its CAs": {
			[]*x509.Certificate{leaf, issueCert(t, "intermediate", soon), issueCert(t, "root", late)},
			series{
				certificateSeries("server", "CN=m0", urlOf(0)):           2e9,
				certificateSeries("issuer", "CN=intermediate", urlOf(0)): 1.9e9,
				certificateSeries("issuer", "CN=root", urlOf(0)):         2e9,
			},
		},
		"two CAs of one subject: the earlier end counts": {
			[]*x509.Certificate{leaf, issueCert(t, "ca", late), issueCert(t, "ca", soon)},
			series{
				certificateSeries("server", "CN=m0", urlOf(0)): 2e9,
				certificateSeries("issuer", "CN=ca", urlOf(0)): 1.9e9,
			},
		},
		"alternative names only": {
			[]*x509.Certificate{issueCert(t, "", late, noName, func(c *x509.Certificate) { c.DNSNames = []string{"m0.example", "m0"} })},
			series{certificateSeries("server", "m0.example", urlOf(0)): 2e9},
		},
		"an address only": {
			[]*x509.Certificate{issueCert(t, "", late, noName, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} })},
			series{certificateSeries("server", "10.0.0.1", urlOf(0)): 2e9},
		},
		"no name at all": {
			[]*x509.Certificate{issueCert(t, "", late, noName)},
			series{certificateSeries("server", "", urlOf(0)): 2e9},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(1)
			w.fakes[0].chain = tt.chain
			got := w.must(t, newTLS(w.deps))
			got.want(t, tt.want)
			if len(got) != len(tt.want) {
				t.Errorf("series are %v", got)
			}
		})
	}
}

// TestOwnAndPeerCertificates: the exporter's own, the CA file's, and the peers';
// a peer that cannot be reached is no fault.
func TestOwnAndPeerCertificates(t *testing.T) {
	t.Parallel()
	end, soon := time.Unix(2_000_000_000, 0), time.Unix(1_900_000_000, 0)
	w := newWorld(2)
	for _, f := range w.fakes {
		f.chain = []*x509.Certificate{issueCert(t, "server", end)}
	}
	own, oldCA, newCA, peer, inter := issueCert(t, "exporter", end), issueCert(t, "ca", soon), issueCert(t, "ca", end), issueCert(t, "peer", end), issueCert(t, "inter", soon)
	asked := map[string]uint64{}
	w.deps.Certificates = func() (*x509.Certificate, []*x509.Certificate) { return own, []*x509.Certificate{newCA, oldCA} }
	w.deps.PeerCertificates = func(_ context.Context, m etcd.Member, peerURL string) ([]*x509.Certificate, error) {
		if m.ID == idOf(1) {
			return nil, errors.New("connection refused")
		}
		asked[peerURL] = m.ID
		return []*x509.Certificate{peer, inter}, nil
	}
	got := w.must(t, newTLS(w.deps))
	got.want(t, series{
		certificateSeries("client", "CN=exporter", ""):              2e9,
		certificateSeries("issuer", "CN=ca", ""):                    1.9e9,
		certificateSeries("peer", "CN=peer", "https://m0:2380"):     2e9,
		certificateSeries("issuer", "CN=inter", "https://m0:2380"):  1.9e9,
		certificateSeries("peer", "CN=peer", "https://m1:2380"):     absent,
		certificateSeries("server", "CN=server", "https://m1:2379"): 2e9,
	})
	if len(got) != 6 {
		t.Errorf("series are %v", got)
	}
	if len(asked) != 1 || asked["https://m0:2380"] != idOf(0) {
		t.Errorf("asked the peers %v", asked)
	}
}

// TestNoClientCertificate: without a pair of its own the exporter has none to tell.
func TestNoClientCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.deps.Certificates = func() (*x509.Certificate, []*x509.Certificate) { return nil, nil }
	if got := w.must(t, newTLS(w.deps)); len(got) != 0 {
		t.Errorf("series are %v", got)
	}
}

// TestPeersWithoutNewMemberList: the list of an earlier scrape will do while the
// members hang.
func TestPeersWithoutNewMemberList(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	peer := issueCert(t, "peer", time.Unix(2_000_000_000, 0))
	w.deps.PeerCertificates = func(context.Context, etcd.Member, string) ([]*x509.Certificate, error) {
		return []*x509.Certificate{peer}, nil
	}
	c := newTLS(w.deps)
	want := series{certificateSeries("peer", "CN=peer", "https://m0:2380"): 2e9}
	w.must(t, c).want(t, want)
	w.fakes[0].fail[qAll] = errRefused
	w.must(t, c).want(t, want)
	if asked := w.calls(qMemberList); asked != 1 {
		t.Errorf("the member list was asked for %d times, want once", asked)
	}
}

// TestCertificateOfDeadEndpoint: a chain seen minutes ago is not served for an
// endpoint that is gone, and is for one that only does not trust us.
func TestCertificateOfDeadEndpoint(t *testing.T) {
	t.Parallel()
	chain := []*x509.Certificate{issueCert(t, "m0", time.Unix(2_000_000_000, 0))}
	name := certificateSeries("server", "CN=m0", urlOf(0))
	for reason, c := range map[string]struct {
		err  error
		want float64
	}{
		"refused": {&etcd.Error{Method: "Status", Code: "Unavailable", Err: syscall.ECONNREFUSED}, absent},
		"tls":     {&etcd.Error{Method: "Status", Code: "Unavailable", Err: &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}}, 2e9},
		"auth":    {refusal("Status", "Unauthenticated", etcd.ErrPermissionDenied), 2e9},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			w := newWorld(1)
			w.fakes[0].chain = chain
			w.fakes[0].fail[qStatus] = c.err
			w.must(t, newTLS(w.deps)).want(t, series{name: c.want})
		})
	}
}
