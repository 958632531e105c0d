// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Client is the administrator's client to all voters. It accepts whatever
// certificate a member presents, and is root once EnableAuth was called. The
// lab closes it; ask for it anew after EnableAuth.
func (l *Lab) Client() (*clientv3.Client, error) {
	var urls []string
	for _, m := range l.Members() {
		if !m.learner {
			urls = append(urls, m.ClientURL())
		}
	}
	return l.client(true, urls...)
}

// clientOf is the administrator's client to one member alone.
func (l *Lab) clientOf(m *Member) (*clientv3.Client, error) {
	return l.client(!m.learner, m.ClientURL())
}

// client makes a client, or returns the one that was made before.
func (l *Lab) client(signIn bool, urls ...string) (*clientv3.Client, error) {
	name := strings.Join(urls, ",")
	l.mu.Lock()
	client, closed, user, password := l.clients[name], l.closed, l.user, l.password
	l.mu.Unlock()
	credentials := [2]string{user, password}
	if !signIn { // a learner refuses to
		credentials = [2]string{}
	}
	switch {
	case closed:
		return nil, errors.New("the lab is closed")
	case client != nil:
		return client, nil
	}
	// Not under the mutex: with a user, New talks to etcd.
	config, err := l.adminTLS()
	if err != nil {
		return nil, err
	}
	client, err = clientv3.New(clientv3.Config{
		Endpoints: urls, TLS: config, Logger: zap.NewNop(),
		Username: credentials[0], Password: credentials[1], DialTimeout: askTimeout,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			// Members come and go here all the time: look again soon.
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
			MinConnectTimeout: time.Second,
		})},
	})
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.clients[name]; other != nil || l.closed || l.user != user {
		client.Close() // made in vain
		if other == nil {
			return nil, errors.New("the lab has changed meanwhile")
		}
		return other, nil
	}
	l.clients[name] = client
	return client, nil
}

// signIn makes all further clients a user's.
func (l *Lab) signIn(user, password string) {
	l.mu.Lock()
	clients := l.clients
	l.clients = map[string]*clientv3.Client{}
	l.user, l.password = user, password
	l.mu.Unlock()
	for _, client := range clients {
		client.Close()
	}
}
