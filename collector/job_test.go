// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted is a job that pauses for a minute and counts its runs.
func counted(t *testing.T, idle time.Duration) (j *job, runs *atomic.Int32) {
	background := NewBackground(t.Context())
	t.Cleanup(background.Close)
	runs = new(atomic.Int32)
	j = &job{background: background, idle: idle, run: func(context.Context) time.Duration {
		runs.Add(1)
		return time.Minute
	}}
	return j, runs
}

func wantRuns(t *testing.T, runs *atomic.Int32, want int32) {
	t.Helper()
	synctest.Wait()
	if n := runs.Load(); n != want {
		t.Errorf("%d runs, want %d", n, want)
	}
}

// TestJobPauses: however often it is asked for, it runs once a pause.
func TestJobPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, runs := counted(t, 10*time.Minute)
		wantRuns(t, runs, 0)
		for range 10 {
			j.ask()
		}
		wantRuns(t, runs, 1)
		time.Sleep(59 * time.Second)
		wantRuns(t, runs, 1)
		time.Sleep(2 * time.Second)
		wantRuns(t, runs, 2)
	})
}

// TestJobIdle: nobody asks, so it ends; asked again, it runs at once.
func TestJobIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, runs := counted(t, 10*time.Minute)
		j.ask()
		time.Sleep(time.Hour)
		wantRuns(t, runs, 10)
		j.ask()
		wantRuns(t, runs, 11)
	})
}

// TestJobForever goes on without anybody.
func TestJobForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, runs := counted(t, forever)
		j.ask()
		time.Sleep(time.Hour + time.Second)
		wantRuns(t, runs, 61)
	})
}

// TestJobEnds with its Background, in the middle of a run as in a pause.
func TestJobEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		background := NewBackground(t.Context())
		var begun, ended atomic.Int32
		j := &job{background: background, idle: forever, run: func(ctx context.Context) time.Duration {
			begun.Add(1)
			<-ctx.Done()
			ended.Add(1)
			return time.Hour
		}}
		j.ask()
		synctest.Wait()
		background.Close()
		j.ask()
		synctest.Wait()
		if begun.Load() != 1 || ended.Load() != 1 {
			t.Errorf("%d runs began, %d ended, want one", begun.Load(), ended.Load())
		}
	})
}

// TestJobPanics: a run that panics costs that run alone.
func TestJobPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, runs := counted(t, forever)
		quiet := j.run
		var panicked atomic.Bool
		j.log = slog.New(slog.DiscardHandler)
		j.run = func(ctx context.Context) time.Duration {
			if panicked.CompareAndSwap(false, true) {
				panic("odd bytes")
			}
			return quiet(ctx)
		}
		j.ask()
		wantRuns(t, runs, 0)
		time.Sleep(afterPanic + time.Second)
		wantRuns(t, runs, 1)
	})
}

// TestJobOnce: each question is one run, and one that comes in the middle of a run is
// not lost.
func TestJobOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, runs := counted(t, 0)
		j.run = func(context.Context) time.Duration {
			runs.Add(1)
			time.Sleep(time.Minute)
			return 0
		}
		j.ask()
		time.Sleep(30 * time.Second)
		j.ask()
		j.ask()
		time.Sleep(time.Hour)
		wantRuns(t, runs, 2)
		j.ask()
		wantRuns(t, runs, 3)
		time.Sleep(time.Hour)
	})
}
