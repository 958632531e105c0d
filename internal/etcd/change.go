// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/internal/etcd/internal/grant"
)

var errNoPermit = errors.New("only the packages below internal/etcd may change etcd")

// Do puts one request of any kind to an endpoint, over its connection for background
// work. Unlike a question it is put once: where the connection is lost, or ctx ends
// while it is under way, nobody knows what became of it, and the caller has to look.
// Only an auth token that is no longer valid, which a member refuses before it acts,
// is renewed and the request put again. ctx alone bounds it: it may take minutes.
func (c *Cluster) Do(ctx context.Context, permit grant.Permit, endpoint, method string, f func(*grpc.ClientConn) error) error {
	if !permit.Given() {
		return errNoPermit
	}
	c.reloadSecrets()
	s := c.Scanner(endpoint)
	if s == nil {
		return fmt.Errorf("%s: %q is not an endpoint of cluster %s", method, endpoint, c.cfg.Name)
	}
	begun := time.Now()
	return s.count(begun, s.client.once(ctx, method, f))
}

// once is call without a second try.
func (c *Client) once(ctx context.Context, method string, f func(*grpc.ClientConn) error) error {
	for renewed := false; ; renewed = true {
		conn, err := c.hold(ctx)
		if err != nil {
			return wrap(method, err)
		}
		token := conn.token.get()
		err = f(conn.client.ActiveConnection())
		if err == nil {
			now := time.Now()
			conn.heard.Store(&now)
		} else if !renewed && ctx.Err() == nil && isStaleToken(err) && c.cfg.Username != "" {
			if err = c.authenticate(ctx, conn, token); err == nil {
				c.release(conn)
				continue
			}
		}
		c.release(conn)
		return wrap(method, cause(ctx, err))
	}
}

// hold gives a working connection that is not closed before release, whoever gives
// it up meanwhile: a member that defragments answers nothing else for minutes.
func (c *Client) hold(ctx context.Context) (*connection, error) {
	for {
		conn, err := c.connect(ctx)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		if c.live == conn {
			if c.held == nil {
				c.held = map[*connection]int{}
			}
			c.held[conn]++
			c.mu.Unlock()
			return conn, nil
		}
		c.mu.Unlock() // another has dropped it, before anything was asked over it
	}
}

// release ends a hold. The last one closes a connection that was given up.
func (c *Client) release(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[conn]--; c.held[conn] > 0 {
		return
	}
	delete(c.held, conn)
	if c.live != conn {
		_ = conn.client.Close()
	}
}

// retireLocked closes a connection that is not the live one any more, unless it is
// held.
func (c *Client) retireLocked(old *connection) {
	if c.held[old] == 0 {
		_ = old.client.Close()
	}
}
