// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPolicyAccept(t *testing.T) {
	for _, test := range []struct {
		advertised string
		want       string // "" is refused
		local      bool
		cidrs      string
	}{
		{"https://10.0.0.1:2379", "https://10.0.0.1:2379", false, ""},
		{"https://10.0.0.1:2379/", "https://10.0.0.1:2379", false, ""},
		{"HTTPS://ETCD-1.Example.org.:2379", "https://etcd-1.example.org:2379", false, ""},
		{"https://etcd_1:2379", "https://etcd_1:2379", false, ""},
		{"https://[2001:DB8:0::1]:2379", "https://[2001:db8::1]:2379", false, ""},
		{"https://[::ffff:10.0.0.1]:2379", "https://10.0.0.1:2379", false, ""},
		{"https://[2001:db8::1%25eth0]:02379", "https://[2001:db8::1]:2379", false, ""},
		{"https://10.0.0.1:2379", "https://10.0.0.1:2379", false, "10.0.0.0/8"},
		{"https://127.0.0.1:2379", "https://127.0.0.1:2379", true, ""},
		{"https://localhost:2379", "https://localhost:2379", true, ""},
		{"https://[::1]:2379", "https://[::1]:2379", true, ""},

		{"http://10.0.0.1:2379", "", false, ""},
		{"unix://10.0.0.1:2379", "", false, ""},
		{"//10.0.0.1:2379", "", false, ""},
		{"https:10.0.0.1:2379", "", false, ""},
		{"https://10.0.0.1", "", false, ""},
		{"https://10.0.0.1:0", "", false, ""},
		{"https://10.0.0.1:65536", "", false, ""},
		{"https://:2379", "", false, ""},
		{"https://.:2379", "", false, ""},
		{"https://user@10.0.0.1:2379", "", false, ""},
		{"https://user:password@10.0.0.1:2379", "", false, ""},
		{"https://10.0.0.1:2379/latest/meta-data", "", false, ""},
		{"https://10.0.0.1:2379?x=y", "", false, ""},
		{"https://10.0.0.1:2379#x", "", false, ""},
		{"https://<b>:2379", "", false, ""},
		{"https://a,b:2379", "", false, ""},
		{"https://" + strings.Repeat("a", 300) + ":2379", "", false, ""},
		{"https://a b:2379", "", false, ""},
		{"\x00\xff", "", false, ""},

		{"https://169.254.169.254:80", "", true, ""},
		{"https://[::ffff:169.254.169.254]:80", "", true, ""},
		{"https://[fe80::1%25eth0]:2379", "", true, ""},
		{"https://0.0.0.0:2379", "", true, ""},
		{"https://[::]:2379", "", true, ""},
		{"https://[::ffff:0.0.0.0]:2379", "", true, ""},
		{"https://224.0.0.1:2379", "", true, ""},
		{"https://[ff02::1]:2379", "", true, ""},
		{"https://127.0.0.1:2379", "", false, ""},
		{"https://127.8.9.1:2379", "", false, ""},
		{"https://[::1]:2379", "", false, ""},
		{"https://[::ffff:127.0.0.1]:2379", "", false, ""},
		{"https://127.0.0.1.:2379", "", false, ""},
		{"https://LOCALHOST:2379", "", false, ""},
		{"https://localhost.:2379", "", false, ""},
		{"https://localhost..:2379", "", false, ""},
		{"https://x.localhost:2379", "", false, ""},
		{"https://11.0.0.1:2379", "", false, "10.0.0.0/8"},
		{"https://[::ffff:11.0.0.1]:2379", "", false, "10.0.0.0/8"},
		{"https://127.0.0.1:2379", "", true, "10.0.0.0/8"},
		{"https://[2001:db8::1]:2379", "", false, "10.0.0.0/8"},
	} {
		cfg := Config{Endpoints: []string{"https://10.0.0.9:2379"}}
		if test.cidrs != "" {
			cfg.AllowCIDRs = []netip.Prefix{netip.MustParsePrefix(test.cidrs)}
		}
		u, err := newPolicy(&cfg).accept(test.advertised, test.local)
		got := ""
		if err == nil {
			got = u.String()
		}
		if got != test.want {
			t.Errorf("accept(%.60q, local %v, within %q) = %q, %v; want %q", test.advertised, test.local, test.cidrs, got, err, test.want)
		}
	}
}

