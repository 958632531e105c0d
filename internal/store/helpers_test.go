// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// write makes a file that was last changed some time ago.
func write(t *testing.T, name, content string, ago time.Duration) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	touch(t, name, ago)
}

func touch(t *testing.T, name string, ago time.Duration) {
	t.Helper()
	at := time.Now().Add(-ago)
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, cfg Config) Store {
	t.Helper()
	if cfg.Pattern == "" {
		cfg.Pattern = "*.db"
	}
	s, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func list(t *testing.T, s Store) []Object {
	t.Helper()
	objects, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// found gives names with the reason of their problem, newest first.
func found(objects []Object) []string {
	var names []string
	for _, o := range objects {
		name := o.Name
		if o.Problem != nil {
			name += " " + o.Problem.Reason
		}
		names = append(names, name)
	}
	return names
}

func wantFound(t *testing.T, objects []Object, want ...string) {
	t.Helper()
	if got := found(objects); !slices.Equal(got, want) {
		t.Errorf("found %q\n want %q", got, want)
	}
}

func one(t *testing.T, objects []Object, name string) Object {
	t.Helper()
	i := slices.IndexFunc(objects, func(o Object) bool { return o.Name == name })
	if i < 0 {
		t.Fatalf("%s is not listed: %q", name, found(objects))
	}
	return objects[i]
}

func content(t *testing.T, s Store, o Object) string {
	t.Helper()
	r, err := s.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open %s: %v", o.Name, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %s: %v", o.Name, err)
	}
	return string(data)
}

// reasonOf gives the reason of a Problem, "changed", or the error's text.
func reasonOf(err error) string {
	var p *Problem
	switch {
	case err == nil:
		return ""
	case errors.As(err, &p):
		return p.Reason
	case errors.Is(err, ErrChanged):
		return "changed"
	}
	return err.Error()
}

// testKey makes a private key in PEM.
func testKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
