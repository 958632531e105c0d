// SPDX-License-Identifier: Apache-2.0

// Package dispatch turns what was accepted into runs: an alert into an open intent
// that is tried until it is resolved, too old or done, a person's word into a run at
// once. There is one run a cluster at a time, and a bound on how many clusters are
// worked on, whoever asks.
package dispatch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/journal"
)

const (
	// ApprovalTime is how long a planned run waits for its approval.
	ApprovalTime = 30 * time.Minute
	// glance is how often intents are looked at.
	glance = time.Second
)

var (
	// ErrUnknownRun says that no run has that id.
	ErrUnknownRun = errors.New("no run has that id")
	// ErrNotAwaiting says that a run does not wait for an approval (any more).
	ErrNotAwaiting = errors.New("the run does not wait for an approval")
	// ErrExpired says that the approval came too late.
	ErrExpired = errors.New("the approval comes too late: the run has expired")
	// ErrStopping says that nothing new is begun.
	ErrStopping = errors.New("the program is about to end")
)

// Target is one cluster that may be acted on.
type Target struct {
	Name     string
	Live     remediate.Live
	History  remediate.History
	DataDirs map[string]string
	Backups  []remediate.Backup
}

// Journal is what is kept of intents and runs.
type Journal interface {
	Of(cluster string) remediate.Ledger
	remediate.Recorder
	Accept(ctx context.Context, intents ...journal.Intent) error
	Resolve(ctx context.Context, fingerprints ...string) error
	UpdateIntent(ctx context.Context, i journal.Intent) error
	Intents() []journal.Intent
	Awaiting() []*remediate.Run
	Run(id string) (*remediate.Run, bool)
}

// Options describe a Dispatcher.
type Options struct {
	Journal    Journal
	Targets    []Target
	Policies   []remediate.Policy
	Guards     []remediate.Guard
	Action     func(name string) (remediate.Action, error)
	Default    func(action string) (remediate.Policy, bool) // parameters by hand where no policy fits
	Concurrent int                                          // clusters that are worked on at one time
	Log        *slog.Logger
	Now        func() time.Time
	Watcher    remediate.Watcher
	Finished   func(*remediate.Run) // each run that has an outcome; may be nil
}

// Dispatcher starts runs.
type Dispatcher struct {
	o     Options
	slots *semaphore.Weighted
	wake  chan struct{}
	runs  sync.WaitGroup

	mu      sync.Mutex
	setup   setup
	busy    map[string]*semaphore.Weighted // by cluster: one run at a time
	waiting map[intentKey]bool             // queued or running
	queued  int
	running map[string]*Running                // by run id
	firing  map[intentKey]map[string]time.Time // by fingerprint, when it was told of last
	stopped bool
}

// setup is what a reload replaces.
type setup struct {
	targets  []Target
	policies []remediate.Policy
	guards   []remediate.Guard
}

type intentKey struct{ policy, cluster string }

// Running is a run that goes on at present.
type Running struct {
	Run       *remediate.Run
	Step      *remediate.Step
	Done, All int64
}

// New makes a Dispatcher that acts for as long as Run does. ByHand needs no Run.
func New(o Options) *Dispatcher {
	return &Dispatcher{
		o: o, slots: semaphore.NewWeighted(int64(max(o.Concurrent, 1))), wake: make(chan struct{}, 1),
		setup: setup{o.Targets, o.Policies, o.Guards},
		busy:  map[string]*semaphore.Weighted{}, waiting: map[intentKey]bool{}, running: map[string]*Running{},
		firing: map[intentKey]map[string]time.Time{},
	}
}

// Replace has later runs use other clusters, policies and guards. What runs goes on
// with what it began with.
func (d *Dispatcher) Replace(targets []Target, policies []remediate.Policy, guards []remediate.Guard) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setup = setup{targets, policies, guards}
}

// WhenIdle calls f in the background when no run is on the cluster, as before its
// connections are closed.
func (d *Dispatcher) WhenIdle(ctx context.Context, cluster string, f func()) {
	busy := d.lane(cluster)
	d.runs.Go(func() {
		if busy.Acquire(context.WithoutCancel(ctx), 1) == nil {
			defer busy.Release(1)
		}
		f()
	})
}

// Wait waits until no run is under way.
func (d *Dispatcher) Wait() { d.runs.Wait() }

func (d *Dispatcher) now() setup {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.setup
}

// target and policy give what is configured under a name.
func (s setup) target(name string) (Target, bool) {
	i := slices.IndexFunc(s.targets, func(t Target) bool { return t.Name == name })
	if i < 0 {
		return Target{}, false
	}
	return s.targets[i], true
}

func (s setup) policy(name string) (remediate.Policy, bool) {
	i := slices.IndexFunc(s.policies, func(p remediate.Policy) bool { return p.Name == name })
	if i < 0 {
		return remediate.Policy{}, false
	}
	return s.policies[i], true
}