// With both schemes configured only https is taken over.
func TestPolicyScheme(t *testing.T) {
	for _, test := range []struct {
		endpoints   []string
		plain, safe bool
	}{
		{[]string{"http://a:1"}, true, false},
		{[]string{"https://a:1"}, false, true},
		{[]string{"http://a:1", "https://b:1"}, false, true},
	} {
		p := newPolicy(&Config{Endpoints: test.endpoints})
		_, plain := p.accept("http://c:1", false)
		_, safe := p.accept("https://c:1", false)
		if (plain == nil) != test.plain || (safe == nil) != test.safe {
			t.Errorf("%v: http %v, https %v", test.endpoints, plain, safe)
		}
	}
}

func TestLocality(t *testing.T) {
	far, near := Member{ID: 1, PeerURLs: []string{"https://10.0.0.1:2380"}}, Member{ID: 2, PeerURLs: []string{"https://127.0.0.1:2380"}}
	near2 := Member{ID: 3, PeerURLs: []string{"https://localhost:22380"}}
	for _, test := range []struct {
		name    string
		members []Member
		named   map[string]uint64
		member  Member
		want    bool
	}{
		{"answered at loopback", []Member{far, near}, map[string]uint64{"https://127.0.0.1:2379": 1}, far, true},
		{"only claims loopback peers", []Member{far, near}, map[string]uint64{"https://127.0.0.1:2379": 1}, near, false},
		{"the whole cluster is here", []Member{near, near2}, map[string]uint64{"https://localhost:2379": 2}, near2, true},
		{"no endpoint of ours is loopback", []Member{near, near2}, map[string]uint64{"https://10.0.0.1:2379": 2}, near2, false},
		{"one without peers", []Member{near, {ID: 4}}, map[string]uint64{"https://127.0.0.1:2379": 2}, Member{ID: 4}, false},
	} {
		if got := locality(MemberList{Members: test.members}, test.named)(test.member); got != test.want {
			t.Errorf("%s: local = %v", test.name, got)
		}
	}
}

func TestDiscoverTakesOverAndLetsGo(t *testing.T) {
	var log bytes.Buffer
	c := clusterAt(t, Config{Discover: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}, "http://10.0.0.1:2379")
	list := func(urls ...string) MemberList {
		return MemberList{Members: []Member{{ID: 1, Name: "a", ClientURLs: urls}}}
	}
	c.discover(list("http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.2:2379", "http://127.0.0.1:1", "https://10.0.0.3:2379"), nil)
	if got, want := fmt.Sprint(c.Endpoints()), "[{http://10.0.0.1:2379 false} {http://10.0.0.2:2379 true}]"; got != want {
		t.Errorf("endpoints = %s, want %s", got, want)
	}
	kept := c.Client("http://10.0.0.2:2379")
	c.discover(list("http://10.0.0.2:2379", "http://127.0.0.1:1"), nil)
	if c.Client("http://10.0.0.2:2379") != kept {
		t.Error("the client of an endpoint that stayed was made anew")
	}
	scanner := c.Scanner("http://10.0.0.2:2379")
	c.memory.goesDown("http://10.0.0.2:2379", ReasonOther)
	c.memory.keepName("http://10.0.0.2:2379", 1)
	c.discover(list("http://10.0.0.4:2379"), nil)
	if c.Client("http://10.0.0.2:2379") != nil || c.Client("http://10.0.0.1:2379") == nil {
		t.Error("discovery must close what is gone and keep what is configured")
	}
	if len(c.memory.named)+len(c.memory.down) != 0 {
		t.Errorf("memory keeps endpoints that are gone: %v %v", c.memory.named, c.memory.down)
	}
	if _, err := kept.Status(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("a client that is gone answers %v", err)
	}
	if _, err := scanner.Status(t.Context()); !errors.Is(err, errClosed) || c.Scanner("http://10.0.0.2:2379") != nil {
		t.Errorf("the scanner of an endpoint that is gone answers %v", err)
	}
	if n := strings.Count(log.String(), "is not used"); n != 2 {
		t.Errorf("%d refusals are logged, want each of 2 once:\n%s", n, &log)
	}
}

func TestDiscoverIsBounded(t *testing.T) {
	var log bytes.Buffer
	c := clusterAt(t, Config{Discover: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}, "http://10.0.0.1:2379")
	for round := range 3 {
		var list MemberList
		for i := range 300 {
			url := fmt.Sprintf("http://10.%d.%d.%d:2379", round+1, i/100, i%100)
			list.Members = append(list.Members, Member{ID: uint64(i), Name: "x", ClientURLs: []string{url}})
		}
		c.discover(list, nil)
		if n := len(c.Endpoints()); n != 1+maxDiscovered {
			t.Errorf("%d endpoints", n)
		}
		if n := len(c.clients); n != 1+maxDiscovered {
			t.Errorf("%d clients: those beyond the bound leak", n)
		}
	}
	if n := strings.Count(log.String(), "\n"); n > maxDiscovered {
		t.Errorf("%d lines logged", n)
	}
}

