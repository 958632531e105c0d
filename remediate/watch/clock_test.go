// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// wantAt checks what the clock says of a time so long ago; 0: nothing.
func (s *scene) wantAt(ago time.Duration, want int64) {
	s.Helper()
	if got, ok := s.history.RevisionAt(s.now.at.Add(-ago)); got != want || ok != (want != 0) {
		s.Errorf("revision %s ago: %d %v, want %d", ago, got, ok, want)
	}
}

// TestRevisionAt: a revision was current when the answer came, or before; what was
// before the first sample nobody knows.
func TestRevisionAt(t *testing.T) {
	s := newScene(t)
	s.wantAt(0, 0)
	s.look(every) // 1000
	s.write(10)
	s.look(every) // 1010
	s.look(every)
	s.write(10)
	s.look(every) // 1020
	s.wantAt(0, 1020)
	s.wantAt(time.Millisecond, 1010)
	s.wantAt(10*time.Second, 1010)
	s.wantAt(10*time.Second+1, 1000)
	s.wantAt(15*time.Second, 1000)
	s.wantAt(15*time.Second+1, 0)
	s.wantAt(-time.Hour, 1020)
	if at, revision, ok := s.history.FirstSample(); !at.Equal(start.Add(every)) || revision != 1000 || !ok {
		t.Errorf("first sample %s %d %v", at, revision, ok)
	}
	if len(s.store.kept) != 3 || s.store.kept[2] != (Sample{start.Add(4 * every), 77, 1020}) {
		t.Errorf("kept %v", s.store.kept)
	}
	s.pass(31 * time.Second) // what happened meanwhile is not known
	s.wantAt(0, 0)
	if _, _, ok := s.history.FirstSample(); ok {
		t.Error("a first sample without a look")
	}
	s.look(0)
	s.wantAt(0, 1020)
}

// TestLowestCounts: a voter that lags, or whose revision has run ahead of the others'
// by a fault, never makes a key older than it is.
func TestLowestCounts(t *testing.T) {
	s := newScene(t)
	s.seen.Members[1].Status.Revision = 990
	s.seen.Members[2].Status.Revision = 5000
	s.look(every)
	s.wantAt(0, 990)
	s.seen.Members[1].Status.Revision = 980 // another lags now: no reason to drop anything
	s.look(every)
	s.wantAt(0, 990)
	if len(s.store.dropped) > 0 {
		t.Errorf("dropped: %v", s.store.dropped)
	}
}

// TestNoSample: looks that do not show a quorum with a leader tell nothing.
func TestNoSample(t *testing.T) {
	for name, change := range map[string]func(*scene){
		"no quorum":        func(s *scene) { s.silence(1); s.silence(2) },
		"no leader":        func(s *scene) { s.all(func(st *etcd.Status) { st.Leader = 0 }) },
		"two leaders":      func(s *scene) { s.seen.Members[1].Status.Leader = 2 },
		"no cluster id":    func(s *scene) { s.seen.ClusterID = 0; s.all(func(st *etcd.Status) { st.ClusterID = 0 }) },
		"a foreign voter":  func(s *scene) { s.seen.Members[1].Status.ClusterID = 5 },
		"a zero revision":  func(s *scene) { s.seen.Members[1].Status.Revision = 0 },
		"below zero":       func(s *scene) { s.seen.Members[1].Status.Revision = -5 },
		"nothing was seen": func(s *scene) { s.seen = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, Sample{start.Add(-time.Hour), 77, 500})
			change(s)
			s.look(every)
			s.wantAt(0, 0)
			if len(s.store.dropped) > 0 || len(s.store.kept) != 1 {
				t.Errorf("kept %v, dropped %v", s.store.kept, s.store.dropped)
			}
		})
	}
}

