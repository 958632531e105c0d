// SPDX-License-Identifier: Apache-2.0

package mutate_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate/live"
	"github.com/etcdops/etcdops/test/lab"
)

// TestFullDatabase goes through what is refused under NOSPACE, what is not, and the
// way back, on every version.
func TestFullDatabase(t *testing.T) {
	for _, version := range []string{"3.4.23", "3.5.35", "3.6.16", "3.7.3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			l, client := start(t, lab.Options{Members: 1, TLS: lab.Plain, Version: version, QuotaBytes: 16 << 20})
			alive, _ := connect(t, l, nil)
			ctx, url := t.Context(), l.Endpoints()[0]
			listed := put(t, client, names("/registry/events/", 40)...)
			if err := alive.TryWrite(ctx, url); err != nil {
				t.Error(err)
			}
			if err := alive.PutMirror(ctx, "/etcdops/", []byte(`{"a":1}`)); err != nil {
				t.Error(err)
			}
			if err := l.FillToNoSpace(ctx); err != nil {
				t.Fatal(err)
			}
			if err := alive.TryWrite(ctx, url); !errors.Is(err, etcd.ErrNoSpace) {
				t.Errorf("a write is tried: error %v", err)
			}
			if err := alive.PutMirror(ctx, "/etcdops/", nil); !errors.Is(err, etcd.ErrNoSpace) {
				t.Errorf("the mirror is written: error %v", err)
			}
			if data, err := alive.Mirror(ctx, "/etcdops/"); err != nil || string(data) != `{"a":1}` {
				t.Errorf("the mirror holds %q, error %v", data, err)
			}
			o := alive.Observe(ctx, true)
			if o.AlarmsErr != nil || len(o.Alarms) != 1 || o.Alarms[0].Type != etcd.AlarmNoSpace || o.Alarms[0].MemberID != o.Members[0].ID {
				t.Fatalf("alarms %v, error %v", o.Alarms, o.AlarmsErr)
			}
			for i, single := range []bool{false, true} {
				some := listed[20*i : 20*(i+1)]
				deleted, _, err := alive.Delete(ctx, url, some, single)
				if err != nil || !deleted[0] || !deleted[19] || value(t, client, string(some[19].Key)) != "" {
					t.Errorf("single %v: deleted %v, error %v", single, deleted, err)
				}
			}
			snapshot(t, alive, url)
			recoverSpace(t, l, alive, url)
		})
	}
}

// snapshot takes one and looks at its checksum.
func snapshot(t *testing.T, alive *live.Live, url string) {
	t.Helper()
	var file bytes.Buffer
	if err := alive.Snapshot(t.Context(), url, &file); err != nil {
		t.Fatal(err)
	}
	end := file.Len() - sha256.Size
	if end <= 0 || end%512 != 0 || sha256.Sum256(file.Bytes()[:end]) != [sha256.Size]byte(file.Bytes()[end:]) {
		t.Errorf("the snapshot of %d bytes does not end in its sha256", file.Len())
	}
}

// recoverSpace makes room: what filled the database goes, in the order of a person.
func recoverSpace(t *testing.T, l *lab.Lab, alive *live.Live, url string) {
	t.Helper()
	ctx := t.Context()
	r, err := alive.Scan(url).Range(ctx, etcd.RangeQuestion{Span: etcd.PrefixSpan("/lab/fill/"), KeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	_, revision, err := alive.Delete(ctx, url, r.Keys, false)
	if err != nil {
		t.Fatal(err)
	}
	if before, err := alive.Compacted(ctx, url); err != nil || before != 0 {
		t.Errorf("compacted to %d before it was, error %v", before, err)
	}
	if err := alive.Compact(ctx, url, revision); err != nil {
		t.Fatal(err)
	}
	if err := alive.Compact(ctx, url, revision); !errors.Is(err, etcd.ErrCompacted) {
		t.Errorf("compacted twice: error %v", err)
	}
	if err := alive.Compact(ctx, url, revision+1000); !errors.Is(err, etcd.ErrFutureRevision) {
		t.Errorf("compacted to the future: error %v", err)
	}
	for range 2 {
		if now, err := alive.Compacted(ctx, url); err != nil || now != revision {
			t.Errorf("compacted to %d, want %d, error %v", now, revision, err)
		}
	}
	if err := alive.Defragment(ctx, url); err != nil {
		t.Fatal(err)
	}
	o := alive.Observe(ctx, false)
	m, ok := o.MemberAt(url)
	if !ok || m.Status.DBSize > 4<<20 || !o.HasAlarm(etcd.AlarmNoSpace) {
		t.Fatalf("after defragmentation: %+v, alarms %v", m.Status, o.Alarms)
	}
	if err := alive.Disarm(ctx, url, m.ID+1); err != nil { // that one has none
		t.Error(err)
	}
	if o := alive.Observe(ctx, true); !o.HasAlarm(etcd.AlarmNoSpace) {
		t.Error("the alarm of another member was taken off")
	}
	if err := alive.Disarm(ctx, url, m.ID); err != nil {
		t.Fatal(err)
	}
	if o := alive.Observe(ctx, true); len(o.Alarms) != 0 || o.AlarmsErr != nil {
		t.Errorf("alarms %v, error %v", o.Alarms, o.AlarmsErr)
	}
	if err := alive.TryWrite(ctx, url); err != nil {
		t.Error(err)
	}
	client, err := l.Client()
	if err != nil {
		t.Fatal(err)
	}
	put(t, client, "/registry/pods/a")
	if leases, err := client.Leases(ctx); err != nil || len(leases.Leases) != 0 {
		t.Errorf("leases are left: %v, error %v", leases, err)
	}
}
