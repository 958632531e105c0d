// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// maxDiscovered bounds the endpoints that a member list can add: etcd itself
// advises seven members, and a list comes from outside.
const maxDiscovered = 64

// policy decides which advertised URLs may be contacted. What a member list says
// was written by whoever could add a member, so it must not lead the exporter,
// with its client certificate, to another service.
type policy struct {
	schemes  []string       // those of the configured endpoints
	prefixes []netip.Prefix // allow_cidrs; empty: any
}

func newPolicy(cfg *Config) policy {
	p := policy{prefixes: cfg.AllowCIDRs}
	for _, e := range cfg.Endpoints {
		scheme, _, _ := strings.Cut(e, "://")
		p.schemes = append(p.schemes, scheme)
	}
	return p
}

// accept checks one advertised client URL and gives it in our spelling. local
// says that its member runs on this very host.
func (p policy) accept(advertised string, local bool) (*url.URL, error) {
	u, err := url.Parse(advertised)
	if err != nil {
		return nil, errors.New("is not a URL")
	}
	switch {
	case !slices.Contains(p.schemes, u.Scheme):
		return nil, fmt.Errorf("its scheme is not the configured %s", strings.Join(slices.Compact(slices.Sorted(slices.Values(p.schemes))), " or "))
	case u.User != nil:
		return nil, errors.New("it carries a user name")
	case u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it is not of the form scheme://host:port")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		if err := p.address(addr, local); err != nil {
			return nil, err
		}
	} else if !local && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
		return nil, errors.New("it is a loopback address of another host")
	}
	return &url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(host, u.Port())}, nil
}

// address checks an address, as written or as a name server gave it.
func (p policy) address(addr netip.Addr, local bool) error {
	addr = addr.Unmap().WithZone("")
	switch {
	case addr.IsUnspecified():
		return fmt.Errorf("%w: it is the unspecified address", errForbidden)
	case addr.IsLinkLocalUnicast(), addr.IsMulticast():
		return fmt.Errorf("%w: it is link-local or multicast", errForbidden)
	case addr.IsLoopback() && !local:
		return fmt.Errorf("%w: it is a loopback address of another host", errForbidden)
	case len(p.prefixes) > 0 && !slices.ContainsFunc(p.prefixes, func(n netip.Prefix) bool { return n.Contains(addr) }):
		return fmt.Errorf("%w: it is outside allow_cidrs", errForbidden)
	}
	return nil
}

// isLoopback says whether a URL leads back to the host it is used on.
func isLoopback(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// loopbackMembers are those that answered at a loopback endpoint of ours.
func loopbackMembers(named map[string]uint64) map[uint64]bool {
	members := map[uint64]bool{}
	for endpoint, id := range named {
		if isLoopback(endpoint) {
			members[id] = true
		}
	}
	return members
}

// isLocal says whether a member runs on our host: it was the one that answered
// at a loopback endpoint, or the whole cluster (a laptop, a test) talks over
// loopback and one of our endpoints does too.
func isLocal(m Member, loopbackMembers map[uint64]bool) bool {
	if loopbackMembers[m.ID] {
		return true
	}
	return len(loopbackMembers) > 0 && len(m.PeerURLs) > 0 && !slices.ContainsFunc(m.PeerURLs, func(u string) bool { return !isLoopback(u) })
}
