// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"sync"
)

// Background owns what may outlive a request: rounds that equal scrapes share, and
// what takes longer than a scrape or wants its own timing. It ends with the cluster
// it belongs to.
type Background struct {
	life context.Context //nolint:containedctx // the life of the cluster, which outlives each scrape
	stop context.CancelFunc
	work context.Context //nolint:containedctx // of the jobs, within life
	rest context.CancelFunc
	mu   sync.Mutex
	wg   sync.WaitGroup
}

// NewBackground makes a Background that ends with life at the latest.
func NewBackground(life context.Context) *Background {
	life, stop := context.WithCancel(life)
	work, rest := context.WithCancel(life)
	return &Background{life: life, stop: stop, work: work, rest: rest}
}

// Go runs f unless the Background was closed.
func (b *Background) Go(f func(ctx context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.life.Err() == nil {
		b.wg.Go(func() { f(b.life) })
	}
}

// Work is Go for a job, which Rest ends.
func (b *Background) Work(f func(ctx context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.work.Err() == nil {
		b.wg.Go(func() { f(b.work) })
	}
}

// Rest ends the jobs and lets rounds go on: somebody waits for those.
func (b *Background) Rest() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest()
}

// Do runs f in the caller's goroutine, as a part of the Background: Close waits
// for it. It gives false where the Background was closed before.
func (b *Background) Do(f func(ctx context.Context)) bool {
	b.mu.Lock()
	if b.life.Err() != nil {
		b.mu.Unlock()
		return false
	}
	b.wg.Add(1)
	b.mu.Unlock()
	defer b.wg.Done()
	f(b.life)
	return true
}

// Close cancels what runs and waits for its end.
func (b *Background) Close() {
	b.mu.Lock()
	b.stop()
	b.mu.Unlock()
	b.wg.Wait()
}
