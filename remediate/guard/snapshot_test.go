// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
	"github.com/etcdops/etcdops/remediate"
)

// aSnapshot is a whole snapshot file whose newest revision is n+1.
func aSnapshot(t *testing.T, n int) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "db")
	db, err := bolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		keys, err := tx.CreateBucket([]byte("key"))
		for i := range n {
			revision := []byte{0, 0, 0, 0, 0, 0, 0, byte(i + 2), '_', 0, 0, 0, 0, 0, 0, 0, 0}
			key := fmt.Sprintf("key-%03d", i)
			record := append([]byte{0x0a, byte(len(key))}, key...)
			record = append(record, 0x10, byte(i+2), 0x18, byte(i+2), 0x20, 1) // created and changed at, version
			err = errors.Join(err, keys.Put(revision, record))
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return append(content, sum[:]...)
}

// backup is a store with the snapshot in it, that old.
func backup(t *testing.T, content []byte, age time.Duration) remediate.Backup {
	t.Helper()
	dir := t.TempDir()
	if content != nil {
		file := filepath.Join(dir, "a.db")
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(file, content, 0o600), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	return backupAt(t, dir)
}

func backupAt(t *testing.T, dir string) remediate.Backup {
	t.Helper()
	files, err := store.New(store.Config{Path: dir, Pattern: "*.db"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	return remediate.Backup{Name: "local", Directory: dir, Store: files, Judge: judge.New(judge.Options{Store: files, Verify: true, Log: slog.New(slog.DiscardHandler)})}
}

func TestSnapshot(t *testing.T) {
	sound := aSnapshot(t, 5) // ends at revision 6
	damaged := append([]byte(nil), sound...)
	damaged[len(damaged)/2] ^= 1
	with := func(all ...remediate.Backup) func(*scene) {
		return func(s *scene) {
			s.become(remediate.ActionPruneEvents, remediate.StepPrune)
			s.Policy.RequireSnapshot, s.Now, s.Backups = 24*time.Hour, time.Now, all
		}
	}
	young := func() remediate.Backup { return backup(t, sound, time.Hour) }
	taken := func(took time.Duration, file string) *remediate.Step {
		now := time.Now()
		return &remediate.Step{Action: remediate.StepSnapshot, StartedAt: now.Add(-took), FinishedAt: now.Add(-took), File: file}
	}
	and := func(first func(*scene), more func(*scene)) func(*scene) { return func(s *scene) { first(s); more(s) } }
	verdicts(t, "snapshot", unseen(
		row{"young and sound", with(young()), "", 0},
		row{"one of two stores", with(backup(t, nil, 0), young()), "", 0},
		row{"too old", with(backup(t, sound, 25*time.Hour)), "no sound snapshot younger than 24h0m0s: local: the newest sound one, a.db, is 25h0m", 0},
		row{"damaged", with(backup(t, damaged, time.Hour)), "none is known to be sound (checksum", 0},
		row{"none", with(backup(t, nil, 0)), "none is known to be sound", 0},
		row{"no store", with(), "the cluster has no store of snapshots", 0},
		row{"no directory", with(backupAt(t, "/nowhere/at/all")), "no such file or directory", 0},
		row{"not judged", with(remediate.Backup{Name: "local"}), "its snapshots are not judged", 0},
		row{"of another history", and(with(young()), func(s *scene) {
			s.each(func(m *remediate.Member) { m.Status.Revision = 5 })
		}), "a.db holds revision 6, and the cluster is at 5", 0},
		row{"a copy of an old one", and(with(young()), func(s *scene) { s.history.revision = 500 }), "a.db ends at revision 6, which was passed more than 24h0m0s ago (500)", 0},
		row{"no copy", and(with(young()), func(s *scene) { s.history.revision = 6 }), "", 0},
		row{"nobody watches", and(with(young()), func(s *scene) { s.History = nil }), "", 0},
		row{"none is needed", and(with(), func(s *scene) { s.Policy.RequireSnapshot = 0 }), "", 0},
		row{"no prune", and(with(), func(s *scene) { s.step.Action = remediate.StepCompact }), "", 0},
		row{"before the plan", and(with(), func(s *scene) { s.step.Action = "" }), "the cluster has no store", 0},
		row{"recover_space prunes", and(with(), func(s *scene) { s.become(remediate.ActionRecoverSpace, remediate.StepPrune) }), "the cluster has no store", 0},
		row{"recover_space, before the plan", and(with(), func(s *scene) { s.become(remediate.ActionRecoverSpace, "") }), "", 0},
		row{"no clock", and(with(young()), func(s *scene) { s.Now = nil }), "error: there is no clock", 0},

		row{"this run took one", and(with(), func(s *scene) { s.Run.Steps = []*remediate.Step{taken(time.Minute, "/b/x.db")} }), "", 0},
		row{"this run took one long ago", and(with(), func(s *scene) { s.Run.Steps = []*remediate.Step{taken(25*time.Hour, "/b/x.db")} }), "the cluster has no store", 0},
		row{"this run took none", and(with(), func(s *scene) { s.Run.Steps = []*remediate.Step{taken(time.Minute, "")} }), "the cluster has no store", 0},
		row{"this run failed to", and(with(), func(s *scene) {
			s.Run.Steps = []*remediate.Step{taken(time.Minute, "/b/x.db")}
			s.Run.Steps[0].Error = "disk full"
		}), "the cluster has no store", 0},
		row{"a plan would take one", and(with(), func(s *scene) { s.Acting, s.Run.Steps = false, []*remediate.Step{{Action: remediate.StepSnapshot}} }), "", 0},
		row{"a plan is no deed", and(with(), func(s *scene) { s.Run.Steps = []*remediate.Step{{Action: remediate.StepSnapshot}} }), "the cluster has no store", 0},
	))
}

// TestSnapshotIsJudgedAnew: a list with a sound one is good for a while, one without is
// not; an end of ctx refuses.
func TestSnapshotIsJudgedAnew(t *testing.T) {
	s := well()
	s.become(remediate.ActionPruneEvents, remediate.StepPrune)
	b := backup(t, nil, 0)
	s.Policy.RequireSnapshot, s.Now, s.Backups = 24*time.Hour, time.Now, []remediate.Backup{b}
	if says, _ := s.ask(t.Context(), "snapshot"); says == "" {
		t.Fatal("an empty store is enough")
	}
	if err := os.WriteFile(filepath.Join(b.Directory, "a.db"), aSnapshot(t, 5), 0o600); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if says, _ := s.ask(ended, "snapshot"); says == "" {
		t.Error("a snapshot that could not be judged is enough")
	}
	if says, _ := s.ask(t.Context(), "snapshot"); says != "" {
		t.Errorf("the new snapshot does not count: %s", says)
	}
	if err := os.Remove(filepath.Join(b.Directory, "a.db")); err != nil {
		t.Fatal(err)
	}
	if says, _ := s.ask(t.Context(), "snapshot"); says != "" {
		t.Errorf("the store is listed before each step: %s", says)
	}
	later := time.Now().Add(listAge)
	s.Now = func() time.Time { return later }
	if says, _ := s.ask(t.Context(), "snapshot"); says == "" {
		t.Error("a snapshot that is gone counts")
	}
}
