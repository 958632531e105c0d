// SPDX-License-Identifier: Apache-2.0

package action

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/remediate"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const noonName = "prod-20261123T120000Z.db"

// etcdSnapshot is what a member with so many keys sends; its revision is one more.
func etcdSnapshot(t *testing.T, keys int) []byte {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "db"), 0o600, &bolt.Options{NoSync: true, PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out bytes.Buffer
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket([]byte("meta")); err != nil {
			return err
		}
		bucket, err := tx.CreateBucket([]byte("key"))
		for i := range keys {
			revision := int64(i + 2)
			name := binary.BigEndian.AppendUint64(nil, uint64(revision))
			name = binary.BigEndian.AppendUint64(append(name, '_'), 0)
			value, _ := proto.Marshal(&mvccpb.KeyValue{Key: fmt.Appendf(nil, "k%04d", i), Value: []byte("v"), CreateRevision: revision, ModRevision: revision, Version: 1})
			err = errors.Join(err, bucket.Put(name, value))
		}
		return err
	})
	if err == nil {
		err = db.View(func(tx *bolt.Tx) error {
			_, err := tx.WriteTo(&out)
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(out.Bytes())
	return append(out.Bytes(), sum[:]...)
}

// shelf is a cluster with a directory store and a snapshot of 100 keys to send.
type shelf struct {
	*stage
	dir     string
	content []byte
	cluster *remediate.Cluster
	action  *takeSnapshot
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{stage: newStage(3), dir: t.TempDir(), content: etcdSnapshot(t, 100)}
	s.revision = 101
	for i := range s.members {
		s.members[i].Status.DBSize = int64(len(s.content))
	}
	s.write = func(_ context.Context, w io.Writer) error {
		_, err := w.Write(s.content)
		return err
	}
	log := slog.New(slog.DiscardHandler)
	files, err := store.New(store.Config{Path: s.dir, Pattern: "*.db"}, log)
	if err != nil {
		t.Fatal(err)
	}
	s.cluster = s.stage.cluster(remediate.Policy{Snapshot: &remediate.Snapshot{Store: "local", Keep: 2}})
	s.cluster.Backups = []remediate.Backup{
		{Name: "offsite", Pattern: "*.db"},
		{Name: "local", Directory: s.dir, Pattern: "*.db", Store: files},
	}
	s.cluster.Now = func() time.Time { return noon }
	s.action = newTakeSnapshot()
	return s
}

// put makes a file of that name, as old as it says.
func (s *shelf) put(t *testing.T, name string, age time.Duration) string {
	t.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, noon.Add(-age), noon.Add(-age)); err != nil {
		t.Fatal(err)
	}
	return file
}

// files are the names in the directory.
func (s *shelf) files(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (s *shelf) take(ctx context.Context, t *testing.T) *remediate.Run {
	t.Helper()
	return s.run(ctx, t, s.cluster, s.action)
}

func TestSnapshot(t *testing.T) {
	s := newShelf(t)
	run := s.take(t.Context(), t)
	wantOutcome(t, run, remediate.Succeeded, "")
	wantCalls(t, s.stage, "snapshot http://m2") // one, of a follower
	file := filepath.Join(s.dir, noonName)
	step := run.Steps[0]
	if step.File != file || step.Revision != 101 || step.Keys != 100 || step.AfterBytes != int64(len(s.content)) {
		t.Errorf("%+v", step)
	}
	content, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(content, s.content) {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := s.files(t); !slices.Equal(got, []string{noonName}) {
		t.Errorf("files %q", got)
	}
}

func TestSnapshotPlanWritesNothing(t *testing.T) {
	s := newShelf(t)
	s.cluster.Acting = false
	run := s.take(t.Context(), t)
	wantOutcome(t, run, remediate.Planned, "1 step")
	if reason := run.Steps[0].Reason; !strings.Contains(reason, noonName) || !strings.Contains(reason, "of m2 into "+s.dir) {
		t.Errorf("reason %q", reason)
	}
	if got := s.files(t); len(got) > 0 {
		t.Errorf("files %q", got)
	}
}

// TestSnapshotOrNothing: whatever goes wrong, no file is left, not even a part.
func TestSnapshotOrNothing(t *testing.T) {
	tests := []struct {
		name    string
		change  func(t *testing.T, s *shelf)
		outcome remediate.Outcome
		reason  string
	}{
		{"a flipped bit", func(_ *testing.T, s *shelf) { s.content[5000] ^= 1 }, remediate.Failed, "it is not sound: checksum_mismatch"},
		{"cut short", func(_ *testing.T, s *shelf) { s.content = s.content[:len(s.content)-100] }, remediate.Failed, "it is not sound"},
		{"no byte", func(_ *testing.T, s *shelf) { s.content = nil }, remediate.Failed, "it is not sound: empty"},
		{"something else", func(_ *testing.T, s *shelf) { s.content = bytes.Repeat([]byte("no"), 8192) }, remediate.Failed, "it is not sound: not_a_snapshot"},
		{"the sum is right and the pages are not", func(_ *testing.T, s *shelf) {
			body := s.content[:len(s.content)-32]
			clear(body[2*4096:])
			sum := sha256.Sum256(body)
			s.content = slices.Concat(body, sum[:])
		}, remediate.Failed, "it is not sound: damaged"},
		{"of a member that lags", func(_ *testing.T, s *shelf) { s.revision = 102 }, remediate.Failed, "it ends at revision 101, and the member was at 102 before"},
		{"the stream breaks", func(_ *testing.T, s *shelf) {
			s.write = func(_ context.Context, w io.Writer) error {
				_, _ = w.Write(s.content[:5000])
				return errors.New("connection lost")
			}
		}, remediate.Failed, "snapshot of m2: connection lost"},
		{"far more than its size", func(_ *testing.T, s *shelf) {
			s.write = func(_ context.Context, w io.Writer) error {
				for {
					if _, err := w.Write(make([]byte, 1<<20)); err != nil {
						return err
					}
				}
			}
		}, remediate.Failed, "sends far more than the size that it tells"},
		{"the store does not count it", func(t *testing.T, s *shelf) {
			files, err := store.New(store.Config{Path: s.dir, Pattern: "*.db", TimeFromName: "2006-01-02"}, s.cluster.Log)
			if err != nil {
				t.Fatal(err)
			}
			s.cluster.Backups[1].Store = files
		}, remediate.Failed, "store local would not count it: no_time_in_name"},
		{"a name that would not match", func(_ *testing.T, s *shelf) { s.cluster.Backups[1].Pattern = "etcd-*.db" }, remediate.Refused, `whose pattern is "etcd-*.db"`},
		{"not a directory store", func(_ *testing.T, s *shelf) { s.cluster.Policy.Snapshot.Store = "offsite" }, remediate.Refused, `no store "offsite" that is a plain directory`},
		{"no store", func(_ *testing.T, s *shelf) { s.cluster.Policy.Snapshot = nil }, remediate.Failed, "does not say where"},
		{"the directory is gone", func(_ *testing.T, s *shelf) { s.cluster.Backups[1].Directory += "/x" }, remediate.Failed, "free space"},
		{"too little room", func(_ *testing.T, s *shelf) {
			s.action.free = func(string) (int64, error) { return 2*int64(len(s.content)) - 1, nil }
		}, remediate.Refused, "is begun only where"},
		{"a database of no known size", func(_ *testing.T, s *shelf) {
			s.edit = func(o *remediate.Observation) {
				for i := range o.Members {
					o.Members[i].Status.DBSize = 0
				}
			}
		}, remediate.Refused, "does not tell the size"},
		{"less room than at planning", func(_ *testing.T, s *shelf) {
			asked := 0
			s.action.free = func(string) (int64, error) {
				if asked++; asked > 1 {
					return 0, nil
				}
				return 1 << 40, nil
			}
		}, remediate.Refused, "has 0 B free"},
		{"nobody to read from", func(_ *testing.T, s *shelf) {
			s.edit = func(o *remediate.Observation) {
				for i := range o.Members {
					o.Members[i].ReadErr = errors.New("timeout")
				}
			}
		}, remediate.Refused, "no voter answers"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newShelf(t)
			older := s.put(t, "prod-20261122T120000Z.db", 24*time.Hour)
			s.snapshots = []string{older}
			s.cluster.Policy.Snapshot.Keep = 1
			test.change(t, s)
			run := s.take(t.Context(), t)
			wantOutcome(t, run, test.outcome, test.reason)
			if got := s.files(t); !slices.Equal(got, []string{filepath.Base(older)}) {
				t.Errorf("files %q", got)
			}
			for _, step := range run.Steps {
				if step.File != "" || step.Removed != nil {
					t.Errorf("the step tells of %q, removed %q", step.File, step.Removed)
				}
			}
		})
	}
}

func TestSnapshotInterrupted(t *testing.T) {
	s := newShelf(t)
	ctx, stop := context.WithCancel(t.Context())
	s.write = func(_ context.Context, w io.Writer) error {
		_, _ = w.Write(s.content[:5000])
		stop()
		return errors.New("canceled in words of its own")
	}
	wantOutcome(t, s.take(ctx, t), remediate.Interrupted, "")
	if got := s.files(t); len(got) > 0 {
		t.Errorf("files %q", got)
	}
}

// TestSnapshotNeverOverwrites: whoever has the name keeps it.
func TestSnapshotNeverOverwrites(t *testing.T) {
	s := newShelf(t)
	file := s.put(t, noonName, 0)
	run := s.take(t.Context(), t)
	wantOutcome(t, run, remediate.Failed, "file exists")
	if content, err := os.ReadFile(file); err != nil || string(content) != "x" {
		t.Errorf("it holds %d bytes, %v", len(content), err)
	}
	if got := s.files(t); !slices.Equal(got, []string{noonName}) {
		t.Errorf("files %q", got)
	}
}
