// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSecretsRotation(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t, "first")
	cfg := ca.files(t, dir)
	cfg.Username, cfg.PasswordFile = "root", filepath.Join(dir, "password")
	write(t, cfg.PasswordFile, []byte("secret\r\n"))
	s := &secrets{cfg: &cfg}
	step := func(what string, wantChanged, wantErr bool, version int, password string) {
		t.Helper()
		changed, err := s.refresh()
		if changed != wantChanged || (err != nil) != wantErr {
			t.Errorf("%s: changed %v, error %v", what, changed, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") && !strings.Contains(cfg.PasswordFile, "secret") {
			t.Errorf("%s: the error tells the password: %v", what, err)
		}
		_, gotPassword, gotVersion, err := s.current()
		if err != nil || gotVersion != version || gotPassword != password {
			t.Errorf("%s: version %d with %q, want %d with %q (%v)", what, gotVersion, gotPassword, version, password, err)
		}
	}
	step("first", false, false, 1, "secret")
	step("same", false, false, 1, "secret")

	cert, key := ca.leaf(t, "second", time.Now().Add(time.Hour))
	write(t, cfg.CertFile, cert)
	step("certificate before its key", false, true, 1, "secret")
	step("logged once", false, false, 1, "secret")
	write(t, cfg.KeyFile, key[:len(key)/2])
	step("half a key", false, true, 1, "secret")
	write(t, cfg.KeyFile, key)
	step("both", true, false, 2, "secret")
	if leaf, cas := s.certificates(); leaf.Subject.CommonName != "second" || len(cas) != 1 {
		t.Errorf("leaf %v, %d CAs", leaf.Subject, len(cas))
	}

	write(t, cfg.PasswordFile, nil)
	step("password file empty", false, true, 2, "secret")
	write(t, cfg.PasswordFile, []byte("other"))
	step("password", true, false, 3, "other")

	write(t, cfg.CAFile, ca.pem[:len(ca.pem)/2])
	step("half a CA", false, true, 3, "other")
	if err := os.Remove(cfg.CAFile); err != nil {
		t.Fatal(err)
	}
	step("no CA", false, true, 3, "other")
	step("no CA, logged once", false, false, 3, "other")
	write(t, cfg.CAFile, ca.pem)
	step("the old files again", false, false, 3, "other")
	if err := os.Remove(cfg.CAFile); err != nil {
		t.Fatal(err)
	}
	step("no CA again is news again", false, true, 3, "other")
	write(t, cfg.CAFile, append([]byte("a comment\n"), append(ca.pem, newAuthority(t, "next").pem...)...))
	step("two CAs", true, false, 4, "other")
	if _, cas := s.certificates(); len(cas) != 2 {
		t.Errorf("%d CAs, want 2", len(cas))
	}
}

func TestSecretsUnreadableFromTheStart(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   Reason
	}{
		{"CA", func(c *Config) { c.CAFile = "missing" }, ReasonTLS},
		{"key", func(c *Config) { c.KeyFile = c.CAFile }, ReasonTLS},
		{"password", func(c *Config) { c.Username, c.PasswordFile = "root", "missing" }, ReasonAuth},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			cfg := newAuthority(t, "ca").files(t, t.TempDir())
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			test.change(&cfg)
			c := clusterAt(t, cfg, "https://127.0.0.1:1")
			for range 3 {
				if reason, err := scrape(t, c, time.Second); reason != test.want {
					t.Errorf("reason %q (%v), want %q", reason, err, test.want)
				}
			}
			if n := strings.Count(log.String(), "secret files cannot be used"); n != 1 {
				t.Errorf("logged %d times:\n%s", n, &log)
			}
		})
	}
}

// A rotated client certificate or CA takes effect with the next View, for gRPC
// and HTTP.
func TestRotationReachesConnections(t *testing.T) {
	dir, first, second := t.TempDir(), newAuthority(t, "first"), newAuthority(t, "second")
	server := startFake(t, first.server(t, time.Now().Add(time.Hour), first))
	c := clusterAt(t, first.files(t, dir), "https://"+server.address)
	for range 2 {
		if reason, err := scrape(t, c, 2*time.Second); err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
	}
	if n := server.conns.n.Load(); n != 1 {
		t.Errorf("%d connections for two rounds, want 1", n)
	}
	second.files(t, dir)
	if reason, err := scrape(t, c, 2*time.Second); reason != ReasonTLS {
		t.Errorf("with a CA that is not the server's: %q, %v", reason, err)
	}
	first.files(t, dir)
	if reason, err := scrape(t, c, 2*time.Second); err != nil {
		t.Errorf("with the right files again: %s, %v", reason, err)
	}
	server.stop()
	server.start(t, second.server(t, time.Now().Add(time.Hour), second))
	if reason, err := scrape(t, c, 2*time.Second); reason != ReasonTLS {
		t.Errorf("the server has a new CA, we do not: %q, %v", reason, err)
	}
	second.files(t, dir)
	if reason, err := scrape(t, c, 2*time.Second); err != nil {
		t.Errorf("the new CA is there: %s, %v", reason, err)
	}
}

// A request that is under way when a rotation closes its connection is asked again.
func TestRotationDoesNotFailRequestsUnderWay(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t, "ca")
	server := startFake(t, ca.server(t, time.Now().Add(time.Hour), ca))
	entered, once := make(chan struct{}), make(chan struct{}, 1)
	once <- struct{}{}
	server.answer = func(ctx context.Context, method string) error {
		if method != "Range" {
			return nil
		}
		select {
		case <-once:
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		default:
			return nil
		}
	}
	c := clusterAt(t, ca.files(t, dir), "https://"+server.address)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	view := c.View(ctx)
	read := make(chan error, 1)
	go func() {
		_, err := view.Check(ctx, view.Endpoints()[0], true)
		read <- err
	}()
	<-entered
	ca.files(t, dir) // a new pair
	if _, err := scrape(t, c, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Errorf("the read failed: %v", err)
	}
	if len(c.memory.Errors()) > 0 {
		t.Errorf("errors are counted: %v", c.memory.Errors())
	}
}

func TestSecretErrorUnwraps(t *testing.T) {
	cfg := Config{CAFile: filepath.Join(t.TempDir(), "missing")}
	if _, err := (&secrets{cfg: &cfg}).refresh(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("refresh = %v", err)
	}
	if _, _, _, err := (&secrets{cfg: &cfg}).current(); err == nil {
		t.Error("secrets that were never read give no error")
	}
}
