// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/drill/internal/drilltest"
	"github.com/etcdops/etcdops/drill/internal/member"
	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

func TestMain(m *testing.M) {
	if child, exit := snapshot.Child(); child {
		os.Exit(exit)
	}
	if child, exit := member.Child(context.Background()); child {
		os.Exit(exit)
	}
	os.Exit(m.Run())
}

// room is a store and a working directory for one test.
type room struct {
	backups, directory string
	log                bytes.Buffer
}

func newRoom(t *testing.T) *room {
	t.Helper()
	return &room{backups: t.TempDir(), directory: t.TempDir()}
}

// put copies a snapshot into the store, changed, and dated so many hours ago.
func (r *room) put(t *testing.T, from, name string, hours int, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		data = change(data)
	}
	path := filepath.Join(r.backups, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	date := time.Now().Add(-time.Duration(hours) * time.Hour)
	if err := os.Chtimes(path, date, date); err != nil {
		t.Fatal(err)
	}
}

func bringUp(ctx context.Context, dir string, lock *os.File, r member.Request) (member.Found, error) {
	return member.Run(ctx, dir, lock, r, func(member.Stage) {})
}

// hold holds a drill, and shows that it leaves nothing behind.
func (r *room) hold(t *testing.T, change func(*drill)) (judge.Drill, error) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(&r.log, nil))
	s, err := store.New(store.Config{Path: r.backups, Pattern: "*.db*"}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := &drill{restore: bringUp, Options: Options{Store: s, Name: "local", Directory: r.directory, Timeout: time.Minute, Log: log}}
	if change != nil {
		change(d)
	}
	result, err := run(t.Context(), d)
	left, readErr := os.ReadDir(r.directory)
	if len(left) > 0 || readErr != nil {
		t.Errorf("left in the directory: %v, %v", left, readErr)
	}
	return result, err
}

func flip(data []byte) []byte {
	data[len(data)/2] ^= 1
	return data
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func zstandard(data []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(data, nil)
}

// TestVersions: snapshots of every etcd since 3.4 can be judged.
func TestVersions(t *testing.T) {
	for _, version := range etcdbin.Versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t)
			r.put(t, drilltest.Snapshot(t, version, nil), "etcd.db", 1, nil)
			result, err := r.hold(t, nil)
			if err != nil || !result.Success {
				t.Fatalf("%+v, %v", result, err)
			}
			if result.Keys != drilltest.Keys || result.Revision != drilltest.Revision || result.Snapshot != "etcd.db" || result.Store != "local" {
				t.Errorf("%+v", result)
			}
			if result.Seconds <= 0 || time.Since(result.Time) > time.Minute {
				t.Errorf("took %v s, ended at %v", result.Seconds, result.Time)
			}
		})
	}
}

