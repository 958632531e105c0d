// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxDiscovered bounds the endpoints that a member list can add: etcd itself
// advises seven members, and a list comes from outside.
const maxDiscovered = 64

// discover takes the endpoints over from a member list. named says which member
// answered at which endpoint.
func (c *Cluster) discover(list MemberList, named map[string]uint64) {
	if !c.cfg.Discover {
		return
	}
	isLocal := locality(list, named)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	var found []string
	for _, member := range list.Members {
		local := isLocal(member)
		for _, advertised := range member.ClientURLs {
			if len(found) == maxDiscovered {
				c.refuseLocked(member, advertised, fmt.Errorf("there are %d discovered URLs already", maxDiscovered))
				continue
			}
			u, err := c.acceptLocked(advertised, local)
			if err != nil {
				c.refuseLocked(member, advertised, err)
			} else if u != "" && !slices.Contains(found, u) {
				found = append(found, u)
			}
		}
	}
	for _, gone := range c.discovered {
		if !slices.Contains(found, gone) {
			c.clients[gone].Close()
			delete(c.clients, gone)
			c.scanners.forget(gone)
		}
	}
	c.discovered = found
	c.memory.retain(c.clients)
}

// acceptLocked gives the URL to ask and sees to its client; "" when the URL is
// configured anyway.
func (c *Cluster) acceptLocked(advertised string, local bool) (string, error) {
	u, err := c.policy.accept(advertised, local)
	if err != nil {
		return "", err
	}
	accepted := u.String()
	if slices.ContainsFunc(c.cfg.Endpoints, func(e string) bool { return strings.EqualFold(e, accepted) }) {
		return "", nil
	}
	old := c.clients[accepted]
	if old != nil && old.local == local {
		return accepted, nil
	}
	allowed := func(addr netip.Addr) error { return c.policy.address(addr, local) }
	client, err := newClient(u, &c.cfg, c.secrets, allowed)
	if err != nil {
		return "", err
	}
	if old != nil {
		old.Close()
		c.scanners.forget(accepted)
	}
	client.local = local
	c.clients[accepted] = client
	return accepted, nil
}

// refuseLocked logs a refused URL, once.
func (c *Cluster) refuseLocked(member Member, advertised string, err error) {
	if c.refused[advertised] || len(c.refused) >= maxDiscovered {
		return
	}
	c.refused[advertised] = true
	c.log.Warn("client URL of the member list is not used", "member", FormatID(member.ID), "advertised", fmt.Sprintf("%.200q", advertised), "reason", err)
}

// policy decides which advertised URLs may be contacted. What a member list says
// was written by whoever could add a member, so it must not lead the exporter,
// with its client certificate, to another service.
type policy struct {
	scheme   string         // https as soon as one configured endpoint has it
	prefixes []netip.Prefix // allow_cidrs; empty: any
}

func newPolicy(cfg *Config) policy {
	p := policy{scheme: "http", prefixes: cfg.AllowCIDRs}
	if slices.ContainsFunc(cfg.Endpoints, func(e string) bool { return strings.HasPrefix(e, "https://") }) {
		p.scheme = "https"
	}
	return p
}

// hostName is a host name as it may be advertised; it becomes part of a label.
var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$`)

// accept checks one advertised client URL and gives it in our spelling. local
// says that its member runs on this very host.
func (p policy) accept(advertised string, local bool) (*url.URL, error) {
	u, err := url.Parse(advertised)
	if err != nil {
		return nil, errors.New("it is not a URL")
	}
	port, portErr := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Scheme != p.scheme:
		return nil, fmt.Errorf("its scheme is not the configured %s", p.scheme)
	case u.User != nil:
		return nil, errors.New("it carries a user name")
	case portErr != nil || port == 0 || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it is not of the form scheme://host:port")
	}
	host := plainHost(u)
	switch addr, err := netip.ParseAddr(host); {
	case err == nil:
		if err := p.address(addr, local); err != nil {
			return nil, err
		}
		host = addr.Unmap().WithZone("").String()
	case !hostName.MatchString(host):
		return nil, errors.New("its host is neither a name nor an address")
	case !local && isLoopbackHost(host):
		return nil, fmt.Errorf("%w: it is a loopback address of another host", errForbidden)
	}
	return &url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(host, strconv.FormatUint(port, 10))}, nil
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

// plainHost is a URL's host in lower case, without the dots that may end a name.
func plainHost(u *url.URL) string { return strings.ToLower(strings.TrimRight(u.Hostname(), ".")) }

// isLoopback says whether a URL leads back to the host it is used on.
func isLoopback(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && isLoopbackHost(plainHost(u))
}

func isLoopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.Unmap().IsLoopback()
}

// locality tells which members run on our host: those that answered at a
// loopback endpoint of ours; and all of them where such a member's cluster talks
// over loopback alone (a laptop, a test). A single member that claims loopback
// peers does not make itself local.
func locality(list MemberList, named map[string]uint64) func(Member) bool {
	answered := map[uint64]bool{}
	for endpoint, id := range named {
		if isLoopback(endpoint) {
			answered[id] = true
		}
	}
	remote := func(u string) bool { return !isLoopback(u) }
	one := len(answered) > 0 && !slices.ContainsFunc(list.Members, func(m Member) bool {
		return len(m.PeerURLs) == 0 || slices.ContainsFunc(m.PeerURLs, remote)
	})
	return func(m Member) bool { return one || answered[m.ID] }
}
