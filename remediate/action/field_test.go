// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes/kubernetestest"
	"github.com/etcdops/etcdops/remediate"
)

const (
	eventsBelow = "/registry/events/"
	keyBytes    = 12 << 10 // that a key takes in a field, whatever its value
	fill        = 15 * mib / keyBytes
)

// field is a stage with a key space, a revision clock, and sizes that follow from
// what was written, deleted, compacted and defragmented.
type field struct {
	*stage
	mu       sync.Mutex
	keys     map[string]etcd.KeyValue
	sorted   []string        // names of the keys; of another length: out of date
	garbage  map[int64]int64 // revision: bytes that go when it is compacted
	history  int64           // the sum of that
	clock    []tick          // the revision's changes
	spans    []etcd.Span     // asked for, with values
	deleted  []string        // in order
	batches  []int
	singles  int
	onDelete func()          // before each transaction
	noTxn    bool            // refuses transactions of several deletes
	lies     bool            // says that keys are gone, and keeps them
	stuck    map[string]bool // members that count anew when they are defragmented alone
	stale    map[string]bool // members whose account is from before the compaction
	last     tick            // of the ledger
}

type tick struct {
	at       time.Time
	revision int64
}

// newField has three voters with a quota of 16 MiB. The clock begins with the first
// write, at revision 100.
func newField() *field {
	f := &field{
		stage: newStage(3), keys: map[string]etcd.KeyValue{}, garbage: map[int64]int64{},
		stale: map[string]bool{},
	}
	f.revision = 100
	for i := range f.members {
		f.members[i].Quota = 16 * mib
	}
	f.measure()
	return f
}

// put writes a key now.
func (f *field) put(key string, value []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn()
	if _, ok := f.keys[key]; ok {
		f.garbage[f.revision] += keyBytes
		f.history += keyBytes
	}
	f.sorted = nil
	f.keys[key] = etcd.KeyValue{Key: []byte(key), Value: value, ModRevision: f.revision}
	f.measure()
}

// turn goes to the next revision.
func (f *field) turn() {
	f.stage.mu.Lock()
	defer f.stage.mu.Unlock()
	f.revision++
	f.clock = append(f.clock, tick{time.Now(), f.revision})
}

// inUse is what the databases hold.
func (f *field) inUse() int64 {
	return int64(len(f.keys))*keyBytes + f.history
}

// measure sets the sizes: the size in use follows at once, but for members that are
// stale, and the database never shrinks by itself.
func (f *field) measure() {
	f.stage.mu.Lock()
	defer f.stage.mu.Unlock()
	for i := range f.members {
		m := &f.members[i]
		if !f.stale[m.URL] && !f.stuck[m.URL] {
			m.Status.DBInUse = f.inUse()
		}
		if len(f.clock) <= 1 {
			m.Status.DBSize = 0
		}
		m.Status.DBSize = max(m.Status.DBSize, f.inUse(), 4096)
	}
}

// event puts an event that was last seen so long ago.
func (f *field) event(t *testing.T, namespace, name string, ago time.Duration) string {
	t.Helper()
	key := eventsBelow + namespace + "/" + name
	f.put(key, eventValue(t, namespace, name, time.Now().Add(-ago)))
	return key
}

