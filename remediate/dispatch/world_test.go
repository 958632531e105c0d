// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/journal"
	"github.com/etcdops/etcdops/remediate/webhook"
)

// world is a dispatcher over a real journal; clusters, actions and guards are not.
type world struct {
	remediate.Live
	remediate.History
	*Dispatcher
	journal *journal.Journal

	atWork, most atomic.Int64 // steps at one time, and the most there ever were
	applied      atomic.Int64
	took         time.Duration // each step
	refuse       atomic.Pointer[remediate.Blocked]
	stepErr      error

	mu       sync.Mutex
	finished []remediate.Outcome
}

func (w *world) Observe(context.Context, bool) *remediate.Observation {
	return &remediate.Observation{}
}
func (w *world) Name() string { return "guard" }

func (w *world) Check(context.Context, *remediate.Cluster, *remediate.Step) error {
	if b := w.refuse.Load(); b != nil {
		return b
	}
	return nil
}

// once is an action of one step.
type once struct{ *world }

func (once) Name() string { return remediate.ActionCompact }

func (once) Plan(_ context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	if len(c.Run.Steps) > 0 {
		return nil, nil
	}
	return &remediate.Step{Action: remediate.StepCompact, URL: "http://" + c.Name}, nil
}

func (o once) Apply(context.Context, *remediate.Cluster, *remediate.Step) error {
	o.mu.Lock()
	o.most.Store(max(o.most.Load(), o.atWork.Add(1)))
	o.mu.Unlock()
	defer o.atWork.Add(-1)
	time.Sleep(o.took) // of a synctest bubble
	o.applied.Add(1)
	return o.stepErr
}

func (once) Verify(context.Context, *remediate.Cluster, *remediate.Step) error { return nil }

func newWorld(t *testing.T, mode string, concurrent int, clusters ...string) *world {
	t.Helper()
	w := &world{}
	var err error
	if w.journal, err = journal.Open(t.TempDir()+"/journal", journal.Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	o := Options{
		Journal: w.journal, Guards: []remediate.Guard{w}, Concurrent: concurrent, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Policies: []remediate.Policy{{Name: "p", Mode: mode, Action: remediate.ActionCompact, Clusters: clusters}},
		Action:   func(string) (remediate.Action, error) { return once{w}, nil },
		Default:  func(string) (remediate.Policy, bool) { return remediate.Policy{}, false },
		Finished: func(r *remediate.Run) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.finished = append(w.finished, r.Outcome)
		},
	}
	for _, name := range clusters {
		o.Targets = append(o.Targets, Target{Name: name, Live: w, History: w})
	}
	w.Dispatcher = New(o)
	return w
}

// run has the dispatcher live for as long as f does.
func (w *world) run(t *testing.T, f func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	f(ctx)
	cancel()
	<-ended
	if err := w.journal.Close(); err != nil {
		t.Error(err)
	}
}

func (w *world) outcomes() []remediate.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.finished)
}

func hit(cluster, fingerprint, status string) webhook.Hit {
	return webhook.Hit{Policy: remediate.Policy{Name: "p"}, Cluster: cluster, Alert: "a", Fingerprint: fingerprint, Status: status}
}

// settle waits until all is written and nothing but time is waited for.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
