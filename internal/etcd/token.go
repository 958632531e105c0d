// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// token carries etcd's auth token with every request. Authenticate is a raft
// proposal, so a token is fetched once a connection and again only when a member
// says it is no longer valid; clientv3 would ask for one for each of the requests
// under way.
type token struct {
	secure bool // an https endpoint: gRPC then refuses to send it in the clear

	mu    sync.RWMutex
	value string
}

// bare marks the context of a request that goes without a token: Authenticate, with
// which a stale one would be refused.
type bare struct{}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t *token) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	if value := t.get(); value != "" && ctx.Value(bare{}) == nil {
		return map[string]string{rpctypes.TokenFieldNameGRPC: value}, nil
	}
	return nil, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (t *token) RequireTransportSecurity() bool { return t.secure }

func (t *token) get() string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.value
}

func (t *token) set(value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value = value
}

// firstToken authenticates a new connection. A refusal ends it. A cluster that
// cannot decide at present (without a quorum no proposal passes) does not: what
// needs no token, such as Status, is to be had even then.
func (c *Client) firstToken(ctx context.Context, conn *connection) error {
	some, cancel := share(ctx, 3) // the greater part is left for the question itself
	defer cancel()
	err := c.authenticate(some, conn, "")
	var e *Error
	switch {
	case err == nil, ctx.Err() != nil, Classify(err) == ReasonAuth:
		return err
	case isTimeout(err), errors.As(err, &e) && e.Answered:
		return nil
	default:
		return err
	}
}

// authenticate fetches a token, unless another question has already replaced
// the stale one.
func (c *Client) authenticate(ctx context.Context, conn *connection, stale string) error {
	const method = "Authenticate"
	if c.cfg.Username == "" {
		return nil
	}
	if c.dialer.tls && c.cfg.InsecureSkipVerify {
		return wrap(method, errUnverified)
	}
	select {
	case conn.renewing <- struct{}{}:
		defer func() { <-conn.renewing }()
	case <-ctx.Done():
		return wrap(method, ctx.Err())
	}
	if conn.token.get() != stale {
		return nil
	}
	_, password, _, err := c.dialer.secrets.current()
	if err != nil {
		return wrap(method, err)
	}
	// The stale token stays until there is a new one: a request that goes without
	// any meanwhile, etcd may take for one of the certificate's user.
	resp, err := pb.NewAuthClient(conn.client.ActiveConnection()).Authenticate(context.WithValue(ctx, bare{}, true),
		&pb.AuthenticateRequest{Name: c.cfg.Username, Password: password})
	if errors.Is(rpctypes.Error(err), rpctypes.ErrAuthNotEnabled) {
		conn.token.set("")
		return nil
	}
	if err != nil {
		return wrap(method, cause(ctx, err))
	}
	conn.token.set(resp.GetToken())
	return nil
}
