// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// forever is the idle time of a job that goes on whether or not anybody asks.
	forever = time.Duration(-1)
	// afterPanic is the pause after a run that panicked.
	afterPanic = time.Minute
)

// job is work in the background: one run at a time, each followed by the pause that
// it asks for. It ends with the Background, and where nobody has asked for its
// result within idle, so that the next run would be for nobody.
type job struct {
	background *Background
	log        *slog.Logger
	run        func(ctx context.Context) (pause time.Duration)
	idle       time.Duration // 0: each question is one run, those that come in one run are one more

	mu      sync.Mutex
	running bool
	asked   time.Time
	begun   time.Time // the present run, or the last one
}

// ask notes that somebody wants the result, and begins where nothing runs.
func (j *job) ask() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = time.Now()
	if !j.running {
		j.running = true
		j.background.Work(j.loop)
	}
}

func (j *job) loop(ctx context.Context) {
	for {
		pause := j.once(ctx)
		if !wait(ctx, pause) || j.done() {
			return
		}
	}
}

// once is one run. A panic in it (bytes of etcd and of files are read there) is
// logged, and the next run tries again.
func (j *job) once(ctx context.Context) (pause time.Duration) {
	defer func() {
		if r := recover(); r != nil {
			pause = afterPanic
			j.log.Error("background work failed", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	j.mu.Lock()
	j.begun = time.Now()
	j.mu.Unlock()
	return j.run(ctx)
}

// done says whether nobody wants the result any more.
func (j *job) done() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch j.idle {
	case forever:
	case 0:
		j.running = j.asked.After(j.begun)
	default:
		j.running = time.Since(j.asked) < j.idle
	}
	return !j.running
}
