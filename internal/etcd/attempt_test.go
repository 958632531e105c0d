// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"errors"
	"net"
	"net/url"
	"syscall"
	"testing"
	"time"
)

// gRPC dials again by itself when a connection is lost; an attempt does not.
func TestAttemptDialsOnce(t *testing.T) {
	server := startFake(t, nil)
	u := &url.URL{Scheme: "http", Host: server.address}
	a := &attempt{dialer: newDialer(u, &secrets{cfg: &Config{}}, nil)}
	conn, err := a.dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if again, err := a.dial(t.Context(), ""); err == nil {
		again.Close()
		t.Error("dialed a second time")
	}
}

// hungUp is a connection whose server refused us and closed it.
type hungUp struct {
	net.Conn
	alert error
}

func (hungUp) Write([]byte) (int, error)       { return 0, syscall.EPIPE }
func (h hungUp) Read([]byte) (int, error)      { return 0, h.alert }
func (hungUp) SetReadDeadline(time.Time) error { return nil }

// The alert of a server that refuses our certificate arrives while gRPC writes.
func TestFailedWriteFindsTheAlert(t *testing.T) {
	for _, test := range []struct {
		alert error
		want  Reason
	}{
		{&net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, ReasonTLS},
		{net.ErrClosed, ReasonOther},
	} {
		a := &attempt{}
		if _, err := (&notedConn{Conn: hungUp{alert: test.alert}, note: a.note}).Write(nil); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write = %v", err)
		}
		if got := Classify(a.failure()); got != test.want {
			t.Errorf("reason %s (%v), want %s", got, a.failure(), test.want)
		}
	}
}
