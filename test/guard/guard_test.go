// SPDX-License-Identifier: Apache-2.0

// Package guard_test has the guards judge a real cluster as it goes wrong.
package guard_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/guard"
	"github.com/etcdops/etcdops/remediate/live"
	"github.com/etcdops/etcdops/remediate/watch"
	"github.com/etcdops/etcdops/test/lab"
)

// quiet is a ledger of nothing.
type quiet struct{ remediate.Ledger }

func (quiet) Spent(string, string) []time.Time      { return nil }
func (quiet) LastSpent(string, string) time.Time    { return time.Time{} }
func (quiet) Complete() (bool, time.Time)           { return true, time.Time{} }
func (quiet) Breaker(string, string) (bool, string) { return false, "" }
func (quiet) Unfinished(string, string) bool        { return false }
func (quiet) Paused() (time.Time, string)           { return time.Time{}, "" }
func (quiet) Fit() error                            { return nil }

type scene struct {
	*testing.T
	lab     *lab.Lab
	client  *clientv3.Client
	cluster *remediate.Cluster
	history *watch.History
}

func newScene(t *testing.T) *scene {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Options{Version: "3.6.16", TLS: lab.Plain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	client, err := l.Client()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := etcd.NewCluster(etcd.Config{Name: "lab", Endpoints: l.Endpoints(), ProbeKey: "health"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	history := watch.New(watch.Options{Cluster: "lab", Sample: watch.Light(cluster), Every: 200 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); history.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return &scene{t, l, client, &remediate.Cluster{
		Name: "lab", Live: live.New(cluster), History: history, Ledger: quiet{}, Acting: true, Now: time.Now,
		Run: &remediate.Run{Action: remediate.ActionDefrag},
		Policy: remediate.Policy{
			Action: remediate.ActionDefrag, MaxRunsPerDay: 1, StableFor: 2 * time.Second, AcceptUnknownDisk: true,
			Defrag: remediate.Defrag{MaxPause: 30 * time.Second},
		},
	}, history}
}

// refusals observes, and gives what each guard that refuses says.
func (s *scene) refusals() map[string]string {
	s.cluster.Seen = s.cluster.Live.Observe(s.Context(), true)
	step := &remediate.Step{Action: remediate.StepDefrag, URL: s.lab.Endpoints()[0]}
	said := map[string]string{}
	for _, g := range guard.All(guard.Options{}) {
		if err := g.Check(s.Context(), s.cluster, step); err != nil {
			said[g.Name()] = err.Error()
		}
	}
	return said
}

// await looks until at least these guards refuse, and until none does where none is
// named.
func (s *scene) await(what string, guards ...string) map[string]string {
	s.Helper()
	var said map[string]string
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		said = s.refusals()
		if len(guards) == 0 && len(said) == 0 || len(guards) > 0 && !slices.ContainsFunc(guards, func(g string) bool { return said[g] == "" }) {
			return said
		}
	}
	s.Fatalf("%s: refused by %v, want %v", what, said, guards)
	return nil
}

// follower is one that does not lead.
func (s *scene) follower() *lab.Member {
	s.Helper()
	leader, ok := s.cluster.Seen.Leader()
	if !ok {
		s.Fatal("nobody leads")
	}
	for _, m := range s.lab.Members() {
		if m.ID() != leader.ID {
			return m
		}
	}
	return nil
}

// TestRefusals goes through what befalls a cluster; after each all guards allow again.
func TestRefusals(t *testing.T) {
	s := newScene(t)
	s.await("a healthy cluster")

	m := s.follower()
	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
	said := s.await("a member that hangs", "health", "stable", "lag", "version", "clock", "defragmenting")
	if said["members"] != "" || said["voters"] != "" {
		t.Errorf("a hanging member: %v", said)
	}
	if err := m.Resume(); err != nil {
		t.Fatal(err)
	}
	s.await("a member that came back")

	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	s.await("a dead member", "health", "stable", "defragmenting")
	if err := m.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if said := s.await("a restarted member", "stable"); !strings.Contains(said["stable"], "was started") && !strings.Contains(said["stable"], "stable") {
		t.Errorf("a restarted member: %v", said)
	}
	s.await("a member that came back")

	added, err := s.client.MemberAddAsLearner(t.Context(), []string{"http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	s.await("an unstarted member", "members", "stable", "defragmenting", "clock")
	if _, err := s.client.MemberRemove(t.Context(), added.Member.ID); err != nil {
		t.Fatal(err)
	}
	s.await("without it")
}

// TestMovedLeader: the leader that we moved does not make the cluster unstable, one
// that another moved does; and the revision clock tells what was written when.
func TestMovedLeader(t *testing.T) {
	s := newScene(t)
	s.await("a healthy cluster")
	before, _ := s.history.Stable()
	s.move(true)
	if since, last := s.history.Stable(); !since.Equal(before) {
		t.Errorf("we moved the leader: stable since %s (%s), before since %s", since, last, before)
	}
	s.move(false)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		since, last := s.history.Stable()
		if !since.Equal(before) && strings.Contains(last, "leader") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("another moved the leader: stable since %s (%s)", since, last)
		}
	}
	s.await("a healthy cluster")

	then := time.Now()
	r, err := s.client.Put(t.Context(), "young", "")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if now, ok := s.history.RevisionAt(time.Now()); ok && now >= r.Header.Revision {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the write is never seen")
		}
	}
	if old, ok := s.history.RevisionAt(then); !ok || old >= r.Header.Revision {
		t.Errorf("before the write revision %d %v was current, the write made %d", old, ok, r.Header.Revision)
	}
}

// move gives the leadership to a follower, and waits until all see it.
func (s *scene) move(ours bool) {
	s.Helper()
	s.cluster.Seen = s.cluster.Live.Observe(s.Context(), true)
	leader, _ := s.cluster.Seen.Leader()
	to := s.follower().ID()
	if ours {
		s.history.Moved(to)
	}
	if err := s.cluster.Live.MoveLeader(s.Context(), leader.URL, to); err != nil {
		s.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		s.cluster.Seen = s.cluster.Live.Observe(s.Context(), true)
		if now, ok := s.cluster.Seen.Leader(); ok && now.ID == to {
			time.Sleep(500 * time.Millisecond) // the watch has looked since
			return
		}
	}
	s.Fatal("the leadership did not move")
}
