// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// secured starts a server that wants a password, and gives a Config that has it.
func secured(t *testing.T) (*fake, Config) {
	t.Helper()
	server := startFake(t, nil)
	server.password = "secret"
	cfg := Config{Username: "root", PasswordFile: filepath.Join(t.TempDir(), "password")}
	write(t, cfg.PasswordFile, []byte("secret\n"))
	return server, cfg
}

// reads puts many questions at once.
func reads(t *testing.T, client *Client) {
	t.Helper()
	for _, err := range Each(make([]int, 16), func(int) error { return client.Read(t.Context(), Read{}) }) {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestTokenIsFetchedOnceAConnection(t *testing.T) {
	server, cfg := secured(t)
	client := clusterAt(t, cfg, "http://"+server.address).Client("http://" + server.address)
	reads(t, client)
	reads(t, client)
	if n := server.called("Authenticate"); n != 1 {
		t.Errorf("Authenticate was asked %d times, want 1", n)
	}
	for range 3 { // the server forgot it: it is renewed once, however many requests saw that
		before := server.called("Authenticate")
		server.set(func() { server.token = "another" })
		reads(t, client)
		if n := server.called("Authenticate") - before; n != 1 {
			t.Errorf("a stale token was renewed %d times, want 1", n)
		}
	}
	if n := server.conns.n.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestAuthenticationIsTurnedOnAndOff(t *testing.T) {
	server, cfg := secured(t)
	server.password = ""
	client := clusterAt(t, cfg, "http://"+server.address).Client("http://" + server.address)
	reads(t, client)
	server.set(func() { server.password = "secret" })
	reads(t, client)
	server.set(func() { server.password = "" })
	reads(t, client)
}

// TestPasswordIsChanged: under a live connection, for etcd and not for us. It stays
// refused, since without a token etcd may take us for the user of a certificate.
func TestPasswordIsChanged(t *testing.T) {
	server, cfg := secured(t)
	client := clusterAt(t, cfg, "http://"+server.address).Client("http://" + server.address)
	reads(t, client)
	server.set(func() { server.password, server.token, server.known = "changed", "another", true })
	for range 3 {
		for _, err := range Each(make([]int, 16), func(int) error { return client.Read(t.Context(), Read{}) }) {
			if Classify(err) != ReasonAuth {
				t.Errorf("error %v, want that the password is refused", err)
			}
		}
	}
	write(t, cfg.PasswordFile, []byte("changed"))
	if _, err := client.dialer.secrets.refresh(); err != nil {
		t.Fatal(err)
	}
	reads(t, client)
}

func TestWrongPassword(t *testing.T) {
	server, cfg := secured(t)
	write(t, cfg.PasswordFile, []byte("wrong"))
	entered := make(chan struct{}, 100)
	release := make(chan struct{})
	server.answer = func(_ context.Context, method string) error {
		if method == "Authenticate" {
			entered <- struct{}{}
			<-release
		}
		return nil
	}
	c := clusterAt(t, cfg, "http://"+server.address)
	client := c.Client("http://" + server.address)
	done := make(chan []error, 1)
	go func() {
		done <- Each(make([]int, 8), func(int) error { return client.Read(t.Context(), Read{}) })
	}()
	<-entered
	close(release)
	for _, err := range <-done {
		if Classify(err) != ReasonAuth {
			t.Errorf("reason %q: %v", Classify(err), err)
		}
	}
	if reason, err := scrape(t, c, time.Second); reason != ReasonAuth {
		t.Errorf("Status: %q, %v", reason, err)
	}
	write(t, cfg.PasswordFile, []byte("secret"))
	if reason, err := scrape(t, c, time.Second); err != nil {
		t.Errorf("with the right password: %s, %v", reason, err)
	}
	reads(t, client)
}

// Without a quorum no token is to be had; Status answers all the same.
func TestStatusWithoutToken(t *testing.T) {
	for name, answer := range map[string]func(context.Context, string) error{
		"hangs": hang("Authenticate"),
		"refuses": func(_ context.Context, method string) error {
			if method == "Authenticate" {
				return rpctypes.ErrGRPCNoLeader
			}
			return nil
		},
	} {
		server, cfg := secured(t)
		server.answer = answer
		c := clusterAt(t, cfg, "http://"+server.address)
		for range 2 {
			if reason, err := scrape(t, c, 300*time.Millisecond); err != nil {
				t.Errorf("%s: %s, %v", name, reason, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := c.Client("http://"+server.address).Read(ctx, Read{}); err == nil {
			t.Errorf("%s: a read passes without a token", name)
		}
		server.set(func() { server.answer = nil }) // a leader is there again
		if err := c.Client("http://"+server.address).Read(t.Context(), Read{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := server.conns.n.Load(); n != 1 {
			t.Errorf("%s: %d connections, want 1", name, n)
		}
	}
}

func TestPasswordOnlyOverVerifiedTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	server := startFake(t, ca.server(t, time.Now().Add(time.Hour), nil))
	server.password = "secret"
	_, cfg := secured(t)
	cfg.InsecureSkipVerify = true
	c := clusterAt(t, cfg, "https://"+server.address)
	if reason, err := scrape(t, c, time.Second); reason != ReasonAuth {
		t.Errorf("reason %q, %v", reason, err)
	}
	if n := server.called("Authenticate"); n != 0 {
		t.Errorf("the password was sent %d times", n)
	}
}
