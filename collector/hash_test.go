// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// hashWorld is a compacted cluster whose voters agree.
func hashWorld(t *testing.T) (*world, *hash) {
	w := newWorld(3)
	for _, f := range w.fakes {
		f.compacted = 50
		f.hash = etcd.KVHash{Hash: 7, CompactRevision: 20}
	}
	background := NewBackground(t.Context())
	t.Cleanup(background.Close)
	h, _ := newHash(Deps{Background: background, Scanner: w.scanner}).(*hash)
	return w, h
}

// settled is the scrape after the compaction has settled and the voters were asked.
func settled(t *testing.T, w *world, h *hash) series {
	t.Helper()
	w.must(t, h)
	time.Sleep(hashSettle + 2*hashPause)
	synctest.Wait()
	return w.must(t, h)
}

func TestHash(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*world)
		want   float64 // of cluster_hash_consistent; NaN: absent
	}{
		{"all agree", func(*world) {}, 1},
		{"one differs", func(w *world) { w.fakes[1].hash.Hash = 8 }, 0},
		{"one was restarted since", func(w *world) { w.fakes[1].hash = etcd.KVHash{Hash: 8, CompactRevision: 50} }, math.NaN()},
		{"one hashed another revision", func(w *world) { w.fakes[1].hash = etcd.KVHash{Hash: 8, CompactRevision: 20, HashRevision: 49} }, math.NaN()},
		{"two differ, the third was restarted", func(w *world) {
			w.fakes[0].hash = etcd.KVHash{Hash: 9, CompactRevision: 50}
			w.fakes[1].hash.Hash = 8
		}, 0},
		{"one is down", func(w *world) { w.fakes[2].fail[qAll] = errors.New("refused") }, math.NaN()},
		{"one has no such hash", func(w *world) { w.fakes[2].fail[qHashKV] = refusal("HashKV", "OutOfRange", etcd.ErrCompacted) }, math.NaN()},
		{"never compacted", func(w *world) {
			for _, f := range w.fakes {
				f.compacted = 0
			}
		}, math.NaN()},
		{"a learner differs", func(w *world) { w.addLearner().hash = etcd.KVHash{Hash: 9, CompactRevision: 20} }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, h := hashWorld(t)
				c.change(w)
				got := settled(t, w, h)
				revision := 50.0
				if math.IsNaN(c.want) {
					revision = c.want
				}
				got.want(t, series{"cluster_hash_consistent": c.want, "cluster_hash_revision": revision})
			})
		})
	}
}

// TestHashWaits: nobody is asked within 30 s of a compaction, and each voter once
// after it.
func TestHashWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h := hashWorld(t)
		w.must(t, h)
		time.Sleep(hashSettle - time.Second)
		synctest.Wait()
		if n := w.calls(qHashKV); n != 0 {
			t.Fatalf("%d voters were asked before the compaction had settled", n)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := w.calls(qHashKV); n != 3 {
			t.Errorf("%d questions for one compaction, want 3", n)
		}
		for _, f := range w.fakes {
			f.change(func() { f.compacted = 60 })
		}
		time.Sleep(hashPause + time.Second)
		synctest.Wait()
		if n := w.calls(qHashKV); n != 3 {
			t.Errorf("voters were asked right after the next compaction")
		}
		w.must(t, h)
		time.Sleep(hashSettle + hashPause)
		synctest.Wait()
		w.must(t, h).want(t, series{"cluster_hash_consistent": 1, "cluster_hash_revision": 60})
	})
}

// TestHashDenied: the reason is told, and the member is not asked at every look.
func TestHashDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h := hashWorld(t)
		w.fakes[1].fail[qHashKV] = refusal("HashKV", "PermissionDenied", etcd.ErrPermissionDenied)
		w.must(t, h)
		time.Sleep(hashSettle + 5*hashPause)
		synctest.Wait()
		if n := w.fakes[1].asked(qHashKV); n != 1 {
			t.Errorf("asked %d times, want 1", n)
		}
		if _, err := w.scrape(t.Context(), h); !errors.Is(err, etcd.ErrPermissionDenied) {
			t.Errorf("error %v", err)
		}
	})
}

// TestHashBehindOneURL: several members behind one URL answer in turn; they are not
// asked without a pause for it.
func TestHashBehindOneURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h := hashWorld(t)
		w.fakes[1].behind = 0xff
		w.must(t, h)
		time.Sleep(hashSettle + 5*time.Minute)
		synctest.Wait()
		if n := w.fakes[1].asked(qHashKV); n != 1 {
			t.Errorf("asked %d times in 5 minutes, want once", n)
		}
	})
}
