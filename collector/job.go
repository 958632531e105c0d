// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"sync"
	"time"
)

// forever is the idle time of a job that goes on whether or not anybody asks.
const forever = time.Duration(-1)

// job is work in the background: one run at a time, each followed by the pause that
// it asks for. It ends with the Background, and where nobody has asked for its
// result within idle, so that the next run would be for nobody.
type job struct {
	background *Background
	run        func(ctx context.Context) (pause time.Duration)
	idle       time.Duration // 0: each question is one run

	mu      sync.Mutex
	running bool
	asked   time.Time
}

// ask notes that somebody wants the result, and begins where nothing runs.
func (j *job) ask() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = time.Now()
	if !j.running {
		j.running = true
		j.background.Go(j.loop)
	}
}

func (j *job) loop(ctx context.Context) {
	for {
		pause := j.run(ctx)
		if !wait(ctx, pause) || j.done() {
			return
		}
	}
}

// done says whether nobody wants the result any more.
func (j *job) done() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.running = j.idle == forever || time.Since(j.asked) < j.idle
	return !j.running
}
