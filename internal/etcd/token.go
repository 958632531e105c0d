// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"sync"

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

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t *token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if value := t.get(); value != "" {
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