// TestDropped: what may be of another history is dropped, here and in the store, and
// the clock begins again with what is seen now.
func TestDropped(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*scene)
		want   string // why; empty: nothing is dropped
	}{
		{"nothing", func(*scene) {}, ""},
		{"a restored cluster: revision", func(s *scene) { s.write(-1) }, "the revision went back from 1120 to 1119"},
		{"a restored cluster: term", func(s *scene) { s.write(5); s.all(func(st *etcd.Status) { st.RaftTerm = 4 }) }, "the raft term went back from 5 to 4"},
		{"a restored cluster: index", func(s *scene) { s.all(func(st *etcd.Status) { st.RaftIndex = 30; st.Revision += 5 }) }, "the raft index went back from 9120 to 30"},
		{"restored with a bumped revision", func(s *scene) { s.write(1_000_000_000) }, "the revision jumped from 1120 to 1000001120"},
		{"a fast writer", func(s *scene) { s.write(1_400_000) }, ""},
		{"too fast a writer", func(s *scene) { s.write(1_600_000) }, "the revision jumped"},
		{"another cluster", func(s *scene) {
			s.write(5)
			s.seen.ClusterID = 78
			s.all(func(st *etcd.Status) { st.ClusterID = 78 })
		}, "the cluster's id changed"},
		{"wall clock set ahead", func(s *scene) { s.now.at = s.now.at.Add(1100 * time.Millisecond) }, "the wall clock was set by 1.1s"},
		{"wall clock set back", func(s *scene) { s.now.at = s.now.at.Add(-time.Hour) }, "the wall clock was set by -1h0m0s"},
		{"wall clock set by little", func(s *scene) { s.now.at = s.now.at.Add(900 * time.Millisecond) }, ""},
		{"wall clock set by little, twice", func(s *scene) {
			s.now.at = s.now.at.Add(900 * time.Millisecond)
			s.look(every)
			s.now.at = s.now.at.Add(900 * time.Millisecond)
		}, "the wall clock was set by 1.8s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			for range 12 {
				s.look(every)
				s.write(10)
			}
			s.look(every)
			test.change(s)
			s.look(every)
			if got := strings.Join(s.store.dropped, "; "); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Fatalf("dropped because of %q, want %q", got, test.want)
			}
			if test.want != "" {
				s.wantAt(0, s.seen.Members[0].Status.Revision)
				s.wantAt(time.Millisecond, 0)
				if len(s.store.kept) != 1 {
					t.Errorf("kept %v", s.store.kept)
				}
			}
		})
	}
}

// TestSteppedClock: between a step of the wall clock and the next look nothing is known.
func TestSteppedClock(t *testing.T) {
	s := newScene(t)
	s.look(every)
	s.now.at = s.now.at.Add(time.Hour)
	s.wantAt(0, 0)
	s.now.at = s.now.at.Add(-2 * time.Hour)
	s.wantAt(-2*time.Hour, 0)
}

// TestRestart: samples of an earlier process count where they fit what is seen now.
func TestRestart(t *testing.T) {
	hour := func(ago float64, id uint64, revision int64) Sample {
		return Sample{start.Add(-time.Duration(ago * float64(time.Hour))), id, revision}
	}
	for _, test := range []struct {
		name string
		kept []Sample
		want string // why they are dropped; empty: they are not
	}{
		{"they fit", []Sample{hour(3, 77, 100), hour(2, 77, 100), hour(1, 77, 1000)}, ""},
		{"another cluster", []Sample{hour(3, 78, 100), hour(1, 78, 500)}, "the cluster's id is not the one of the samples"},
		{"one of another cluster", []Sample{hour(3, 77, 100), hour(1, 78, 500)}, "the cluster's id is not the one of the samples"},
		{"the revision went back", []Sample{hour(3, 77, 100), hour(1, 77, 1001)}, "the revision went back from 1001 to 1000"},
		{"from the future", []Sample{hour(3, 77, 100), hour(-1, 77, 500)}, "the wall clock is behind the last sample"},
		{"not in order of time", []Sample{hour(1, 77, 100), hour(3, 77, 500)}, "the kept samples contradict each other"},
		{"not in order of revision", []Sample{hour(3, 77, 500), hour(1, 77, 100)}, "the kept samples contradict each other"},
		{"zero time", []Sample{{time.Time{}, 77, 100}}, "the kept samples contradict each other"},
		{"below zero", []Sample{hour(3, 77, -100)}, "the kept samples contradict each other"},
		{"jump", []Sample{{start.Add(-time.Second), 77, -(1 << 62)}, hour(0, 77, 1)}, "the kept samples contradict each other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, test.kept...)
			s.wantAt(0, 0) // before the first look nobody knows whether they fit
			s.look(0)
			if got := strings.Join(s.store.dropped, "; "); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Fatalf("dropped because of %q, want %q", got, test.want)
			}
			s.wantAt(0, 1000)
			if test.want == "" {
				s.wantAt(150*time.Minute, 100)
			} else {
				s.wantAt(time.Second, 0)
			}
		})
	}
	s := newScene(t, hour(1, 77, 100))
	s.write(2_000_000_000)
	s.look(0)
	if len(s.store.dropped) != 1 || !strings.Contains(s.store.dropped[0], "the revision jumped from 100 to 2000001000 in 1h0m0s") {
		t.Errorf("dropped %v", s.store.dropped)
	}
}

