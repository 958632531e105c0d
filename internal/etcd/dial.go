// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// certificateAge is how long a server certificate that was seen is served before
// the endpoint is asked for a fresh handshake.
const (
	certificateAge      = 10 * time.Minute
	certificateRetryAge = time.Minute // after a handshake that showed none

	// probeTime bounds the look at what an endpoint speaks instead.
	probeTime = time.Second
	// preface begins an HTTP/2 connection; an empty SETTINGS frame follows it.
	preface       = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	settingsFrame = 4
)

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
	chainErr  error
	chainNext time.Time // when a fresh handshake is due
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
	return nd.DialContext(ctx, "tcp", d.address)
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
		d.keep(conn.ConnectionState().PeerCertificates, nil)
	case errors.As(err, &untrusted):
		d.keep(untrusted.UnverifiedCertificates, nil)
	}
	if err == nil {
		return conn, nil
	}
	if !isEnded(err) && !isCut(err) {
		err = &tlsError{err}
	}
	return nil, fmt.Errorf("TLS handshake with %s: %w", d.address, err)
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

// diagnose looks for the reason of a connection that did not come to be, where
// its error does not tell: an endpoint that hangs up may speak the other of TLS
// and plain.
func (d *dialer) diagnose(ctx context.Context, err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" { // not even TCP
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	switch {
	case !d.tls && d.speaksTLS(ctx):
		return errSpeaksTLS
	case d.tls && isCut(err) && d.speaksPlain(ctx):
		return errSpeaksPlain
	default:
		return err
	}
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

// speaksPlain asks whether a TLS endpoint answers HTTP/2 (or with an HTTP/1
// refusal of it) in the clear.
func (d *dialer) speaksPlain(ctx context.Context) bool {
	raw, err := d.tcp(ctx)
	if err != nil {
		return false
	}
	defer raw.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = raw.SetDeadline(deadline)
	}
	answer := make([]byte, 5)
	if _, err = io.WriteString(raw, preface); err == nil {
		_, err = io.ReadFull(raw, answer)
	}
	return err == nil && (string(answer) == "HTTP/" || answer[3] == settingsFrame)
}

// certificates gives the chain the endpoint presents. A connection made within
// certificateAge has shown it already; else one handshake is made for it.
func (d *dialer) certificates(ctx context.Context) ([]*x509.Certificate, error) {
	d.mu.Lock()
	chain, err, fresh := d.chain, d.chainErr, time.Now().Before(d.chainNext)
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
		conf.GetClientCertificate = own.GetClientCertificate
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
	d.keep(seen, err)
	return seen, err
}

func (d *dialer) keep(chain []*x509.Certificate, err error) {
	age := certificateAge
	if err != nil {
		age = certificateRetryAge
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chain, d.chainErr, d.chainNext = chain, err, time.Now().Add(age)
}
