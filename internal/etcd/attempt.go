// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// lastWords is how long a server's alert is waited for after a failed write.
const lastWords = 200 * time.Millisecond

// attempt is one gRPC connection in the making. gRPC hands on only the text of
// what went wrong, so the dial, the handshake and the first failing read leave
// their typed error here.
type attempt struct {
	dialer *dialer

	mu    sync.Mutex
	spent bool
	first error
}

func (a *attempt) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == nil {
		a.first = err
	}
}

func (a *attempt) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == nil {
		return errors.New("the endpoint does not answer as a gRPC server")
	}
	return a.first
}

// dial is gRPC's context dialer; the address it is given is the dialer's own. It
// dials once: gRPC would go on in the background, on its own schedule, whether or
// not anybody scrapes.
func (a *attempt) dial(ctx context.Context, _ string) (net.Conn, error) {
	a.mu.Lock()
	spent := a.spent
	a.spent = true
	a.mu.Unlock()
	if spent {
		return nil, errors.New("the connection was lost")
	}
	conn, err := a.dialer.tcp(ctx)
	if err != nil {
		a.note(err)
	}
	return conn, err
}

// notedConn reports its first failing read: under TLS 1.3 a server refuses a
// client certificate only after the handshake.
type notedConn struct {
	net.Conn
	note func(error)
}

func (c *notedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.note(err)
	}
	return n, err
}

// Write looks for the server's last words where it fails: gRPC would close the
// connection, and with it lose the alert that says why the server hung up.
func (c *notedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		_ = c.SetReadDeadline(time.Now().Add(lastWords))
		_, _ = c.Read(make([]byte, 1))
		c.note(err)
	}
	return n, err
}

// handshaker are gRPC's transport credentials over our dialer, so that each
// handshake uses the certificates in force at that moment.
type handshaker struct {
	attempt *attempt
}

// ClientHandshake implements credentials.TransportCredentials.
func (h handshaker) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if !h.attempt.dialer.tls {
		return &notedConn{Conn: raw, note: h.attempt.note}, plainInfo{}, nil
	}
	conn, err := h.attempt.dialer.secure(ctx, raw, "h2")
	if err != nil {
		h.attempt.note(err)
		return nil, nil, err
	}
	info := credentials.TLSInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	return &notedConn{Conn: conn, note: h.attempt.note}, info, nil
}

// ServerHandshake implements credentials.TransportCredentials; there is no server.
func (h handshaker) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("etcd: these are a client's credentials")
}

// Info implements credentials.TransportCredentials.
func (h handshaker) Info() credentials.ProtocolInfo {
	if h.attempt.dialer.tls {
		return credentials.ProtocolInfo{SecurityProtocol: "tls"}
	}
	return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
}

// Clone implements credentials.TransportCredentials.
func (h handshaker) Clone() credentials.TransportCredentials { return h }

// OverrideServerName implements credentials.TransportCredentials; the name comes
// from the configuration.
func (h handshaker) OverrideServerName(string) error { return nil }

type plainInfo struct{ credentials.CommonAuthInfo }

// AuthType implements credentials.AuthInfo.
func (plainInfo) AuthType() string { return "insecure" }