// execute carries one run out when its turn has come.
func (d *Dispatcher) execute(ctx context.Context, s setup, run *remediate.Run, p remediate.Policy, acting bool, how How) error {
	action, err := d.o.Action(run.Action)
	if err != nil {
		return err
	}
	release, err := d.turn(ctx, run.Cluster, acting)
	if err != nil {
		return err
	}
	defer release()
	if acting { // a reload may have come while others were at work
		if s, p, err = d.anew(run, p, how); err != nil {
			return err
		}
	}
	target, ok := s.target(run.Cluster)
	if !ok {
		return fmt.Errorf("no cluster is called %q", run.Cluster)
	}
	live := d.begin(run)
	defer d.end(run)
	c := &remediate.Cluster{
		Name: target.Name, Policy: p, DataDirs: target.DataDirs, Backups: target.Backups,
		Live: target.Live, History: target.History, Ledger: d.o.Journal.Of(run.Cluster), Run: run, Acting: acting, Now: d.o.Now,
		Log: d.o.Log.With("cluster", run.Cluster, "policy", run.Policy, "run", run.ID),
	}
	c.Orders = func(ctx context.Context) error { return orders(ctx, s.guards, c) }
	c.Progress = func(step *remediate.Step, done, all int64) {
		d.progress(live, step, done, all)
		if how.Progress != nil {
			how.Progress(step, done, all)
		}
	}
	watcher := d.o.Watcher
	watcher.Step = func(r *remediate.Run, step *remediate.Step) {
		logStep(c.Log, step)
		for _, f := range []func(*remediate.Run, *remediate.Step){d.o.Watcher.Step, how.Step} {
			if f != nil {
				f(r, step)
			}
		}
	}
	book := remediate.Recorder(d.o.Journal)
	if how.forget {
		book, watcher = nothing{}, remediate.Watcher{}
	}
	runner := remediate.Runner{Guards: s.guards, Journal: book, Watcher: watcher, Log: c.Log, Patience: how.Patience, ApprovalTime: ApprovalTime}
	if err := runner.Execute(ctx, c, action); err != nil {
		return err
	}
	if how.forget {
		return nil
	}
	logRun(ctx, c.Log, run)
	if d.o.Finished != nil {
		d.o.Finished(run)
	}
	return nil
}

// turn waits until the run may begin: one run a cluster, and, where it acts, a
// bound on the clusters.
func (d *Dispatcher) turn(ctx context.Context, cluster string, acting bool) (release func(), err error) {
	if !acting {
		return func() {}, nil // looking disturbs nobody
	}
	busy := d.lane(cluster)
	d.queue(1)
	defer d.queue(-1)
	if err := busy.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("wait for another run on %s: %w", cluster, err)
	}
	if err := d.slots.Acquire(ctx, 1); err != nil {
		busy.Release(1)
		return nil, fmt.Errorf("wait for runs on other clusters: %w", err)
	}
	return func() { d.slots.Release(1); busy.Release(1) }, nil
}

// lane is what a run on the cluster holds.
func (d *Dispatcher) lane(cluster string) *semaphore.Weighted {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[cluster] == nil {
		d.busy[cluster] = semaphore.NewWeighted(1)
	}
	return d.busy[cluster]
}

func (d *Dispatcher) queue(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queued += n
}

func (d *Dispatcher) begin(run *remediate.Run) *Running {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := &Running{Run: run}
	d.running[run.ID] = r
	return r
}

func (d *Dispatcher) end(run *remediate.Run) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.running, run.ID)
}

func (d *Dispatcher) progress(r *Running, step *remediate.Step, done, all int64) {
	copied := *step
	d.mu.Lock()
	defer d.mu.Unlock()
	r.Step, r.Done, r.All = &copied, done, all
}

// Running are the runs that go on, with copies of what changes.
func (d *Dispatcher) Running() []Running {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Running
	for id, r := range d.running {
		run := &remediate.Run{ID: id, Cluster: r.Run.Cluster, Policy: r.Run.Policy, Action: r.Run.Action, Mode: r.Run.Mode, Trigger: r.Run.Trigger, AcceptedAt: r.Run.AcceptedAt}
		all = append(all, Running{run, r.Step, r.Done, r.All})
	}
	slices.SortFunc(all, func(a, b Running) int { return a.Run.AcceptedAt.Compare(b.Run.AcceptedAt) })
	return all
}

// Queued is how many runs wait for their turn.
func (d *Dispatcher) Queued() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queued
}

// nothing keeps nothing.
type nothing struct{}

// PutRun implements remediate.Recorder.
func (nothing) PutRun(context.Context, *remediate.Run) error { return nil }

// PutStep implements remediate.Recorder.
func (nothing) PutStep(context.Context, string, int, *remediate.Step) error { return nil }

// newID makes a run's id: sorted by time, and not to be guessed.
func newID(now time.Time) string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // it never fails
	return now.UTC().Format("20060102T150405Z-") + hex.EncodeToString(random[:])
}
