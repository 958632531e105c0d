// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"crypto/x509"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
)

var tlsMetrics = []Metric{
	gauge("certificate_not_after_timestamp_seconds", "Unix time at which a certificate expires. role: server (leaf that the endpoint presents, read even when expired or untrusted), peer (leaf at a member's peer URL), issuer (each CA in the endpoint's chain, and of the CA file with an empty url), client (the exporter's own, url empty).", "role", "url", "subject"),
}

type certificates struct {
	subject
	deps Deps
}

func newTLS(d Deps) Collector {
	return &certificates{newSubject("tls", "When certificates expire (at most one handshake an endpoint in 10 minutes).", tlsMetrics), d}
}

// presented is the chain shown at one URL.
type presented struct {
	role, url string
	chain     []*x509.Certificate
	err       error
}

func (c *certificates) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	b := c.batch()
	sides := []func(context.Context, *etcd.View) []presented{c.servers, c.peers}
	chains := etcd.Each(sides, func(side func(context.Context, *etcd.View) []presented) []presented { return side(ctx, view) })
	for _, p := range slices.Concat(chains...) {
		// A URL that cannot be reached is no fault of this collector: endpoint_up
		// tells it, and a peer port may be closed to us.
		if p.err == nil && len(p.chain) > 0 {
			addCertificates(b, p)
		}
	}
	if c.deps.Certificates != nil {
		leaf, cas := c.deps.Certificates()
		if leaf != nil {
			addCertificate(b, "client", "", leaf)
		}
		for _, ca := range earliest(cas) {
			addCertificate(b, "issuer", "", ca)
		}
	}
	return b.done()
}

// servers reads the certificates of the endpoints. One that was seen minutes ago is
// not served for an endpoint that is gone; one that is up and not trusted, or does
// not trust us, is what this collector is there for.
func (c *certificates) servers(ctx context.Context, view *etcd.View) []presented {
	return etcd.Each(view.Endpoints(), func(e etcd.Endpoint) presented {
		chain, err := view.ServerCertificates(ctx, e)
		if _, down := view.Status(ctx, e); down != nil {
			if reason := view.Failure(e, down); reason != etcd.ReasonTLS && reason != etcd.ReasonAuth {
				err = down
			}
		}
		return presented{"server", e.URL, chain, err}
	})
}

// peers reads the certificates of the peer URLs. The member list of an earlier
// scrape will do, so that a hanging endpoint does not use up the time.
func (c *certificates) peers(ctx context.Context, view *etcd.View) []presented {
	if c.deps.PeerCertificates == nil {
		return nil
	}
	list, ok := view.LastMembers()
	if !ok {
		membership, err := view.Members(ctx)
		if err != nil {
			return nil
		}
		list = membership.MemberList
	}
	type at struct {
		member etcd.Member
		url    string
	}
	var all []at
	for _, m := range list.Members {
		for _, u := range m.PeerURLs {
			all = append(all, at{m, u})
		}
	}
	return etcd.Each(all, func(a at) presented {
		chain, err := c.deps.PeerCertificates(ctx, a.member, a.url)
		return presented{"peer", a.url, chain, err}
	})
}

// addCertificates adds the leaf under the chain's role and the rest as issuers.
func addCertificates(b *batch, p presented) {
	addCertificate(b, p.role, p.url, p.chain[0])
	for _, ca := range earliest(p.chain[1:]) {
		addCertificate(b, "issuer", p.url, ca)
	}
}

func addCertificate(b *batch, role, url string, cert *x509.Certificate) {
	b.add("certificate_not_after_timestamp_seconds", float64(cert.NotAfter.Unix()), role, url, subjectOf(cert))
}

// earliest leaves one certificate a subject, the one that expires first: during a
// rotation the old and the new CA have the same name.
func earliest(certs []*x509.Certificate) map[string]*x509.Certificate {
	first := map[string]*x509.Certificate{}
	for _, cert := range certs {
		name := subjectOf(cert)
		if known := first[name]; known == nil || cert.NotAfter.Before(known.NotAfter) {
			first[name] = cert
		}
	}
	return first
}

// subjectOf is the distinguished name, or the first alternative name where a
// certificate has no other.
func subjectOf(cert *x509.Certificate) string {
	switch name := cert.Subject.String(); {
	case name != "":
		return name
	case len(cert.DNSNames) > 0:
		return cert.DNSNames[0]
	case len(cert.IPAddresses) > 0:
		return cert.IPAddresses[0].String()
	default:
		return ""
	}
}
