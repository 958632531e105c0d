// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Each hostile endpoint fails for its reason, at once where that is possible, and
// the endpoint beside it is none the worse.
func TestHostileEndpoints(t *testing.T) {
	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "stranger")
	inAnHour := time.Now().Add(time.Hour)
	client, strangerClient := ca.files(t, t.TempDir()), stranger.files(t, t.TempDir())
	strangerClient.CAFile = client.CAFile
	strangerCA := stranger.files(t, t.TempDir()).CAFile
	anonymous, named := Config{CAFile: client.CAFile}, client
	named.ServerName = "etcd.example.org"

	tls12, tls13 := ca.server(t, inAnHour, ca), ca.server(t, inAnHour, ca)
	tls12.MaxVersion, tls13.MinVersion = tls.VersionTLS12, tls.VersionTLS13
	old := ca.server(t, inAnHour, nil)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	on12, on13, onOld := startFake(t, tls12), startFake(t, tls13), startFake(t, old)
	expired := startFake(t, ca.server(t, time.Now().Add(-time.Minute), nil))
	byName := startFake(t, ca.server(t, inAnHour, nil, "etcd.example.org"))
	plain := startFake(t, nil)
	website := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(website.Close)
	garbage := startHostile(t, func(c net.Conn) { _, _ = c.Write(bytes.Repeat([]byte("garbage!"), 100)); c.Close() })
	endless := startHostile(t, func(c net.Conn) { _, _ = io.Copy(c, endlessly("x")) })
	settings := startHostile(t, func(c net.Conn) {
		_, _ = io.WriteString(c, preface[24:])
		_, _ = io.Copy(c, endlessly("\x00\x00\x08\x06\x00\x00\x00\x00\x00pingping"))
	})
	// As etcd's own listener, which looks at the first bytes before it answers.
	waits := startHostile(t, func(c net.Conn) {
		defer c.Close()
		first := make([]byte, 24)
		if _, err := io.ReadFull(c, first); err == nil && string(first) == preface[:24] {
			_, _ = io.WriteString(c, preface[24:])
			_, _ = io.Copy(io.Discard, c)
		}
	})
	silent := startHostile(t, func(net.Conn) {})
	closing := startHostile(t, func(c net.Conn) { c.Close() })
	refused := "127.0.0.1:1"

	for _, test := range []struct {
		name string
		cfg  Config
		url  string
		want Reason
		slow bool // told only at the deadline
	}{
		{"nothing listens", client, "https://" + refused, ReasonRefused, false},
		{"nothing listens, plain", Config{}, "http://" + refused, ReasonRefused, false},
		{"no such name", Config{}, "http://no-such-host.invalid:2379", ReasonDNS, false},
		{"silent", Config{}, "http://" + silent, ReasonTimeout, true},
		{"silent under TLS", client, "https://" + silent, ReasonTimeout, true},
		{"hangs up", Config{}, "http://" + closing, ReasonOther, false},
		{"hangs up under TLS", client, "https://" + closing, ReasonOther, false},
		{"garbage", Config{}, "http://" + garbage, ReasonOther, false},
		{"garbage under TLS", client, "https://" + garbage, ReasonTLS, false},
		{"endless", Config{}, "http://" + endless, ReasonOther, false},
		{"endless under TLS", client, "https://" + endless, ReasonTLS, false},
		{"endless pings", Config{}, "http://" + settings, ReasonTimeout, true},
		{"a website", Config{}, website.URL, ReasonOther, false},
		{"http:// to TLS 1.2", Config{}, "http://" + on12.address, ReasonTLS, false},
		{"http:// to TLS 1.3", Config{}, "http://" + on13.address, ReasonTLS, false},
		{"https:// to plain", client, "https://" + plain.address, ReasonTLS, false},
		{"https:// to plain that waits", client, "https://" + waits, ReasonTLS, false},
		{"https:// to a plain website", client, "https://" + strings.TrimPrefix(website.URL, "http://"), ReasonTLS, false},
		{"no client certificate, TLS 1.2", anonymous, "https://" + on12.address, ReasonTLS, false},
		{"no client certificate, TLS 1.3", anonymous, "https://" + on13.address, ReasonTLS, false},
		{"a stranger's, TLS 1.2", strangerClient, "https://" + on12.address, ReasonTLS, false},
		{"a stranger's, TLS 1.3", strangerClient, "https://" + on13.address, ReasonTLS, false},
		{"unknown CA", Config{CAFile: strangerCA}, "https://" + on13.address, ReasonTLS, false},
		{"expired", client, "https://" + expired.address, ReasonTLS, false},
		{"wrong name", client, "https://" + byName.address, ReasonTLS, false},
		{"server_name set", named, "https://" + byName.address, "", false},
		{"server_name set wrong", named, "https://" + on13.address, ReasonTLS, false},
		{"TLS 1.1 only", client, "https://" + onOld.address, ReasonTLS, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var beside []string // the names that the good endpoint has
			if test.cfg.ServerName != "" {
				beside = []string{test.cfg.ServerName}
			}
			good, scheme := startFake(t, nil), "http://"
			if strings.HasPrefix(test.url, "https:") {
				good, scheme = startFake(t, ca.server(t, inAnHour, nil, beside...)), "https://"
			}
			c := clusterAt(t, test.cfg, test.url, scheme+good.address)
			timeout := 8 * time.Second
			if test.slow {
				timeout = 300 * time.Millisecond
			}
			for round := range 2 {
				start := time.Now()
				reason, err := scrape(t, c, timeout)
				if reason != test.want {
					t.Errorf("round %d: reason %q (%v), want %q", round, reason, err, test.want)
				}
				if good.called("Status") != round+1 && test.cfg.CAFile != strangerCA {
					t.Errorf("round %d: the good endpoint was asked %d times", round, good.called("Status"))
				}
				if took := time.Since(start); took > timeout+2*time.Second || !test.slow && took > 4*time.Second {
					t.Errorf("round %d took %s", round, took)
				}
			}
		})
	}
}

