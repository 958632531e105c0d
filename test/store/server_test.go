// SPDX-License-Identifier: Apache-2.0

// Package store shows internal/store against an S3 server over HTTP.
package store

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	snapshots "github.com/etcdops/etcdops/internal/store"
)

const (
	bucket = "snapshots"
	access = "access-canary"
	secret = "secret-canary"
)

// s3 is an S3 server in memory. What comes in is counted, and may be answered by
// intercept instead.
type s3 struct {
	*httptest.Server
	backend  *s3mem.Backend
	written  time.Time // of all objects
	requests atomic.Int64

	mu        sync.Mutex
	methods   map[string]int
	intercept func(http.ResponseWriter, *http.Request) bool // true: answered
}

func newS3(t *testing.T) *s3 { return newS3At(t, time.Now()) }

// newS3At has objects that were all written at one time.
func newS3At(t *testing.T, written time.Time) *s3 {
	t.Helper()
	s := &s3{backend: s3mem.New(s3mem.WithTimeSource(gofakes3.FixedTimeSource(written))), written: written, methods: map[string]int{}}
	if err := s.backend.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(s.backend).Server()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.mu.Lock()
		s.methods[r.Method]++
		intercept := s.intercept
		s.mu.Unlock()
		if intercept == nil || !intercept(w, r) {
			fake.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		if n := s.methods[http.MethodPut] + s.methods[http.MethodPost] + s.methods[http.MethodDelete]; n > 0 {
			t.Errorf("%d requests that write: %v", n, s.methods)
		}
	})
	return s
}

func (s *s3) answers(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// put stores an object past the HTTP server, which is for reading alone.
func (s *s3) put(t *testing.T, name, content string) {
	t.Helper()
	meta := map[string]string{"Last-Modified": s.written.UTC().Format(http.TimeFormat)}
	if _, err := s.backend.PutObject(bucket, name, meta, strings.NewReader(content), int64(len(content)), nil); err != nil {
		t.Fatal(err)
	}
}

func (s *s3) remove(t *testing.T, name string) {
	t.Helper()
	if _, err := s.backend.DeleteObject(bucket, name); err != nil {
		t.Fatal(err)
	}
}

func (s *s3) config(prefix string) snapshots.Config {
	return snapshots.Config{Pattern: "*.db", ObjStore: &snapshots.ObjStoreConfig{
		Type: "S3", Prefix: prefix,
		Config: fmt.Appendf(nil, "bucket: %s\nendpoint: %s\ninsecure: true\naccess_key: %s\nsecret_key: %s\n",
			bucket, strings.TrimPrefix(s.URL, "http://"), access, secret),
	}}
}

func open(t *testing.T, cfg snapshots.Config) snapshots.Store {
	t.Helper()
	s, err := snapshots.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func list(t *testing.T, s snapshots.Store) []snapshots.Object {
	t.Helper()
	objects, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func content(t *testing.T, s snapshots.Store, o snapshots.Object) string {
	t.Helper()
	r, err := s.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// clearLine checks an error for one short line without a key in it.
func clearLine(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("no error, want %q", want)
	case !strings.Contains(err.Error(), want):
		t.Errorf("error %q, want %q in it", err, want)
	case strings.Contains(err.Error(), "\n") || len(err.Error()) > 400:
		t.Errorf("error of %d bytes: %q", len(err.Error()), err)
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, access) || strings.Contains(text, secret) {
		t.Errorf("the error shows a key: %s", text)
	}
}