func eventValue(t *testing.T, namespace, name string, at time.Time) []byte {
	t.Helper()
	value, err := kubernetestest.Event(kubernetes.Event{
		Namespace: namespace, Name: name, Reason: "BackOff", Component: "kubelet", Count: 1, FirstSeen: at, LastSeen: at, Created: at,
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (f *field) Scan(url string) etcd.ScanAPI { return &fieldScan{f, url} }

// fieldScan is one member; all hold the same.
type fieldScan struct {
	*field
	url string
}

func (f *fieldScan) Status(ctx context.Context) (etcd.Status, error) {
	status, err := (&stageScan{stage: f.stage, url: f.url}).Status(ctx)
	status.Revision = f.revision
	return status, err
}

func (f *fieldScan) Read(context.Context, etcd.Read) error { return nil }

func (f *fieldScan) HashKV(context.Context, int64) (etcd.KVHash, error) { return etcd.KVHash{}, nil }

func (f *fieldScan) Watch(context.Context, etcd.Span, int64, func(etcd.WatchBatch) error) error {
	return etcd.ErrPermissionDenied
}

func (f *fieldScan) Range(ctx context.Context, q etcd.RangeQuestion) (etcd.RangeAnswer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !q.CountOnly && !q.KeysOnly {
		f.spans = append(f.spans, q.Span)
	}
	answer := etcd.RangeAnswer{Revision: f.revision}
	if len(f.sorted) != len(f.keys) {
		f.sorted = slices.Sorted(maps.Keys(f.keys))
	}
	from, _ := slices.BinarySearch(f.sorted, string(q.From))
	for _, key := range f.sorted[from:] {
		inside := key >= string(q.From) && key < string(q.To)
		if len(q.To) == 0 {
			inside = key == string(q.From)
		}
		if !inside {
			break
		}
		if answer.Count++; !q.CountOnly && (q.Limit == 0 || int64(len(answer.Keys)) < q.Limit) {
			kv := f.keys[key]
			if q.KeysOnly {
				kv.Value = nil
			}
			answer.Keys = append(answer.Keys, kv)
		}
	}
	return answer, ctx.Err()
}

func (f *field) Delete(ctx context.Context, _ string, keys []etcd.KeyValue, single bool) (deleted []bool, revision int64, err error) {
	if f.onDelete != nil {
		f.onDelete()
	}
	deleted = make([]bool, len(keys))
	if f.noTxn && !single {
		return deleted, 0, fmt.Errorf("delete: %w", etcd.ErrNoSpace)
	}
	if ctx.Err() != nil { // cut short
		return deleted, 0, ctx.Err()
	}
	f.turn()
	f.mu.Lock()
	defer f.mu.Unlock()
	if single {
		f.singles += len(keys)
	}
	f.batches = append(f.batches, len(keys))
	for i, kv := range keys {
		if held, ok := f.keys[string(kv.Key)]; ok && held.ModRevision == kv.ModRevision {
			if deleted[i] = true; f.lies {
				continue
			}
			delete(f.keys, string(kv.Key))
			f.sorted = nil
			f.deleted = append(f.deleted, string(kv.Key))
			f.garbage[f.revision] += keyBytes
			f.history += keyBytes
		}
	}
	f.measure()
	return deleted, f.revision, ctx.Err()
}

func (f *field) Compact(ctx context.Context, url string, revision int64) error {
	if err := f.stage.Compact(ctx, url, revision); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for at, n := range f.garbage {
		if at <= revision {
			f.history -= n
			delete(f.garbage, at)
		}
	}
	f.measure()
	clear(f.stale) // until the next write
	return nil
}

func (f *field) Defragment(ctx context.Context, url string) error {
	f.mu.Lock()
	f.stage.mu.Lock()
	f.at(url).Status.DBInUse = max(f.inUse(), 1)
	f.stage.mu.Unlock()
	f.mu.Unlock()
	return f.stage.Defragment(ctx, url)
}

func (f *field) RevisionAt(t time.Time) (revision int64, ok bool) {
	for _, c := range slices.Backward(f.clock) {
		if !c.at.After(t) {
			return c.revision, true
		}
	}
	return 0, false
}

func (f *field) FirstSample() (time.Time, int64, bool) {
	if len(f.clock) == 0 {
		return time.Time{}, 0, false
	}
	return f.clock[0].at, f.clock[0].revision, true
}

func (f *field) LastDelete(string) (int64, time.Time) { return f.last.revision, f.last.at }

// full raises the alarm on every member.
func (f *field) full() {
	for _, m := range f.members {
		f.alarms = append(f.alarms, etcd.Alarm{MemberID: m.ID, Type: etcd.AlarmNoSpace})
	}
}

// forget drops what the clock has from before now: this process has just begun.
func (f *field) forget() { f.clock = []tick{{time.Now(), f.revision}} }

func (f *field) cluster(p remediate.Policy) *remediate.Cluster {
	c := f.stage.cluster(p)
	c.Live, c.History, c.Ledger = f, f, f
	return c
}

// left lists the keys that are there.
func (f *field) left() []string { return slices.Sorted(maps.Keys(f.keys)) }

func wantKeys(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
