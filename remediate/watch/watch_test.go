// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// scene is a cluster of the voters a, b and c (1, 2, 3), of which a leads, and what
// is seen of it by a clock that the test turns.
type scene struct {
	*testing.T
	history *History
	store   *store
	now     instant
	seen    *remediate.Observation
}

var start = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

func newScene(t *testing.T, kept ...Sample) *scene {
	t.Helper()
	s := &scene{T: t, now: instant{at: start}, seen: cluster(), store: &store{kept: kept}}
	s.history = New(Options{Cluster: "prod", Store: s.store})
	s.history.clock = func() instant { return s.now }
	return s
}

func cluster() *remediate.Observation {
	o := &remediate.Observation{ClusterID: 77}
	for id := uint64(1); id <= 3; id++ {
		label := string(rune('a' + id - 1))
		o.Members = append(o.Members, remediate.Member{
			Member: etcd.Member{ID: id, Name: label, ClientURLs: []string{"https://" + label + ":2379"}},
			URL:    "https://" + label + ":2379",
			Status: etcd.Status{
				ClusterID: 77, MemberID: id, Version: "3.6.16", Leader: 1, RaftTerm: 5,
				RaftIndex: 9000, RaftAppliedIndex: 9000, Revision: 1000,
			},
		})
	}
	return o
}

// pass lets time go by on both clocks.
func (s *scene) pass(d time.Duration) {
	s.now.at, s.now.mono = s.now.at.Add(d), s.now.mono+d
}

// look looks after that time.
func (s *scene) look(after time.Duration) {
	s.pass(after)
	s.history.take(FromObservation(s.seen), s.now)
}

// watch looks every five seconds for that time.
func (s *scene) watch(d time.Duration) {
	for ; d > 0; d -= every {
		s.look(every)
	}
}

// all changes what every member says.
func (s *scene) all(change func(*etcd.Status)) {
	for i := range s.seen.Members {
		change(&s.seen.Members[i].Status)
	}
}

// lead makes a member the leader, in the next term.
func (s *scene) lead(id uint64) {
	s.all(func(st *etcd.Status) { st.Leader, st.RaftTerm = id, st.RaftTerm+1 })
}

func (s *scene) silence(id uint64) {
	s.seen.Members[id-1].StatusErr = errors.New("connection refused")
}

func (s *scene) revive(id uint64) { s.seen.Members[id-1].StatusErr = nil }

// write lets the cluster write so many revisions.
func (s *scene) write(n int64) {
	s.all(func(st *etcd.Status) {
		st.Revision += n
		st.RaftIndex, st.RaftAppliedIndex = st.RaftIndex+uint64(n), st.RaftAppliedIndex+uint64(n)
	})
}

// wantStable checks for how long the cluster counts as stable; below 0: not at all.
func (s *scene) wantStable(want time.Duration) (last string) {
	s.Helper()
	since, last := s.history.Stable()
	switch {
	case since.IsZero() && want >= 0:
		s.Errorf("not stable (%s), want stable for %s", last, want)
	case !since.IsZero() && want < 0:
		s.Errorf("stable for %s (%s), want not stable", s.now.at.Sub(since), last)
	case want >= 0 && s.now.at.Sub(since) != want:
		s.Errorf("stable for %s (%s), want %s", s.now.at.Sub(since), last, want)
	}
	return last
}

// store keeps samples, and what was dropped why.
type store struct {
	kept    []Sample
	dropped []string
}

func (s *store) Samples(string) []Sample { return s.kept }

func (s *store) AddSample(_ string, id uint64, at time.Time, revision int64) {
	s.kept = append(s.kept, Sample{at, id, revision})
}

func (s *store) DropSamples(_, why string) { s.kept, s.dropped = nil, append(s.dropped, why) }

// TestRun: one look every five seconds, one that takes long holds only itself up, and
// the end of ctx ends it without a last look that says nothing.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, looks := time.Now(), []time.Duration{}
		h := New(Options{Cluster: "prod", Sample: func(ctx context.Context) *remediate.Observation {
			looks = append(looks, time.Since(begun))
			if len(looks) == 3 {
				time.Sleep(4 * time.Second)
			}
			if ctx.Err() != nil {
				return nil
			}
			return cluster()
		}})
		if since, last := h.Stable(); !since.IsZero() || last != "the cluster was not looked at yet" {
			t.Errorf("before the first look: %s, %s", since, last)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); h.Run(ctx) }()
		time.Sleep(22 * time.Second)
		synctest.Wait()
		for i := range 5 {
			if len(looks) != 5 || looks[i] != time.Duration(i)*every {
				t.Fatalf("looks at %v", looks)
			}
		}
		if since, last := h.Stable(); time.Since(since) != 22*time.Second {
			t.Errorf("stable since %s (%s)", since, last)
		}
		cancel()
		<-done
		if since, last := h.Stable(); since.IsZero() {
			t.Errorf("the end of the watch counts as trouble: %s", last)
		}
		time.Sleep(31 * time.Second)
		if since, last := h.Stable(); !since.IsZero() {
			t.Errorf("stable without a look for 31s: %s", last)
		}
	})
}

// TestRunIsCutShort: what a look says that ended with ctx does not count.
func TestRunIsCutShort(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := New(Options{Sample: func(context.Context) *remediate.Observation { cancel(); return nil }})
	h.Run(ctx)
	if _, last := h.Stable(); last != "the cluster was not looked at yet" {
		t.Error(last)
	}
}
