// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"errors"
	"math/bits"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// set moves the key space of every endpoint.
func (w *world) set(compacted, head int64) {
	for _, f := range w.fakes {
		f.compacted, f.status.Revision = compacted, head
	}
}

// TestBisection: the exact revision, whatever it is, for about log2 of what lies
// between the last known one and the head; and two requests where nothing changed.
func TestBisection(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		w := newWorld(1 + random.IntN(3))
		c := newCompaction(w.deps)
		var compacted, head, known int64 = 0, 1, 1
		for range 8 {
			if compacted > 0 {
				known = compacted
			}
			head += random.Int64N(1 << random.IntN(40))
			if random.IntN(4) > 0 {
				compacted = max(compacted, 2) + random.Int64N(max(head-max(compacted, 2)+1, 1))
				if compacted > head {
					compacted = 0
					continue
				}
			}
			w.set(compacted, head)
			for _, f := range w.fakes {
				f.forgetCalls()
			}
			w.must(t, c).want(t, series{"cluster_revision": float64(head), "cluster_compact_revision": float64(compacted)})
			asked, most := w.calls(qReadAt), 1+bits.Len64(uint64(head-known))
			if compacted == known || compacted == 0 {
				most = 2
			}
			if asked > most {
				t.Errorf("%d requests for %d of %d, known %d; want at most %d", asked, compacted, head, known, most)
			}
			before := w.calls(qReadAt)
			w.must(t, c).want(t, series{"cluster_compact_revision": float64(compacted)})
			if again := w.calls(qReadAt) - before; again > 2 || compacted == 0 && again != 1 {
				t.Errorf("%d requests where nothing changed", again)
			}
		}
	}
}

// TestEdgesOfCompaction: the first revisions and the head itself.
func TestEdgesOfCompaction(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ compacted, head, want int64 }{
		{0, 0, 0}, // a member that has not told its revision
		{0, 1, 0}, // a fresh cluster
		{0, 2, 0},
		{2, 2, 2}, // compacted to the head
		{2, 3, 2},
		{3, 3, 3},
		{100, 100, 100},
		{99, 100, 99},
		{1 << 60, 1<<62 + 1, 1 << 60},
	} {
		w := newWorld(3)
		w.set(tt.compacted, tt.head)
		w.must(t, newCompaction(w.deps)).want(t, series{
			"cluster_revision": float64(tt.head), "cluster_compact_revision": float64(tt.want),
		})
	}
}

// TestStartsOver: a cluster that was restored, or another one, has a history of
// its own.
func TestStartsOver(t *testing.T) {
	t.Parallel()
	tests := map[string]func(w *world){
		"the revision regresses": func(w *world) { w.set(200, 500) },
		"another cluster": func(w *world) {
			w.set(200, 5000)
			for _, f := range w.fakes {
				f.status.ClusterID = 0xd
			}
		},
		"never compacted": func(w *world) { w.set(0, 900) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(3)
			c := newCompaction(w.deps)
			w.set(700, 1000)
			w.must(t, c).want(t, series{"cluster_compact_revision": 700})
			change(w)
			want := series{"cluster_compact_revision": float64(w.fakes[0].compacted)}
			w.must(t, c).want(t, want)
			w.must(t, c).want(t, want)
		})
	}
}

// TestAnotherMemberIsAsked: one that fails, or that fell behind while it was
// asked, does not cost the figure.
func TestAnotherMemberIsAsked(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{
		"future revision": refusal("Range", "OutOfRange", etcd.ErrFutureRevision),
		"refused":         &etcd.Error{Method: "Range", Code: "Unavailable", Err: errRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(3)
			w.set(40, 100)
			w.fakes[1].status.Revision = 101 // asked first
			w.fakes[1].fail[qReadAt] = cause
			w.must(t, newCompaction(w.deps)).want(t, series{"cluster_revision": 101, "cluster_compact_revision": 40})
			if w.fakes[1].asked(qReadAt) == 0 {
				t.Error("the member with the highest revision was not asked first")
			}
		})
	}
}

// TestLaggingMemberIsNotBelieved: where the only one that can be asked is behind
// the compacted revision itself, there is no figure rather than a wrong one.
func TestLaggingMemberIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	c := newCompaction(w.deps)
	w.set(900, 1000)
	w.must(t, c).want(t, series{"cluster_compact_revision": 900})
	w.fakes[0].fail[qReadAt] = &etcd.Error{Method: "Range", Code: "Unavailable", Err: errRefused}
	w.fakes[1].compacted, w.fakes[1].status.Revision = 300, 800
	got, err := w.scrape(t.Context(), c)
	if err == nil {
		t.Error("no member could be asked, and that is no error")
	}
	got.want(t, series{"cluster_revision": 1000, "cluster_compact_revision": absent})
	delete(w.fakes[0].fail, qReadAt)
	w.must(t, c).want(t, series{"cluster_compact_revision": 900})
}

// TestNobodyCanBeAsked: at most two members are tried.
func TestNobodyCanBeAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(5)
	for _, f := range w.fakes {
		f.fail[qReadAt] = refusal("Range", "PermissionDenied", etcd.ErrPermissionDenied)
	}
	got, err := w.scrape(t.Context(), newCompaction(w.deps))
	if err == nil {
		t.Error("that nobody can be asked is no error")
	}
	got.want(t, series{"cluster_revision": 100, "cluster_compact_revision": absent})
	if asked := w.calls(qReadAt); asked > 2 {
		t.Errorf("%d requests", asked)
	}
}

// TestStrayEndpointDoesNotSpeak: one that belongs to another cluster has no say,
// however high its revision.
func TestStrayEndpointDoesNotSpeak(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.set(40, 100)
	w.fakes[0].status.ClusterID, w.fakes[0].status.Revision = 0xd, 9999
	w.must(t, newCompaction(w.deps)).want(t, series{"cluster_revision": 100, "cluster_compact_revision": 40})
}

// TestFailedReadsAreCounted: a read at a revision is put to the endpoint past the
// view's memory, and its error counts all the same.
func TestFailedReadsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.fakes[0].fail[qReadAt] = refusal("Range", "Unavailable", errors.New("too many requests"))
	if _, err := w.scrape(t.Context(), newCompaction(w.deps)); err == nil {
		t.Error("the collector reports success")
	}
	if got := w.memory.Errors()[etcd.Call{Method: "Range", Code: "Unavailable"}]; got != 1 {
		t.Errorf("%d errors are counted, want 1", got)
	}
}

// TestRestoredBeyondTheHead: an older state that has outgrown the head that was seen
// last does not pass for the old one for long.
func TestRestoredBeyondTheHead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		c := newCompaction(w.deps)
		w.set(40, 51)
		w.must(t, c).want(t, series{"cluster_compact_revision": 40})
		for _, compacted := range []int64{0, 20, 60, 30} {
			w.set(compacted, 71)
			time.Sleep(proofPause)
			w.must(t, c).want(t, series{"cluster_compact_revision": float64(compacted)})
		}
	})
}
