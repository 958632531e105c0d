// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"sync"
)

// peers reads the certificates of the members' peer ports. A peer URL comes from
// the member list, so its address is checked like a discovered one.
type peers struct {
	mu      sync.Mutex
	dialers map[string]*dialer // by peer URL
}

// PeerCertificates gives the chain that a member presents at one of its peer
// URLs, leaf first, at most ten minutes old; empty where the URL is plain http.
func (c *Cluster) PeerCertificates(ctx context.Context, member Member, peerURL string) ([]*x509.Certificate, error) {
	u, err := url.Parse(peerURL)
	if err != nil || u.Hostname() == "" || u.Port() == "" {
		return nil, fmt.Errorf("peer URL %.100q of member %x can not be asked", peerURL, member.ID)
	}
	if u.Scheme != "https" {
		return nil, nil
	}
	local := isLocal(member, loopbackMembers(c.memory.names()))
	c.peers.mu.Lock()
	if c.peers.dialers == nil || len(c.peers.dialers) > maxDiscovered {
		c.peers.dialers = map[string]*dialer{}
	}
	d := c.peers.dialers[peerURL]
	if d == nil {
		d = newDialer(u, c.secrets, func(addr netip.Addr) error { return c.policy.address(addr, local) })
		c.peers.dialers[peerURL] = d
	}
	c.peers.mu.Unlock()
	chain, err := d.certificates(ctx)
	if err != nil {
		return nil, fmt.Errorf("read certificate of peer %s: %w", peerURL, err)
	}
	return chain, nil
}
