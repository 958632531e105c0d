// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/etcdops/etcdops/internal/store"
)

// place is a directory of snapshots and the judge of it, with a clock of its own.
type place struct {
	*testing.T
	directory string
	now       time.Time
	judge     *Judge
}

func newPlace(t *testing.T, scratch string) *place {
	t.Helper()
	p := &place{T: t, directory: t.TempDir(), now: time.Now()}
	files, err := store.New(store.Config{Path: p.directory, Pattern: "*"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	p.judge = New(Options{Store: files, Verify: true, Inspector: Inspector{Scratch: scratch}, Log: slog.New(slog.DiscardHandler)})
	p.judge.now = func() time.Time { return p.now }
	return p
}

// write puts a file there, last changed so long ago.
func (p *place) write(name string, content []byte, age time.Duration) {
	p.Helper()
	path := filepath.Join(p.directory, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		p.Fatal(err)
	}
	p.age(name, age)
}

func (p *place) age(name string, age time.Duration) {
	p.Helper()
	at := p.now.Add(-age)
	if err := os.Chtimes(filepath.Join(p.directory, name), at, at); err != nil {
		p.Fatal(err)
	}
}

// look lists and reads all that is worth it.
func (p *place) look() Report {
	p.Helper()
	if err := p.judge.Check(p.Context()); err != nil {
		p.Fatal(err)
	}
	for p.judge.Next(p.Context()) {
	}
	return p.judge.Report()
}

// aSnapshot is a whole snapshot file of n keys, each at a revision of its own.
func aSnapshot(t *testing.T, n int) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "db")
	db, err := bolt.Open(name, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		keys, err := tx.CreateBucket([]byte("key"))
		if err != nil {
			return err
		}
		for i := range n {
			revision := []byte{0, 0, 0, 0, 0, 0, 0, byte(i + 2), '_', 0, 0, 0, 0, 0, 0, 0, 0}
			key := fmt.Sprintf("key-%03d", i)
			record := append([]byte{0x0a, byte(len(key))}, key...)
			record = append(record, 0x10, byte(i+2), 0x18, byte(i+2), 0x20, 1) // created and changed at, version
			if err := keys.Put(revision, record); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return append(content, sum[:]...)
}

func compressed(t *testing.T, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func flipped(content []byte) []byte {
	bad := slices.Clone(content)
	bad[len(bad)/2] ^= 1
	return bad
}

func (p *place) wantNewest(r Report, name string, sound bool) {
	p.Helper()
	if r.Newest == nil || r.Newest.Name != name || r.Newest.Verdict == nil || r.Newest.Verdict.Sound != sound {
		p.Fatalf("newest %+v, want %s, sound %v", r.Newest, name, sound)
	}
}
