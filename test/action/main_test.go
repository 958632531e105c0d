// SPDX-License-Identifier: Apache-2.0

// Package action_test carries the remedies out on real etcd.
package action_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/action"
	"github.com/etcdops/etcdops/remediate/live"
	"github.com/etcdops/etcdops/test/lab"
)

const (
	version = "3.6.16"
	mib     = 1 << 20
)

func TestMain(m *testing.M) {
	if child, exit := snapshot.Child(); child {
		os.Exit(exit)
	}
	os.Exit(m.Run())
}

// rig is a lab with what a run needs around it.
type rig struct {
	*memory
	lab    *lab.Lab
	client *clientv3.Client
	live   *live.Live
	now    func() time.Time
}

// start starts a lab of plain members and the program's own connections to it.
func start(t *testing.T, o lab.Options) *rig {
	t.Helper()
	o.TLS = lab.Plain
	if o.Version == "" {
		o.Version = version
	}
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	client, err := l.Client()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := etcd.NewCluster(etcd.Config{Name: "lab", Endpoints: l.Endpoints(), ProbeKey: "health", Discover: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return &rig{memory: &memory{}, lab: l, client: client, live: live.New(cluster), now: time.Now}
}

// cluster is a run about to begin.
func (r *rig) cluster(p remediate.Policy, acting bool) *remediate.Cluster {
	return &remediate.Cluster{
		Name: "lab", Policy: p, Live: r.live, History: r.memory, Ledger: r.memory, Acting: acting, Now: r.now,
		Run:      &remediate.Run{ID: "1", Cluster: "lab"},
		Progress: func(*remediate.Step, int64, int64) {},
		Log:      slog.New(slog.DiscardHandler),
	}
}

// execute carries an action out, or plans it, with the real runner and no guards.
func (r *rig) execute(t *testing.T, c *remediate.Cluster, name string) *remediate.Run {
	t.Helper()
	a, err := action.New(name)
	if err != nil {
		t.Fatal(err)
	}
	runner := &remediate.Runner{Journal: r.memory, Log: slog.New(slog.DiscardHandler)}
	if err := runner.Execute(t.Context(), c, a); err != nil {
		t.Fatal(err)
	}
	return c.Run
}

func (r *rig) run(t *testing.T, p remediate.Policy, name string) *remediate.Run {
	t.Helper()
	return r.execute(t, r.cluster(p, true), name)
}

func (r *rig) plan(t *testing.T, p remediate.Policy, name string) *remediate.Run {
	t.Helper()
	return r.execute(t, r.cluster(p, false), name)
}

// head is the cluster's present revision.
func (r *rig) head(t *testing.T) int64 {
	t.Helper()
	answer, err := r.client.Get(t.Context(), "health", clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return answer.Header.Revision
}

// fragment leaves databases of some 15 MiB that hold next to nothing.
func (r *rig) fragment(t *testing.T) {
	t.Helper()
	value := make([]byte, 256<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(value)
	for i := range 60 {
		if _, err := r.client.Put(t.Context(), fmt.Sprintf("/fill/%03d", i), string(value)); err != nil {
			t.Fatal(err)
		}
	}
	deleted, err := r.client.Delete(t.Context(), "/fill/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Compact(t.Context(), deleted.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		// 3.6 tells the smaller size in use only after a write.
		if _, err := r.client.Put(t.Context(), "/kept", "v"); err != nil {
			t.Fatal(err)
		}
		o := r.live.Observe(t.Context(), false)
		done = !slices.ContainsFunc(o.Members, func(m remediate.Member) bool { return m.Fragmentation() < 0.8 })
	}
}

func wantOutcome(t *testing.T, run *remediate.Run, want remediate.Outcome, reason string) {
	t.Helper()
	if run.Outcome != want || !strings.Contains(run.Reason, reason) {
		t.Fatalf("outcome %s: %s\nwant %s: %s", run.Outcome, run.Reason, want, reason)
	}
}

// steps are the run's steps in short.
func steps(run *remediate.Run) []string {
	var all []string
	for _, s := range run.Steps {
		all = append(all, s.Action+" "+s.Member)
	}
	return all
}

// memory is a History, a Ledger and a journal for tests.
type memory struct {
	mu         sync.Mutex
	samples    []sample
	moved      []uint64
	snapshots  []string
	lastDelete sample
}

type sample struct {
	at       time.Time
	revision int64
}

// saw adds a sample to the revision clock.
func (m *memory) saw(at time.Time, revision int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples = append(m.samples, sample{at, revision})
}

func (m *memory) Stable() (time.Time, string) { return time.Time{}, "" }
func (m *memory) Excuse(uint64) func()        { return func() {} }

func (m *memory) Moved(to uint64) { m.moved = append(m.moved, to) }

func (m *memory) RevisionAt(t time.Time) (revision int64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.samples {
		if !s.at.After(t) {
			revision, ok = max(revision, s.revision), true
		}
	}
	return revision, ok
}

func (m *memory) FirstSample() (at time.Time, revision int64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.samples) == 0 {
		return time.Time{}, 0, false
	}
	return m.samples[0].at, m.samples[0].revision, true
}

func (m *memory) Spent(string, string) []time.Time      { return nil }
func (m *memory) LastSpent(string, string) time.Time    { return time.Time{} }
func (m *memory) Complete() (bool, time.Time)           { return true, time.Time{} }
func (m *memory) Breaker(string, string) (bool, string) { return false, "" }
func (m *memory) Unfinished(string, string) bool        { return false }
func (m *memory) Paused() (time.Time, string)           { return time.Time{}, "" }
func (m *memory) Fit() error                            { return nil }
func (m *memory) Snapshots(string, string) []string     { return m.snapshots }

func (m *memory) LastDelete(string) (int64, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lastDelete.revision, m.lastDelete.at
}

func (m *memory) PutRun(context.Context, *remediate.Run) error { return nil }

// PutStep keeps what the ledger tells of later.
func (m *memory) PutStep(_ context.Context, _ string, _ int, s *remediate.Step) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case s.FinishedAt.IsZero():
	case s.Action == remediate.StepPrune && s.Revision > 0:
		m.lastDelete = sample{s.FinishedAt, s.Revision}
	case s.Action == remediate.StepSnapshot && s.File != "":
		m.snapshots = append(m.snapshots, s.File)
	}
	return nil
}
