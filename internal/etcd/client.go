// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
)

const (
	// maxAnswer bounds one gRPC answer in bytes. The largest that is asked for is
	// a member list.
	maxAnswer = 1 << 20
	// connBuffer is gRPC's read and write buffer a connection (its default is
	// 32 KiB each): our answers are small, and there may be hundreds of endpoints.
	connBuffer = 4 << 10
)

var errClosed = errors.New("client is closed")

// Client asks one endpoint. It keeps one gRPC connection, made at the first
// question and made anew when it broke, hung, or when the secrets changed.
type Client struct {
	url    *url.URL
	cfg    *Config
	dialer *dialer
	http   *httpSide
	local  bool    // discovered, of a member on our own host
	answer int     // largest answer that is taken, in bytes
	elder  *Client // asks the same endpoint, with the same http and auth token; nil: none

	mu     sync.Mutex
	live   *connection
	held   map[*connection]int // changes under way on it, which it must outlast
	making *making             // nil while nobody makes a connection
	shut   bool
}

// connection is a gRPC connection that was seen to work.
type connection struct {
	client   *clientv3.Client
	token    *token
	version  int                       // of the secrets it was made with
	heard    atomic.Pointer[time.Time] // when the newest answer came; nil: none yet
	renewing chan struct{}             // holds one token while an auth token is fetched
}

func (c *connection) usable(version int) bool {
	return c != nil && c.version == version && c.client.ActiveConnection().GetState() == connectivity.Ready
}

// making is a connection on its way: whoever needs one meanwhile waits for it,
// and shares its failure, so that a wrong password is tried once and not by each
// of the questions of a scrape.
type making struct {
	done chan struct{}
	conn *connection
	err  error
}

// newClient makes a client; it talks to nobody yet. allowed checks the addresses
// of a discovered URL and is nil for a configured one.
func newClient(u *url.URL, cfg *Config, s *secrets, allowed func(netip.Addr) error) (*Client, error) {
	d := newDialer(u, s, allowed)
	side, err := newHTTPSide(u, cfg, d)
	if err != nil {
		return nil, err
	}
	return &Client{url: u, cfg: cfg, dialer: d, http: side, answer: maxAnswer}, nil
}

// connect gives a working connection, within ctx. The error is typed: a refused
// connection is told at once, not after the deadline.
func (c *Client) connect(ctx context.Context) (*connection, error) {
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		_, _, version, err := c.dialer.secrets.current()
		if err != nil {
			return nil, err
		}
		live, m, mine, err := c.join(version)
		switch {
		case err != nil:
			return nil, err
		case live != nil:
			return live, nil
		case mine:
			conn, err := c.make(ctx, version)
			return c.made(m, conn, err)
		}
		select {
		case <-m.done:
			if m.err == nil || !isEnded(m.err) {
				return m.conn, m.err
			}
			// Only its maker's time was up: ours is not.
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// join gives the live connection, or the one that is being made. mine says that
// the caller is the one to make it.
func (c *Client) join(version int) (live *connection, m *making, mine bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.shut:
		return nil, nil, false, errClosed
	case c.live.usable(version):
		return c.live, nil, false, nil
	case c.making != nil:
		return nil, c.making, false, nil
	}
	if old := c.live; old != nil {
		c.live = nil
		c.retireLocked(old)
	}
	c.making = &making{done: make(chan struct{})}
	return nil, c.making, true, nil
}

// made hands a finished connection, or why there is none, to all who wait for it.
func (c *Client) made(m *making, conn *connection, err error) (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.shut {
		_ = conn.client.Close()
		conn, err = nil, errClosed
	}
	m.conn, m.err = conn, err
	c.live, c.making = conn, nil
	close(m.done)
	return conn, err
}

// drop closes a connection, so that the next question makes a new one. Requests
// that others have under way on it are asked again by call.
func (c *Client) drop(old *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == old {
		c.live = nil
	}
	c.retireLocked(old)
}

// giveUp drops the connection unless an answer came over it since that instant:
// it may lead nowhere any more, and TCP would need minutes to find out.
func (c *Client) giveUp(since time.Time) {
	c.mu.Lock()
	live := c.live
	c.mu.Unlock()
	if live == nil {
		return
	}
	if heard := live.heard.Load(); heard == nil || heard.Before(since) {
		c.drop(live)
	}
}

// Close ends the client and its connections.
func (c *Client) Close() {
	c.mu.Lock()
	c.shut = true
	open := slices.Collect(maps.Keys(c.held))
	if c.live != nil {
		open = append(open, c.live)
	}
	c.live = nil
	c.mu.Unlock()
	for _, conn := range open {
		_ = conn.client.Close()
	}
	if c.elder == nil {
		c.http.close()
	}
}

// make dials, waits until the server's HTTP/2 settings have arrived, and
// authenticates where a user is configured.
func (c *Client) make(ctx context.Context, version int) (*connection, error) {
	a := &attempt{dialer: c.dialer}
	t := &token{secure: c.dialer.tls}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:       []string{c.url.String()},
		Context:         context.WithoutCancel(ctx), // it lives until drop, not until the end of this question
		Logger:          zap.NewNop(),
		MaxUnaryRetries: 1, // a question is asked once; call decides on a second try
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(a.dial),
			grpc.WithTransportCredentials(handshaker{a}),
			grpc.WithPerRPCCredentials(t),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(c.answer)),
			grpc.WithMaxHeaderListSize(maxHeader),
			grpc.WithReadBufferSize(connBuffer),
			grpc.WithWriteBufferSize(connBuffer),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: time.Hour, Multiplier: 1, MaxDelay: time.Hour}, // an attempt dials once
				MinConnectTimeout: time.Minute,                                                              // ctx bounds it
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	made := &connection{client: client, token: t, version: version, renewing: make(chan struct{}, 1)}
	err = c.ready(ctx, client.ActiveConnection(), a)
	if err == nil && !c.inherit(t, version) {
		err = c.firstToken(ctx, made)
	}
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	return made, nil
}

// inherit takes over the auth token of the elder's connection, which is good for all
// members: each Authenticate is a raft entry. A stale one is renewed as any other.
func (c *Client) inherit(t *token, version int) bool {
	if c.elder == nil {
		return false
	}
	c.elder.mu.Lock()
	defer c.elder.mu.Unlock()
	if !c.elder.live.usable(version) {
		return false
	}
	t.set(c.elder.live.token.get())
	return t.get() != ""
}

// ready waits until the connection works or has failed.
func (c *Client) ready(ctx context.Context, conn *grpc.ClientConn, a *attempt) error {
	conn.Connect()
	for {
		state := conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return c.dialer.diagnose(ctx, a.failure())
		}
		if !conn.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
	}
}
