// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
)

const (
	// maxAnswer bounds one gRPC answer. The largest that is asked for is a member
	// list; clientv3's own bound is 2 GiB.
	maxAnswer = 4 << 20
	// connBuffer is gRPC's read and write buffer a connection (its default is
	// 32 KiB each): our answers are small, and there may be hundreds of endpoints.
	connBuffer = 4 << 10
)

// Client asks one endpoint. It keeps one gRPC connection, made at the first
// question and made anew when it broke, hung, or when the secrets changed.
type Client struct {
	url    *url.URL
	cfg    *Config
	dialer *dialer
	http   *httpSide
	busy   chan struct{} // holds one token while a connection is being made

	mu   sync.Mutex
	live *connection
	shut bool
}

// connection is a gRPC connection that was seen to work.
type connection struct {
	client  *clientv3.Client
	token   *token
	version int        // of the secrets it was made with
	auth    sync.Mutex // held while a token is fetched
}

// newClient makes a client; it talks to nobody yet. allowed checks the addresses
// of a discovered URL and is nil for a configured one.
func newClient(u *url.URL, cfg *Config, s *secrets, allowed func(netip.Addr) error) (*Client, error) {
	d := newDialer(u, s, allowed)
	side, err := newHTTPSide(u, cfg, d)
	if err != nil {
		return nil, err
	}
	c := &Client{url: u, cfg: cfg, dialer: d, http: side, busy: make(chan struct{}, 1)}
	return c, nil
}

// connect gives a working connection, within ctx. The error is typed: a refused
// connection is told at once, not after the deadline.
func (c *Client) connect(ctx context.Context) (*connection, error) {
	select { // one maker at a time; the others get what it made
	case c.busy <- struct{}{}:
		defer func() { <-c.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	_, _, version, err := c.dialer.secrets.current()
	if err != nil {
		return nil, err
	}
	if live := c.current(); live != nil {
		if live.version == version && live.client.ActiveConnection().GetState() == connectivity.Ready {
			return live, nil
		}
		c.drop(live)
	}
	made, err := c.make(ctx, version)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		_ = made.client.Close()
		return nil, errors.New("client is closed")
	}
	c.live = made
	return made, nil
}

func (c *Client) current() *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live
}

// drop closes a connection, so that the next question makes a new one.
func (c *Client) drop(old *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == old {
		c.live = nil
	}
	if old != nil {
		_ = old.client.Close()
	}
}

// Close ends the client and its connections.
func (c *Client) Close() {
	c.mu.Lock()
	live := c.live
	c.shut = true
	c.mu.Unlock()
	c.drop(live)
	c.http.close()
}

// make dials, waits until the server's HTTP/2 settings have arrived, and
// authenticates where a user is configured.
func (c *Client) make(ctx context.Context, version int) (*connection, error) {
	a := &attempt{dialer: c.dialer}
	t := &token{secure: c.dialer.tls}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:          []string{c.url.String()},
		Context:            context.WithoutCancel(ctx), // it lives until drop, not until the end of this question
		Logger:             zap.NewNop(),
		MaxCallRecvMsgSize: maxAnswer,
		MaxUnaryRetries:    1, // a question is asked once; call decides on a second try
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(a.dial),
			grpc.WithTransportCredentials(handshaker{a}),
			grpc.WithPerRPCCredentials(t),
			grpc.WithReadBufferSize(connBuffer),
			grpc.WithWriteBufferSize(connBuffer),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second},
				MinConnectTimeout: time.Minute, // ctx bounds it
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	made := &connection{client: client, token: t, version: version}
	err = c.ready(ctx, client.ActiveConnection(), a)
	if err == nil {
		err = c.authenticate(ctx, made, "")
	}
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	return made, nil
}

// ready waits until the connection works or has failed once.
func (c *Client) ready(ctx context.Context, conn *grpc.ClientConn, a *attempt) error {
	conn.Connect()
	for {
		state := conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			err := a.failure()
			if err == nil {
				err = errors.New("the endpoint does not answer as a gRPC server")
			}
			if !c.dialer.tls && !isDialError(err) && c.dialer.speaksTLS(ctx) {
				err = errSpeaksTLS
			}
			return err
		}
		if !conn.WaitForStateChange(ctx, state) {
			if err := a.failure(); err != nil {
				return err
			}
			return ctx.Err()
		}
	}
}

// authenticate fetches a token, unless another question has already replaced
// the stale one.
func (c *Client) authenticate(ctx context.Context, conn *connection, stale string) error {
	if c.cfg.Username == "" {
		return nil
	}
	conn.auth.Lock()
	defer conn.auth.Unlock()
	if conn.token.get() != stale {
		return nil
	}
	_, password, _, err := c.dialer.secrets.current()
	if err != nil {
		return err
	}
	conn.token.set("")
	resp, err := pb.NewAuthClient(conn.client.ActiveConnection()).Authenticate(ctx,
		&pb.AuthenticateRequest{Name: c.cfg.Username, Password: password})
	if errors.Is(rpctypes.Error(err), rpctypes.ErrAuthNotEnabled) {
		return nil
	}
	if err != nil {
		return wrap("Authenticate", err)
	}
	conn.token.set(resp.GetToken())
	return nil
}

// isDialError says whether not even TCP came to be.
func isDialError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
