// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	snapshots "github.com/etcdops/etcdops/internal/store"
)

func TestPrefix(t *testing.T) {
	server := newS3(t)
	for _, name := range []string{"prod/a.db", "prod/deep/b.db", "prod/c.txt", "prod.db", "production/d.db", "e.db"} {
		server.put(t, name, "content of "+name)
	}
	for prefix, want := range map[string]string{"prod/": "a.db", "prod": "a.db", "/prod/": "a.db", "prod/deep": "b.db", "": "e.db prod.db", "none/": ""} {
		s := open(t, server.config(prefix))
		var names []string
		for _, o := range list(t, s) {
			names = append(names, o.Name)
			if got := content(t, s, o); !strings.HasSuffix(got, o.Name) || int64(len(got)) != o.Size || o.Problem != nil || time.Since(o.Time) > time.Hour {
				t.Errorf("prefix %q: %+v holds %q", prefix, o, got)
			}
		}
		for name := range strings.FieldsSeq(want) {
			if !strings.Contains(strings.Join(names, " "), name) {
				t.Errorf("prefix %q: found %q, want %s", prefix, names, want)
			}
		}
		if len(names) != len(strings.Fields(want)) {
			t.Errorf("prefix %q: found %q, want %s", prefix, names, want)
		}
	}
}

// TestThousandObjects counts what a check costs: a request for each thousand names
// and, once, one for each of the ten newest.
func TestThousandObjects(t *testing.T) {
	server := newS3At(t, time.Now().Add(-time.Hour))
	for i := range 1000 {
		server.put(t, fmt.Sprintf("prod/etcd-%s.db", time.Date(2026, 1, 1, i, 0, 0, 0, time.UTC).Format("20060102-1504")), "x")
	}
	cfg := server.config("prod/")
	cfg.TimeFromName = "20060102-1504"
	s := open(t, cfg)
	objects := list(t, s)
	if len(objects) != 1000 || objects[0].Name != "etcd-20260211-1500.db" || objects[999].Name != "etcd-20260101-0000.db" {
		t.Fatalf("%d objects, from %s to %s", len(objects), objects[0].Name, objects[len(objects)-1].Name)
	}
	if objects[9].Size != 1 || objects[10].Size != -1 {
		t.Errorf("sizes %d and %d", objects[9].Size, objects[10].Size)
	}
	cold := server.requests.Load()
	list(t, s)
	warm := server.requests.Load() - cold
	t.Logf("first check: %d requests, second: %d", cold, warm)
	if cold > 12 || warm > 1 {
		t.Errorf("first check: %d requests, second: %d", cold, warm)
	}
	if got := content(t, s, objects[500]); got != "x" {
		t.Errorf("an object that was not asked for its size holds %q", got)
	}
}

func TestChanged(t *testing.T) {
	server := newS3(t)
	server.put(t, "a.db", "first")
	server.put(t, "b.db", "first")
	s := open(t, server.config(""))
	objects := list(t, s)
	server.put(t, objects[0].Name, "other")
	server.remove(t, objects[1].Name)
	for _, o := range objects {
		if _, err := s.Open(t.Context(), o); !errors.Is(err, snapshots.ErrChanged) {
			t.Errorf("%s opened after it changed: %v", o.Name, err)
		}
	}
	again := list(t, s)
	if len(again) != 1 || again[0].Version == objects[0].Version || content(t, s, again[0]) != "other" {
		t.Errorf("listed again: %+v", again)
	}
}

