// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// TestStable: counted from the first look on, and again from each change on.
func TestStable(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*scene)
		want   string // in the words; empty: no change
	}{
		{"nothing", func(*scene) {}, ""},
		{"writes", func(s *scene) { s.write(400) }, ""},
		{"leader", func(s *scene) { s.lead(2) }, "leader moved from a (https://a:2379) to b (https://b:2379)"},
		{"election that the leader wins", func(s *scene) { s.lead(1) }, "an election: a (https://a:2379) leads as before, in term 6 instead of 5"},
		{"version", func(s *scene) { s.seen.Members[1].Status.Version = "3.6.17" }, "b (https://b:2379) changed from version 3.6.16 to 3.6.17"},
		{"member added", func(s *scene) {
			s.seen.Members = append(s.seen.Members, remediate.Member{Member: etcd.Member{ID: 4, Learner: true}})
		}, "the membership changed"},
		{"member renamed", func(s *scene) { s.seen.Members[2].Name = "d" }, "the membership changed"},
		{"another cluster", func(s *scene) {
			s.seen.ClusterID = 78
			s.all(func(st *etcd.Status) { st.ClusterID = 78 })
		}, "the cluster's id changed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			s.watch(10 * time.Minute)
			s.wantStable(10*time.Minute - every)
			test.change(s)
			for range 2 { // it keeps nothing
				if got := s.history.Differs(s.seen); got != test.want {
					t.Errorf("before the next look %q, want %q", got, test.want)
				}
			}
			s.watch(time.Minute)
			if test.want == "" {
				s.wantStable(11*time.Minute - every)
				return
			}
			if last := s.wantStable(time.Minute - every); last != test.want+" 55s ago" {
				t.Errorf("words %q, want %q", last, test.want)
			}
		})
	}
}

