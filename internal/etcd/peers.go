// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"sync"
)

// peers reads the certificates of the members' peer ports. A peer URL comes from
// the member list, so its address is checked like a discovered one.
type peers struct {
	mu      sync.Mutex
	dialers map[peer]*dialer
}

type peer struct {
	address string // host:port
	local   bool   // of a member on our own host, whose loopback is ours
}

// PeerCertificates gives the chain that a member presents at one of its peer
// URLs, leaf first, at most ten minutes old; empty where the URL is plain http.
func (c *Cluster) PeerCertificates(ctx context.Context, member Member, peerURL string) ([]*x509.Certificate, error) {
	u, err := url.Parse(peerURL)
	if err != nil || u.Hostname() == "" || u.Port() == "" {
		return nil, fmt.Errorf("peer URL %.100q of member %x cannot be asked", peerURL, member.ID)
	}
	if u.Scheme != "https" {
		return nil, nil
	}
	d, err := c.peerDialer(member, u)
	if err != nil {
		return nil, fmt.Errorf("read certificate of peer %s: %w", peerURL, err)
	}
	chain, err := d.certificates(ctx)
	if err != nil {
		return nil, fmt.Errorf("read certificate of peer %s: %w", peerURL, err)
	}
	return chain, nil
}

// peerDialer gives the dialer that remembers the peer's certificate.
func (c *Cluster) peerDialer(member Member, u *url.URL) (*dialer, error) {
	list, _ := c.memory.lastList()
	p := peer{u.Host, locality(list, c.memory.names())(member)}
	c.peers.mu.Lock()
	defer c.peers.mu.Unlock()
	if d := c.peers.dialers[p]; d != nil {
		return d, nil
	}
	if len(c.peers.dialers) >= maxDiscovered {
		c.peers.forgetOthersLocked(list)
	}
	if len(c.peers.dialers) >= maxDiscovered {
		return nil, fmt.Errorf("the member list has more than %d peer URLs", maxDiscovered)
	}
	if c.peers.dialers == nil {
		c.peers.dialers = map[peer]*dialer{}
	}
	d := newDialer(u, c.secrets, func(addr netip.Addr) error { return c.policy.address(addr, p.local) })
	c.peers.dialers[p] = d
	return d, nil
}

// forgetOthersLocked makes room of the peers that are not listed any more.
func (p *peers) forgetOthersLocked(list MemberList) {
	listed := map[string]bool{}
	for _, m := range list.Members {
		for _, peerURL := range m.PeerURLs {
			if u, err := url.Parse(peerURL); err == nil {
				listed[u.Host] = true
			}
		}
	}
	maps.DeleteFunc(p.dialers, func(known peer, _ *dialer) bool { return !listed[known.address] })
}
