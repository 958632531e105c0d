// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// certificateAge is how long a server certificate that was seen is served before
// the endpoint is asked for a fresh handshake.
const certificateAge = 10 * time.Minute

// dialer opens every connection to one endpoint, plain or TLS, for gRPC and HTTP
// alike. It reads no proxy variable, and remembers the certificates it was shown.
type dialer struct {
	address string // host:port
	host    string
	tls     bool
	secrets *secrets
	allowed func(netip.Addr) error // nil: a configured endpoint, anything goes

	mu        sync.Mutex
	chain     []*x509.Certificate // leaf first
	chainRead time.Time
	chainErr  error
}

func newDialer(u *url.URL, s *secrets, allowed func(netip.Addr) error) *dialer {
	return &dialer{address: u.Host, host: u.Hostname(), tls: u.Scheme == "https", secrets: s, allowed: allowed}
}

// tcp opens a TCP connection. A discovered host name is checked after it has
// been resolved, so that no answer of a name server leads elsewhere.
func (d *dialer) tcp(ctx context.Context) (net.Conn, error) {
	nd := net.Dialer{KeepAlive: 30 * time.Second}
	if d.allowed != nil {
		nd.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return d.allowed(at.Addr())
		}
	}
	conn, err := nd.DialContext(ctx, "tcp", d.address)
	return conn, err
}

// secure performs the TLS handshake, with protocol as the only ALPN offer.
func (d *dialer) secure(ctx context.Context, raw net.Conn, protocol string) (net.Conn, error) {
	conf, _, _, err := d.secrets.current()
	if err != nil {
		return nil, err
	}
	conf = conf.Clone()
	conf.NextProtos = []string{protocol}
	if conf.ServerName == "" {
		conf.ServerName = d.host
	}
	conn := tls.Client(raw, conf)
	err = conn.HandshakeContext(ctx)
	var untrusted *tls.CertificateVerificationError
	switch {
	case err == nil:
		d.seen(conn.ConnectionState().PeerCertificates)
	case errors.As(err, &untrusted):
		d.seen(untrusted.UnverifiedCertificates)
	}
	if err != nil {
		return nil, fmt.Errorf("TLS handshake with %s: %w", d.address, err)
	}
	return conn, nil
}

// connect opens a connection for HTTP/1.1.
func (d *dialer) connect(ctx context.Context) (net.Conn, error) {
	raw, err := d.tcp(ctx)
	if err != nil || !d.tls {
		return raw, err
	}
	conn, err := d.secure(ctx, raw, "http/1.1")
	if err != nil {
		_ = raw.Close()
	}
	return conn, err
}

// speaksTLS asks whether a plain endpoint would answer a TLS handshake.
func (d *dialer) speaksTLS(ctx context.Context) bool {
	raw, err := d.tcp(ctx)
	if err != nil {
		return false
	}
	defer raw.Close()
	//nolint:gosec // nothing is sent: only whether a TLS server answers is of interest
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, ServerName: d.host})
	err = conn.HandshakeContext(ctx)
	var op *net.OpError
	return err == nil || errors.As(err, &op) && op.Op == "remote error"
}

// certificates gives the chain the endpoint presents. A connection made within
// certificateAge has shown it already; else one handshake is made for it.
func (d *dialer) certificates(ctx context.Context) ([]*x509.Certificate, error) {
	d.mu.Lock()
	chain, err, fresh := d.chain, d.chainErr, time.Since(d.chainRead) < certificateAge
	d.mu.Unlock()
	if fresh || !d.tls {
		return chain, err
	}
	raw, err := d.tcp(ctx)
	if err != nil { // no handshake was made: the next scrape may try again
		return nil, err
	}
	defer raw.Close()
	conf := &tls.Config{ServerName: d.host, InsecureSkipVerify: true} //nolint:gosec // an untrusted or expired leaf is to be read too
	if own, _, _, err := d.secrets.current(); err == nil {
		conf.Certificates = own.Certificates
		if own.ServerName != "" {
			conf.ServerName = own.ServerName
		}
	}
	var seen []*x509.Certificate
	conf.VerifyConnection = func(state tls.ConnectionState) error {
		seen = state.PeerCertificates
		return nil
	}
	if err = tls.Client(raw, conf).HandshakeContext(ctx); len(seen) > 0 {
		err = nil // with TLS 1.2 a server may refuse us after it has shown itself
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chain, d.chainErr, d.chainRead = seen, err, time.Now()
	return seen, err
}

func (d *dialer) seen(chain []*x509.Certificate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chain, d.chainErr, d.chainRead = chain, nil, time.Now()
}