// TestWhatTheSnapshotCarries: of a cluster with authentication, with leases that run
// out at once, and with an alarm.
func TestWhatTheSnapshotCarries(t *testing.T) {
	t.Run("auth", func(t *testing.T) {
		t.Parallel()
		r := newRoom(t)
		r.put(t, drilltest.Snapshot(t, lab.Embedded, func(ctx context.Context, l *lab.Lab, _ *clientv3.Client) error {
			return l.EnableAuth(ctx, "a password")
		}), "etcd.db", 1, nil)
		if result, err := r.hold(t, nil); err != nil || !result.Success || result.Keys != drilltest.Keys {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("leases", func(t *testing.T) {
		t.Parallel()
		r := newRoom(t)
		r.put(t, drilltest.Snapshot(t, lab.Embedded, func(ctx context.Context, _ *lab.Lab, client *clientv3.Client) error {
			lease, err := client.Grant(ctx, 1)
			if err == nil {
				_, err = client.Put(ctx, "/registry/masterleases/10.0.0.1", "", clientv3.WithLease(lease.ID))
			}
			return err
		}), "etcd.db", 1, nil)
		if result, err := r.hold(t, nil); err != nil || !result.Success || result.Keys != drilltest.Keys+1 {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("alarm", func(t *testing.T) {
		t.Parallel()
		r := newRoom(t)
		r.put(t, drilltest.Snapshot(t, lab.Embedded, func(ctx context.Context, l *lab.Lab, client *clientv3.Client) error {
			_, err := etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Alarm(ctx, &etcdserverpb.AlarmRequest{
				Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: l.Member(0).ID(), Alarm: etcdserverpb.AlarmType_NOSPACE,
			})
			return err
		}), "etcd.db", 1, nil)
		if result, err := r.hold(t, nil); err != nil || result.Success || !strings.Contains(result.Reason, "NOSPACE") {
			t.Errorf("%+v, %v", result, err)
		}
	})
}

// TestChoice: the newest sound one is restored, whatever lies beside it.
func TestChoice(t *testing.T) {
	good := drilltest.Snapshot(t, lab.Embedded, nil)
	for name, c := range map[string]struct {
		lay      func(r *room)
		taken    string
		reason   string // of a failure
		cannot   string // why it could not be held
		logged   string
		restores bool
	}{
		"an older sound one":   {lay: func(r *room) { r.put(t, good, "new.db", 1, flip); r.put(t, good, "old.db", 9, nil) }, taken: "old.db", logged: "newest=new.db", restores: true},
		"gzip":                 {lay: func(r *room) { r.put(t, good, "a.db.gz", 1, gzipped); r.put(t, good, "b.db", 9, nil) }, taken: "a.db.gz", restores: true},
		"zstd":                 {lay: func(r *room) { r.put(t, good, "a.db.zst", 1, zstandard) }, taken: "a.db.zst", restores: true},
		"no sound one":         {lay: func(r *room) { r.put(t, good, "a.db", 1, flip); r.put(t, good, "b.db", 9, flip) }, taken: "a.db", reason: "checksum_mismatch"},
		"cut off":              {lay: func(r *room) { r.put(t, good, "a.db", 1, func(b []byte) []byte { return b[:len(b)/2] }) }, taken: "a.db", reason: "truncated"},
		"nothing":              {lay: func(*room) {}, reason: "no snapshot"},
		"a directory":          {lay: func(r *room) { _ = os.Mkdir(filepath.Join(r.backups, "x.db"), 0o700) }, reason: "not_a_regular_file"},
		"still being written":  {lay: func(r *room) { r.put(t, good, "a.db", 0, func(b []byte) []byte { return b[:len(b)-100] }) }, cannot: "still being written"},
		"the store is missing": {lay: func(r *room) { _ = os.Remove(r.backups) }, cannot: "list"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			c.lay(r)
			result, err := r.hold(t, nil)
			if c.cannot != "" {
				if err == nil || !strings.Contains(err.Error(), c.cannot) {
					t.Errorf("%+v, %v; want an error with %q", result, err, c.cannot)
				}
				return
			}
			if err != nil || result.Success != c.restores || result.Snapshot != c.taken || !strings.Contains(result.Reason, c.reason) {
				t.Errorf("%+v, %v", result, err)
			}
			if !strings.Contains(r.log.String(), c.logged) {
				t.Errorf("no %s in the log:\n%s", c.logged, &r.log)
			}
		})
	}
}

// TestJudgement: what the member tells decides, and what is no fault of the snapshot
// is none.
func TestJudgement(t *testing.T) {
	good := drilltest.Snapshot(t, lab.Embedded, nil)
	same := member.Found{Revision: drilltest.Revision, Keys: drilltest.Keys, Read: drilltest.Keys}
	other := func(change func(*member.Found)) member.Found {
		f := same
		change(&f)
		return f
	}
	for name, c := range map[string]struct {
		found  member.Found
		err    error
		free   int64
		reason string
		cannot string
	}{
		"the same":            {found: same},
		"another revision":    {found: other(func(f *member.Found) { f.Revision++ }), reason: "revision 310"},
		"fewer keys":          {found: other(func(f *member.Found) { f.Keys-- }), reason: "303 keys"},
		"more keys":           {found: other(func(f *member.Found) { f.Keys++ }), reason: "305 keys"},
		"values not readable": {found: other(func(f *member.Found) { f.Read-- }), reason: "303 keys of the restored member could be read"},
		"corrupt":             {found: other(func(f *member.Found) { f.Alarms = []string{"CORRUPT"} }), reason: "CORRUPT"},
		"the member failed":   {err: &member.FailedError{Stage: member.StageStart, Err: errors.New("it panicked")}, reason: "starting the member: it panicked"},
		"no child":            {err: errors.New("fork failed"), cannot: "fork failed"},
		"no room":             {found: same, free: 200 << 20, cannot: "no room: 200 MiB are free"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			r.put(t, good, "etcd.db", 1, nil)
			result, err := r.hold(t, func(d *drill) {
				d.restore = func(_ context.Context, dir string, _ *os.File, request member.Request) (member.Found, error) {
					if c.free > 0 {
						t.Error("restored without room")
					}
					checkCopy(t, filepath.Join(dir, request.Snapshot), good)
					return c.found, c.err
				}
				if c.free > 0 {
					d.free = func() (int64, error) { return c.free, nil }
				}
			})
			if c.cannot != "" {
				if err == nil || !strings.Contains(err.Error(), c.cannot) || result != (judge.Drill{}) {
					t.Errorf("%+v, %v; want an error with %q and no result", result, err, c.cannot)
				}
				return
			}
			if err != nil || result.Success != (c.reason == "") || !strings.Contains(result.Reason, c.reason) {
				t.Errorf("%+v, %v; want %q", result, err, c.reason)
			}
		})
	}
}

// checkCopy: what is handed to the member is the snapshot, and only its owner may
// read it.
func checkCopy(t *testing.T, name, want string) {
	t.Helper()
	a, errA := os.ReadFile(name)
	b, errB := os.ReadFile(want)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("the copy is not the snapshot: %v, %v", errA, errB)
	}
	for path, want := range map[string]os.FileMode{name: 0o600, filepath.Dir(name): 0o700, filepath.Dir(filepath.Dir(name)): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// TestRestorable: what a later etcd wrote is not called bad.
func TestRestorable(t *testing.T) {
	for storage, ok := range map[string]bool{"": true, "3.6.0": true, "3.7.0": true, "3.8.0": false, "4.0.0": false, "3": false} {
		if err := restorable(storage); (err == nil) != ok {
			t.Errorf("%q: %v", storage, err)
		}
	}
}

// TestTimeout: a restore that takes too long has failed; a store that does has not
// shown anything.
func TestTimeout(t *testing.T) {
	good := drilltest.Snapshot(t, lab.Embedded, nil)
	r := newRoom(t)
	r.put(t, good, "etcd.db", 1, nil)
	result, err := r.hold(t, func(d *drill) {
		d.restore = func(ctx context.Context, dir string, lock *os.File, request member.Request) (member.Found, error) {
			ctx, cancel := context.WithCancelCause(ctx)
			began := func(member.Stage) { cancel(member.ErrTimeout) }
			return member.Run(ctx, dir, lock, request, began)
		}
	})
	if err != nil || result.Success || !strings.Contains(result.Reason, member.ErrTimeout.Error()) {
		t.Errorf("restoring: %+v, %v", result, err)
	}
	result, err = r.hold(t, func(d *drill) {
		d.Store, d.Timeout = hanging{}, 20*time.Millisecond
	})
	if !errors.Is(err, member.ErrTimeout) {
		t.Errorf("listing: %+v, %v", result, err)
	}
}

// hanging is a store that answers nothing.
type hanging struct{}

func (hanging) List(ctx context.Context) ([]store.Object, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hanging) Open(context.Context, store.Object) (io.ReadCloser, error) {
	return nil, errors.New("not reached")
}

func (hanging) Close() error { return nil }