func TestDiscoverWithMemberThatBecomesLocal(t *testing.T) {
	c := clusterAt(t, Config{Discover: true}, "http://127.0.0.1:2379")
	list := MemberList{Members: []Member{{ID: 1, Name: "a", PeerURLs: []string{"http://10.0.0.1:2380"}, ClientURLs: []string{"http://this-host:2379"}}}}
	loopback := netip.MustParseAddr("127.0.1.1") // what this-host resolves to on Debian
	c.discover(list, nil)
	if err := c.Client("http://this-host:2379").dialer.allowed(loopback); !errors.Is(err, errForbidden) {
		t.Errorf("another host's name may lead to loopback: %v", err)
	}
	c.discover(list, map[string]uint64{"http://127.0.0.1:2379": 1})
	if err := c.Client("http://this-host:2379").dialer.allowed(loopback); err != nil {
		t.Errorf("our own host's name may not lead to loopback: %v", err)
	}
}

// A name is checked once it is resolved.
func TestDiscoveredNameToForbiddenAddress(t *testing.T) {
	server := startFake(t, nil)
	_, port, _ := strings.Cut(server.address, ":")
	c := clusterAt(t, Config{Discover: true, AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "http://127.0.0.1:1")
	list := MemberList{Members: []Member{{ID: 1, Name: "a", ClientURLs: []string{"http://localhost:" + port}}}}
	c.discover(list, map[string]uint64{"http://127.0.0.1:1": 1})
	client := c.Client("http://localhost:" + port)
	if client == nil {
		t.Fatal("the name is not taken over")
	}
	if _, err := client.Status(t.Context()); !errors.Is(err, errForbidden) {
		t.Errorf("Status = %v, want it forbidden", err)
	}
	if _, err := client.ServerTime(t.Context()); !errors.Is(err, errForbidden) {
		t.Errorf("ServerTime = %v, want it forbidden", err)
	}
	if n := server.conns.n.Load(); n != 0 {
		t.Errorf("%d connections were made all the same", n)
	}
}

func TestPeerCertificatesAreBounded(t *testing.T) {
	c := clusterAt(t, Config{}, "https://10.0.0.1:2379")
	fill := func(net int) (list MemberList) {
		for i := range 2 * maxDiscovered {
			list.Members = append(list.Members, Member{ID: uint64(i), PeerURLs: []string{fmt.Sprintf("https://169.254.%d.%d:2380", net, i)}})
		}
		return list
	}
	for net := range 2 { // the second list takes the place of the first
		list := fill(net)
		c.memory.keepList(list)
		for i, m := range list.Members {
			_, err := c.PeerCertificates(t.Context(), m, m.PeerURLs[0])
			if forbidden := errors.Is(err, errForbidden); err == nil || forbidden != (i < maxDiscovered) {
				t.Fatalf("peer %d: %v", i, err)
			}
		}
		if n := len(c.peers.dialers); n > maxDiscovered {
			t.Errorf("%d dialers", n)
		}
	}
}

func TestPeerCertificates(t *testing.T) {
	ca := newAuthority(t, "peers")
	expired := time.Now().Add(-time.Minute)
	server := startFake(t, ca.server(t, expired, newAuthority(t, "strangers")))
	c := clusterAt(t, Config{}, "http://127.0.0.1:1")
	member := Member{ID: 1, Name: "a", PeerURLs: []string{"https://" + server.address}}
	if _, err := c.PeerCertificates(t.Context(), member, "https://"+server.address); !errors.Is(err, errForbidden) {
		t.Errorf("the loopback of another host: %v", err)
	}
	c.memory.keepName("http://127.0.0.1:1", 1)
	for range 2 { // the second is remembered
		chain, err := c.PeerCertificates(t.Context(), member, "https://"+server.address)
		if err != nil || len(chain) != 1 || !chain[0].NotAfter.Before(time.Now()) {
			t.Errorf("an expired certificate of a stranger must be read all the same: %v, %v", chain, err)
		}
	}
	if n := server.conns.n.Load(); n != 1 {
		t.Errorf("%d handshakes, want 1", n)
	}
	for _, u := range []string{"http://127.0.0.1:1", "https://127.0.0.1", "\x00", ""} {
		if chain, _ := c.PeerCertificates(t.Context(), member, u); chain != nil {
			t.Errorf("%q gives a certificate", u)
		}
	}
}
