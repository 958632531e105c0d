// SPDX-License-Identifier: Apache-2.0

package action_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

// TestSnapshot: a file that etcdutl and the exporter's judge call sound, while
// somebody writes; then a second one, after which the first goes.
func TestSnapshot(t *testing.T) {
	r := start(t, lab.Options{Members: 3})
	if err := r.lab.Load(t.Context(), lab.LoadOptions{Keys: 500}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files, err := store.New(store.Config{Path: dir, Pattern: "lab-*.db"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	backup := remediate.Backup{
		Name: "local", Directory: dir, Pattern: "lab-*.db", Store: files,
		Judge: judge.New(judge.Options{Store: files, Verify: true, Log: slog.New(slog.DiscardHandler)}),
	}
	take := func() *remediate.Run {
		c := r.cluster(remediate.Policy{Snapshot: &remediate.Snapshot{Store: "local", Keep: 1}}, true)
		c.Backups = []remediate.Backup{backup}
		return r.execute(t, c, remediate.ActionSnapshot)
	}

	before := r.head(t)
	stop := r.keepWriting(t)
	run := take()
	stop()
	wantOutcome(t, run, remediate.Succeeded, "")
	first := run.Steps[0]
	if first.Revision < before || first.Revision > r.head(t) {
		t.Errorf("revision %d, and the cluster went from %d to %d", first.Revision, before, r.head(t))
	}
	count, err := r.client.Get(t.Context(), "", clientv3.WithPrefix(), clientv3.WithCountOnly(), clientv3.WithRev(first.Revision))
	if err != nil {
		t.Fatal(err)
	}
	if status := etcdutlStatus(t, first.File); status.Revision != first.Revision || first.Keys != count.Count {
		t.Errorf("revision %d and %d keys; etcdutl says revision %d, the member then had %d keys", first.Revision, first.Keys, status.Revision, count.Count)
	}
	if err := backup.Judge.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for backup.Judge.Next(t.Context()) {
	}
	if sound := backup.Judge.Report().Sound; sound == nil || sound.Name != filepath.Base(first.File) {
		t.Errorf("the judge holds %+v sound", sound)
	}

	other := filepath.Join(dir, "lab-by-hand.db")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.now = func() time.Time { return time.Now().Add(time.Minute) }
	second := take()
	wantOutcome(t, second, remediate.Succeeded, "")
	if removed := second.Steps[0].Removed; !slices.Equal(removed, []string{first.File}) {
		t.Errorf("removed %q", removed)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if want := []string{second.Steps[0].File, other}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
}

// keepWriting puts keys until stop is called.
func (r *rig) keepWriting(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			_, _ = r.client.Put(ctx, fmt.Sprintf("/written/%06d", i), "v")
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

type fileStatus struct {
	Revision int64 `json:"revision"`
}

func etcdutlStatus(t *testing.T, file string) (status fileStatus) {
	t.Helper()
	program, err := etcdbin.Path(t.Context(), version, etcdbin.Etcdutl)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "snapshot", "status", "-w", "json", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, &status); err != nil {
		t.Fatal(err)
	}
	return status
}