// refused answers as S3 does when the signature is wrong.
func refused(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusForbidden)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match the signature `+
			`you provided. Check your key and signing method.</Message><AWSAccessKeyId>`+access+`</AWSAccessKeyId><StringToSign>`+secret+`</StringToSign></Error>`)
	}
	return true
}

func TestWrongCredentials(t *testing.T) {
	server := newS3(t)
	server.put(t, "a.db", "x")
	s := open(t, server.config(""))
	o := list(t, s)[0]
	server.answers(refused)
	_, err := s.List(t.Context())
	clearLine(t, err, "list S3 bucket snapshots: the server answers 403 SignatureDoesNotMatch: The request signature")
	_, err = s.Open(t.Context(), o)
	clearLine(t, err, "403 SignatureDoesNotMatch")
	if p := new(snapshots.Problem); !errors.As(err, &p) || p.Reason != snapshots.ReasonUnreadable {
		t.Errorf("open: %v", err)
	}
	server.answers(func(w http.ResponseWriter, r *http.Request) bool { return r.Method == http.MethodHead && refused(w, r) })
	fresh := list(t, open(t, server.config("")))
	if len(fresh) != 1 || fresh[0].Problem == nil || fresh[0].Problem.Reason != snapshots.ReasonUnreadable {
		t.Errorf("may list and not read: %+v", fresh)
	}
}

func TestMissingBucket(t *testing.T) {
	server := newS3(t)
	cfg := server.config("")
	cfg.ObjStore.Config = []byte(strings.Replace(string(cfg.ObjStore.Config), bucket, "nosuchbucket", 1))
	_, err := open(t, cfg).List(t.Context())
	clearLine(t, err, "404 NoSuchBucket")
}

func TestStoppedServer(t *testing.T) {
	server := newS3(t)
	server.put(t, "a.db", "x")
	s := open(t, server.config(""))
	o := list(t, s)[0]
	server.Close()
	start := time.Now()
	_, err := s.List(t.Context())
	clearLine(t, err, "connection refused")
	_, err = s.Open(t.Context(), o)
	clearLine(t, err, "connection refused")
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the retries took %s", took)
	}
}

func TestHangingServer(t *testing.T) {
	server := newS3(t)
	server.put(t, "a.db", "x")
	s := open(t, server.config(""))
	o := list(t, s)[0]
	release := make(chan struct{})
	defer close(release)
	server.answers(func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	})
	for what, call := range map[string]func(context.Context) error{
		"list": func(ctx context.Context) error { _, err := s.List(ctx); return err },
		"open": func(ctx context.Context) error { _, err := s.Open(ctx, o); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		start := time.Now()
		err := call(ctx)
		cancel()
		clearLine(t, err, "deadline exceeded")
		if took := time.Since(start); took > 2*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v after %s", what, err, took)
		}
	}
}

// TestSlowServer reads an object whose bytes trickle in, to the end and then with a
// deadline in the middle.
func TestSlowServer(t *testing.T) {
	server := newS3(t)
	server.put(t, "a.db", strings.Repeat("x", 40))
	s := open(t, server.config(""))
	o := list(t, s)[0]
	server.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.URL.RawQuery != "" {
			return false
		}
		w.Header().Set("Content-Length", "40")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", `"`+strings.TrimPrefix(o.Version, "etag ")+`"`)
		for range 40 {
			if _, err := io.WriteString(w, "x"); err != nil {
				return true
			}
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond) // the slowness itself
		}
		return true
	})
	if got := content(t, s, o); len(got) != 40 {
		t.Errorf("read %d bytes", len(got))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	r, err := s.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if n == 40 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read %d bytes in spite of the deadline: %v", n, err)
	}
}

func TestCutOff(t *testing.T) {
	server := newS3(t)
	server.put(t, "a.db", strings.Repeat("x", 40))
	s := open(t, server.config(""))
	o := list(t, s)[0]
	server.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.URL.RawQuery != "" {
			return false
		}
		w.Header().Set("Content-Length", "40")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", `"`+strings.TrimPrefix(o.Version, "etag ")+`"`)
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	})
	r, err := s.Open(t.Context(), o)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		r.Close()
	}
	clearLine(t, err, "S3 bucket snapshots")
}

// TestProxyVariables shows that no proxy of the environment is asked.
func TestProxyVariables(t *testing.T) {
	// net/http never sends requests for this host's own addresses to a proxy, so the
	// endpoint has a name, which nobody knows.
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:9")
	t.Setenv("http_proxy", "http://127.0.0.1:9")
	cfg := snapshots.Config{Pattern: "*.db", ObjStore: &snapshots.ObjStoreConfig{
		Type: "S3", Config: []byte("bucket: bbb\nendpoint: s3.invalid\ninsecure: true\naccess_key: " + access + "\nsecret_key: " + secret),
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := open(t, cfg).List(ctx)
	clearLine(t, err, "s3.invalid")
	if strings.Contains(err.Error(), "127.0.0.1:9") || strings.Contains(err.Error(), "proxy") {
		t.Errorf("asked a proxy: %v", err)
	}
}

// TestMemory reads 1 GiB and holds nearly nothing of it.
func TestMemory(t *testing.T) {
	const size = 1 << 30
	server := newS3(t)
	server.put(t, "a.db", "x")
	s := open(t, server.config(""))
	o := list(t, s)[0]
	server.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.URL.RawQuery != "" {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(size))
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", `"`+strings.TrimPrefix(o.Version, "etag ")+`"`)
		block := make([]byte, 64<<10)
		for range size / len(block) {
			if _, err := w.Write(block); err != nil {
				break
			}
		}
		return true
	})
	r, err := s.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := anonymous(t)
	var most int64
	buffer := make([]byte, 256<<10)
	for n, reads := int64(0), 0; ; reads++ {
		got, err := r.Read(buffer)
		n += int64(got)
		if reads%1000 == 0 {
			most = max(most, anonymous(t))
		}
		if errors.Is(err, io.EOF) {
			if n != size {
				t.Errorf("read %d bytes", n)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("anonymous memory: %d kB before, at most %d kB more", before>>10, (most-before)>>10)
	if most-before > 20<<20 {
		t.Errorf("%d kB above idle", (most-before)>>10)
	}
}

// anonymous is this process's anonymous memory, in bytes.
func anonymous(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
	var kb int64
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "RssAnon:") {
			_, _ = fmt.Sscanf(line, "RssAnon: %d kB", &kb)
		}
	}
	return kb << 10
}
