// SPDX-License-Identifier: Apache-2.0

// Package watch looks at a cluster every few seconds, for as long as the program
// runs, and remembers two things that no single look can tell: for how long the
// cluster has been as it is, and which revision was current when.
//
// Both fail towards caution. What was not seen for a while is not stable, and a
// revision clock that may be wrong is thrown away and begins again.
package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

const (
	// every is the pause between two looks.
	every = 5 * time.Second
	// tooLong without a good look ends what was known: the process was suspended,
	// or the cluster could not be reached.
	tooLong = 30 * time.Second
)

// Options describe one cluster to watch.
type Options struct {
	Cluster string // the name under which the store keeps its samples
	// Sample looks once. It comes back by itself within a few seconds: see Light.
	Sample func(ctx context.Context) *remediate.Observation
	Every  time.Duration    // between two looks; 0: 5 s
	Now    func() time.Time // nil: time.Now
	Store  SampleStore      // keeps the revision clock; nil: it ends with the process
	Log    *slog.Logger     // nil: none
}

// History is what was seen of one cluster. It is safe for concurrent use.
type History struct {
	o     Options
	clock func() instant

	mu        sync.Mutex
	stability stability
	revisions revisions
}

var _ remediate.History = (*History)(nil)

// New begins with nothing seen: until Run has looked, nothing is stable.
func New(o Options) *History {
	if o.Every <= 0 {
		o.Every = every
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &History{o: o, revisions: revisions{cluster: o.Cluster, store: o.Store}}
	start := o.Now()
	h.clock = func() instant {
		now := o.Now()
		return instant{at: now, mono: now.Sub(start)}
	}
	return h
}

// Run looks until ctx ends.
func (h *History) Run(ctx context.Context) {
	tick := time.NewTicker(h.o.Every)
	defer tick.Stop()
	for {
		l := FromObservation(h.o.Sample(ctx))
		if ctx.Err() != nil { // what was cut short says nothing about the cluster
			return
		}
		h.take(l, h.clock())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// take learns from one look, whose last answer came before now.
func (h *History) take(l Look, now instant) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if news := h.stability.take(l, now); news != "" {
		h.o.Log.Info("the cluster is not as it was; stability is counted anew", "cluster", h.o.Cluster, "change", news)
	}
	if why := h.revisions.take(l, now); why != "" {
		h.o.Log.Warn("the samples of the revision clock are dropped; it begins again", "cluster", h.o.Cluster, "reason", why)
	}
}

// Stable gives since when the cluster is as it is, and in words what happened last.
// The zero time says that it is not stable at present.
func (h *History) Stable() (since time.Time, last string) {
	now := h.clock()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stability.stable(now)
}

// Looked says whether the cluster was looked at yet, whatever was seen.
func (h *History) Looked() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stability.event != ""
}

// Differs says in words what an observation shows that the last look did not: between
// two looks nobody watches. Empty: nothing.
func (h *History) Differs(o *remediate.Observation) string {
	l := FromObservation(o)
	if l.Fault != "" { // others judge that
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stability.differs(&l)
}

// Moved has the next change of leader, if it comes within a minute and to that very
// member, count as our own doing.
func (h *History) Moved(to uint64) {
	now := h.clock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stability.move = &move{to: to, asked: now}
}

// Excuse takes it for no sign of trouble that the member does not answer, until
// done is called and for half a minute after. done may be called more than once.
func (h *History) Excuse(member uint64) (done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stability.excuse(member)
	return sync.OnceFunc(func() {
		now := h.clock()
		h.mu.Lock()
		defer h.mu.Unlock()
		h.stability.accuse(member, now)
	})
}

// RevisionAt gives a revision of which is known that it was current at t or before:
// a key whose last change is not above it has not been changed since t.
func (h *History) RevisionAt(t time.Time) (revision int64, ok bool) {
	now := h.clock()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.revisions.at(t, now)
}

// FirstSample gives the oldest sample of the revision clock.
func (h *History) FirstSample() (at time.Time, revision int64, ok bool) {
	now := h.clock()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.revisions.first(now)
}

// instant is one reading of our clocks.
type instant struct {
	at   time.Time     // with the wall clock
	mono time.Duration // of the monotonic clock, which nobody can set
}

// since gives how long ago before was, by either clock. They part when the wall
// clock is set, and when the machine is suspended.
func (i instant) since(before instant) (mono, wall time.Duration) {
	return i.mono - before.mono, i.at.Round(0).Sub(before.at.Round(0))
}

// longSince gives how long ago before was, by the clock that says more.
func (i instant) longSince(before instant) time.Duration {
	mono, wall := i.since(before)
	return max(mono, wall)
}
