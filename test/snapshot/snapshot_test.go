// SPDX-License-Identifier: Apache-2.0

// Package snapshot_test judges snapshots that etcd's own programs took from real
// members.
package snapshot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

func TestMain(m *testing.M) {
	if child, exit := snapshot.Child(); child {
		os.Exit(exit)
	}
	os.Exit(m.Run())
}

func TestSnapshotsOfRealMembers(t *testing.T) {
	for _, version := range []string{"3.5.35", "3.6.16", "3.7.3"} {
		t.Run(version, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			l, err := lab.Start(ctx, lab.Options{Members: 1, Version: version, TLS: lab.Plain, Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client, err := l.Client()
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(1, 2))
			dir := t.TempDir()

			save(ctx, t, l, version, filepath.Join(dir, "fresh.db"))
			checkFresh(t, filepath.Join(dir, "fresh.db"))

			churn(ctx, t, client, random, 1500)
			compare(ctx, t, l, client, version, filepath.Join(dir, "never-compacted.db"), 0)

			at := compact(ctx, t, client, 400)
			churn(ctx, t, client, random, 600)
			last := filepath.Join(dir, "compacted.db")
			compare(ctx, t, l, client, version, last, at)

			checkFlippedByte(ctx, t, version, last)
			checkRawCopy(t, l)
		})
	}
}

// churn puts, puts again and deletes, singly, in transactions and by range.
func churn(ctx context.Context, t *testing.T, client *clientv3.Client, random *rand.Rand, writes int) {
	t.Helper()
	key := func() string { return fmt.Sprintf("/registry/events/%03d", random.IntN(300)) }
	for i := range writes {
		var err error
		switch i % 10 {
		case 0:
			_, err = client.Delete(ctx, key())
		case 1:
			k := key()
			_, err = client.Delete(ctx, k, clientv3.WithRange(k+"~"))
		case 2: // two keys of one revision
			_, err = client.Txn(ctx).Then(clientv3.OpPut(key()+"/a", "v"), clientv3.OpDelete(key()), clientv3.OpPut(key()+"/b", "v")).Commit()
		default:
			_, err = client.Put(ctx, key(), string(bytes.Repeat([]byte{'v'}, random.IntN(3000))))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// compact leaves so many revisions, and waits until the rest is gone.
func compact(ctx context.Context, t *testing.T, client *clientv3.Client, keep int64) int64 {
	t.Helper()
	head, err := client.Get(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	at := head.Header.Revision - keep
	if _, err := client.Compact(ctx, at, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	return at
}

// save takes a snapshot with the etcdctl of the member's version.
func save(ctx context.Context, t *testing.T, l *lab.Lab, version, name string) {
	t.Helper()
	run(ctx, t, version, etcdbin.Etcdctl, "--endpoints="+l.Endpoints()[0], "snapshot", "save", name)
}

func run(ctx context.Context, t *testing.T, version, program string, args ...string) []byte {
	t.Helper()
	path, err := etcdbin.Path(ctx, version, program)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, stderr.Bytes())
	}
	return out
}

func judge(t *testing.T, name string) (snapshot.Digest, snapshot.Contents) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	d, err := snapshot.Sum(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if d.Problem != nil {
		return d, snapshot.Contents{}
	}
	c, err := snapshot.Walk(t.Context(), file, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return d, c
}

func checkFresh(t *testing.T, name string) {
	t.Helper()
	if d, c := judge(t, name); d.Problem != nil || c.Problem != nil || c.Keys != 0 || c.StartRevision != 1 {
		t.Errorf("of a fresh member: %v, %+v", d.Problem, c)
	}
}

// compare takes a snapshot while nobody writes, and holds it against the member's own
// count and etcdutl's revision.
func compare(ctx context.Context, t *testing.T, l *lab.Lab, client *clientv3.Client, version, name string, compacted int64) {
	t.Helper()
	save(ctx, t, l, version, name)
	count, err := client.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	var status struct {
		Revision  int64 `json:"revision"`
		TotalKeys int64 `json:"totalKey"`
	}
	if err := json.Unmarshal(run(ctx, t, version, etcdbin.Etcdutl, "snapshot", "status", "-w", "json", name), &status); err != nil {
		t.Fatal(err)
	}
	d, c := judge(t, name)
	if d.Problem != nil || c.Problem != nil {
		t.Fatalf("%s: %v, %v", name, d.Problem, c.Problem)
	}
	if c.Revision != status.Revision || c.Revision != count.Header.Revision || c.StartRevision != c.Revision {
		t.Errorf("revision %d, restored %d; etcdutl says %d, the member %d", c.Revision, c.StartRevision, status.Revision, count.Header.Revision)
	}
	if c.Keys != count.Count || c.Keys == 0 || c.Records <= c.Keys {
		t.Errorf("%d keys in %d records, the member counts %d keys", c.Keys, c.Records, count.Count)
	}
	if c.CompactRevision != compacted {
		t.Errorf("compacted at %d, want %d", c.CompactRevision, compacted)
	}
	if hasStorageVersion := version[:3] != "3.5"; (c.StorageVersion != "") != hasStorageVersion {
		t.Errorf("storage version %q", c.StorageVersion)
	}
}

// checkFlippedByte changes a byte in the value of a record. etcdutl's status does not
// look at the sha and finds nothing wrong with it.
func checkFlippedByte(ctx context.Context, t *testing.T, version, name string) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(content, bytes.Repeat([]byte{'v'}, 500))
	if at < 0 {
		t.Fatal("no value found")
	}
	content[at+250] ^= 1
	flipped := filepath.Join(t.TempDir(), "flipped.db")
	if err := os.WriteFile(flipped, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, _ := judge(t, flipped); d.Problem == nil || d.Problem.Reason != snapshot.ReasonChecksum {
		t.Errorf("a flipped byte: %v", d.Problem)
	}
	run(ctx, t, version, etcdbin.Etcdutl, "snapshot", "status", flipped) // exits 0
}

func checkRawCopy(t *testing.T, l *lab.Lab) {
	t.Helper()
	from, err := os.Open(filepath.Join(l.Member(0).DataDir(), "member", "snap", "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if d, _ := judge(t, to.Name()); d.Problem == nil || d.Problem.Reason != snapshot.ReasonNoChecksum {
		t.Errorf("a copy of the member's file: %v", d.Problem)
	}
}