// endlessly repeats itself.
type endlessly string

func (e endlessly) Read(p []byte) (int, error) {
	n := copy(p, strings.Repeat(string(e), max(1, min(len(p), 4096)/len(e))))
	return n, nil
}

func TestMemberListIsBounded(t *testing.T) {
	server := startFake(t, nil)
	client := clusterAt(t, Config{}, "http://"+server.address).Client("http://" + server.address)
	for i := range maxRows / 4 {
		server.members = append(server.members, &pb.Member{ID: uint64(i), PeerURLs: []string{"a"}, ClientURLs: []string{"b", "c"}})
	}
	if list, err := client.MemberList(t.Context()); err != nil || len(list.Members) != maxRows/4 {
		t.Errorf("%d members, %v", len(list.Members), err)
	}
	server.set(func() { server.members = append(server.members, &pb.Member{ID: 1}) })
	if _, err := client.MemberList(t.Context()); err == nil {
		t.Error("a list without end is believed")
	}
	server.set(func() {
		server.members = []*pb.Member{{ID: 1, Name: strings.Repeat("x", maxAnswer)}}
	})
	if _, err := client.MemberList(t.Context()); Classify(err) != ReasonOther {
		t.Errorf("an answer beyond the bound: %v", err)
	}
}

// Neither side of a client follows the variables that name a proxy.
func TestNoProxyVariableIsRead(t *testing.T) {
	proxy := startHostile(t, func(c net.Conn) { t.Error("the proxy was asked"); c.Close() })
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "grpc_proxy"} {
		t.Setenv(name, "http://"+proxy)
	}
	server := startFake(t, nil)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	// Go never asks a proxy for loopback, so the name does not say that it is.
	hosts := func(u string) string { return strings.Replace(u, "127.0.0.1", "127.0.0.1.", 1) }
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for _, u := range []string{"http://" + server.address, hosts("http://" + server.address), "http://etcd.invalid:2379", "https://etcd.invalid:2379"} {
		client := clusterAt(t, Config{}, u).Client(u)
		_, err := client.Status(ctx)
		_, timeErr := client.ServerTime(ctx)
		if u == "http://"+server.address && err != nil {
			t.Errorf("Status = %v (%v)", err, timeErr)
		}
	}
	u := "http://" + server.address
	client := clusterAt(t, Config{MetricsURLs: map[string]string{u: web.URL}}, u).Client(u)
	if _, err := client.ServerTime(ctx); err != nil {
		t.Error(err)
	}
}