// TestThin: samples of a week take little room, and what is left of them never makes
// a revision older than the whole of them did.
func TestThin(t *testing.T) {
	var all, kept []Sample
	now := start
	for i := int64(1); i <= 8*24*720; i++ {
		now = now.Add(every)
		sample := Sample{now, 77, i * 10}
		all, kept = append(all, sample), append(kept, sample)
		if i%720 == 0 { // every hour
			kept = thin(kept, now)
		}
	}
	if len(kept) > 1700 {
		t.Errorf("%d samples are kept", len(kept))
	}
	at := func(samples []Sample, t time.Time) (r int64) {
		for _, s := range samples {
			if !s.At.After(t) {
				r = s.Revision
			}
		}
		return r
	}
	for _, test := range []struct{ age, apart time.Duration }{
		{0, every},
		{14 * time.Minute, every},
		{time.Hour, time.Minute + every},
		{5 * time.Hour, time.Minute + every},
		{7 * time.Hour, 11 * time.Minute},
		{7*24*time.Hour - time.Minute, 11 * time.Minute},
		{7 * 24 * time.Hour, 11 * time.Minute},
	} {
		whole, rest := at(all, now.Add(-test.age)), at(kept, now.Add(-test.age))
		if lost := time.Duration((whole-rest)/10) * every; rest == 0 || lost < 0 || lost > test.apart {
			t.Errorf("at an age of %s revision %d became %d: %s older", test.age, whole, rest, lost)
		}
	}
	if again := thin(kept, now); len(again) != len(kept) {
		t.Errorf("thinned once more %d samples become %d", len(kept), len(again))
	}
	if thin(nil, now) != nil {
		t.Error("nothing became something")
	}
}

// TestNeverTooYoung: whatever lags and jitters, a key that the clock calls old was
// written at that time or before.
func TestNeverTooYoung(t *testing.T) {
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 7))
		s := newScene(t)
		written := map[int64]time.Time{} // revision: when
		head := int64(1000)
		for range 1000 {
			s.pass(time.Duration(random.IntN(3000)) * time.Millisecond)
			for range random.IntN(50) {
				head++
				written[head] = s.now.at
			}
			for i := range s.seen.Members {
				st := &s.seen.Members[i].Status
				st.Revision = max(st.Revision, head-random.Int64N(200))
				st.RaftIndex = uint64(st.Revision) + 8000
			}
			s.seen.Members[random.IntN(3)].Status.Revision = head
			s.history.take(FromObservation(s.seen), s.now)
			then := s.now.at.Add(-time.Duration(random.Int64N(int64(20 * time.Minute))))
			if old, ok := s.history.RevisionAt(then); ok && written[old].After(then) {
				t.Fatalf("seed %d: revision %d counts as current at %s and was written at %s", seed, old, then, written[old])
			}
		}
		if len(s.store.dropped) > 0 {
			t.Errorf("seed %d: dropped %v", seed, s.store.dropped)
		}
	}
}