// TestUnstable: while a look shows trouble the cluster is not stable, and after it
// the count begins anew.
func TestUnstable(t *testing.T) {
	for _, test := range []struct {
		name   string
		breaks func(*scene)
		want   string
	}{
		{"a voter is silent", func(s *scene) { s.silence(2) }, "b (https://b:2379) did not answer"},
		{"no endpoint for a voter", func(s *scene) { s.seen.Members[1].URL = "" }, "b did not answer"},
		{"no leader", func(s *scene) { s.all(func(st *etcd.Status) { st.Leader = 0 }) }, "the voters had no leader that they agreed on"},
		{"one sees no leader", func(s *scene) { s.seen.Members[0].Status.Leader = 0 }, "the voters had no leader that they agreed on"},
		{"two leaders", func(s *scene) { s.seen.Members[2].Status.Leader = 3 }, "the voters had no leader that they agreed on"},
		{"two terms", func(s *scene) { s.seen.Members[2].Status.RaftTerm = 6 }, "the voters had no leader that they agreed on"},
		{"a voter of another cluster", func(s *scene) { s.seen.Members[2].Status.ClusterID = 9 }, "c (https://c:2379) named another cluster"},
		{"no list", func(s *scene) { s.seen.ListErr = errors.New("no endpoint gives a member list") }, "there was no member list: no endpoint gives a member list"},
		{"empty list", func(s *scene) { s.seen.Members = nil }, "the member list was empty"},
		{"nothing", func(s *scene) { s.seen = nil }, "nothing could be seen of the cluster"},
		{"zero answers", func(s *scene) { s.all(func(st *etcd.Status) { *st = etcd.Status{} }) }, "a (https://a:2379) named another cluster"},
		{"a stranger", func(s *scene) { s.seen.Disagreements = []string{"https://x:2379 names\nmember 9"} }, `"https://x:2379 names\nmember 9"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			s.watch(10 * time.Minute)
			test.breaks(s)
			s.look(every)
			s.pass(2 * time.Second)
			if last := s.wantStable(-1); !strings.HasPrefix(last, test.want) || !strings.HasSuffix(last, " 2s ago") {
				t.Errorf("words %q, want %q", last, test.want)
			}
			s.seen = cluster()
			s.look(3 * time.Second)
			if last := s.wantStable(0); !strings.HasPrefix(last, test.want) {
				t.Errorf("words %q, want %q", last, test.want)
			}
		})
	}
}

// TestLearnersMayBeSilent: they have no say.
func TestLearnersMayBeSilent(t *testing.T) {
	s := newScene(t)
	s.seen.Members[2].Learner = true
	s.watch(time.Minute)
	s.silence(3)
	s.watch(time.Minute)
	s.wantStable(2*time.Minute - every)
}

// TestGap: what nobody looked at is not stable, whichever clock tells of the gap.
func TestGap(t *testing.T) {
	for name, pass := range map[string]func(*scene){
		"both clocks": func(s *scene) { s.pass(31 * time.Second) },
		"suspended":   func(s *scene) { s.now.at = s.now.at.Add(31 * time.Second) },
		"set back":    func(s *scene) { s.now.mono += 31 * time.Second; s.now.at = s.now.at.Add(-time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.watch(10 * time.Minute)
			pass(s)
			if last := s.wantStable(-1); last != "the last good look at the cluster was 31s ago" {
				t.Error(last)
			}
			s.look(0)
			if last := s.wantStable(0); last != "nothing was seen of the cluster for 31s 0s ago" {
				t.Error(last)
			}
		})
	}
	s := newScene(t)
	s.watch(10 * time.Minute)
	s.look(29 * time.Second)
	s.wantStable(10*time.Minute - every + 29*time.Second)
}

// TestMoved: the change of leader that we asked for is no sign of trouble; any other is.
func TestMoved(t *testing.T) {
	for _, test := range []struct {
		name   string
		after  func(*scene)
		stable bool
	}{
		{"as asked", func(s *scene) { s.lead(2) }, true},
		{"between the two no leader", func(s *scene) {
			s.all(func(st *etcd.Status) { st.Leader = 0 })
			s.look(every)
			s.lead(2)
		}, true},
		{"between the two several", func(s *scene) {
			s.seen.Members[1].Status.Leader, s.seen.Members[1].Status.RaftTerm = 2, 6
			s.look(every)
			s.seen = cluster()
			s.lead(2)
		}, true},
		{"it does not happen", func(*scene) {}, true},
		{"to another", func(s *scene) { s.lead(3) }, false},
		{"to another and then as asked", func(s *scene) { s.lead(3); s.look(every); s.lead(2) }, false},
		{"as asked and back", func(s *scene) { s.lead(2); s.look(every); s.lead(1) }, false},
		{"as asked, back, and again", func(s *scene) { s.lead(2); s.look(every); s.lead(1); s.look(every); s.lead(2) }, false},
		{"an election that the leader wins", func(s *scene) { s.lead(1) }, false},
		{"too late", func(s *scene) { s.watch(65 * time.Second); s.lead(2) }, false},
		{"no later term", func(s *scene) { s.all(func(st *etcd.Status) { st.Leader = 2 }) }, false},
		{"with a silent voter", func(s *scene) {
			s.all(func(st *etcd.Status) { st.Leader = 0 })
			s.silence(3)
			s.look(every)
			s.seen = cluster()
			s.lead(2)
		}, false},
		{"no leader for too long", func(s *scene) {
			s.all(func(st *etcd.Status) { st.Leader = 0 })
			s.watch(40 * time.Second)
			s.lead(2)
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			s.watch(10 * time.Minute)
			s.history.Moved(2)
			test.after(s)
			s.look(every)
			want := time.Duration(0) // since this very look
			if test.stable {
				want = s.now.at.Sub(start.Add(every))
			}
			s.wantStable(want)
		})
	}
}

// TestMovedBetweenLooks: what we asked for is no difference, and stays asked for.
func TestMovedBetweenLooks(t *testing.T) {
	s := newScene(t)
	s.watch(10 * time.Minute)
	s.history.Moved(2)
	s.lead(2)
	for range 2 {
		if got := s.history.Differs(s.seen); got != "" {
			t.Errorf("as asked: %q", got)
		}
	}
	s.look(every)
	s.wantStable(10 * time.Minute)
	s.lead(3)
	if got := s.history.Differs(s.seen); got != "leader moved from b (https://b:2379) to c (https://c:2379)" {
		t.Errorf("another move: %q", got)
	}
}

// TestExcuse: a member that we work on may be silent meanwhile, and for half a minute
// after; nothing else may happen to it.
func TestExcuse(t *testing.T) {
	s := newScene(t)
	s.watch(10 * time.Minute)
	done := s.history.Excuse(2)
	s.silence(2)
	s.watch(2 * time.Minute)
	done()
	done() // once more changes nothing
	s.watch(25 * time.Second)
	s.wantStable(12*time.Minute + 20*time.Second)
	s.silence(3)
	s.look(every)
	if last := s.wantStable(-1); !strings.HasPrefix(last, "c (") {
		t.Error(last)
	}

	s = newScene(t)
	s.watch(10 * time.Minute)
	first, second := s.history.Excuse(2), s.history.Excuse(2)
	first()
	s.silence(2)
	s.watch(time.Minute) // the second excuse holds
	s.wantStable(11*time.Minute - every)
	second()
	s.watch(35 * time.Second)
	if last := s.wantStable(-1); !strings.HasPrefix(last, "b (https://b:2379) did not answer") {
		t.Error(last)
	}

	s = newScene(t)
	s.watch(10 * time.Minute)
	s.history.Excuse(2)
	s.silence(2)
	s.look(every)
	s.revive(2)
	s.seen.Members[1].Status.Version = "3.6.17"
	s.look(every)
	if last := s.wantStable(0); !strings.Contains(last, "changed from version") {
		t.Errorf("a new version behind an excuse: %s", last)
	}
}

// TestExcuseTheOnlyMember: while it is worked on nobody answers at all.
func TestExcuseTheOnlyMember(t *testing.T) {
	s := newScene(t)
	s.seen.Members = s.seen.Members[:1]
	s.watch(10 * time.Minute)
	s.history.Excuse(1)
	s.silence(1)
	s.watch(time.Minute)
	s.wantStable(11*time.Minute - every)
	s.revive(1)
	s.lead(1)
	s.look(every)
	if last := s.wantStable(0); !strings.Contains(last, "an election") {
		t.Errorf("a new term behind an excuse: %s", last)
	}
}
