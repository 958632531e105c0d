// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestCrashAnywhere ends the process, or takes the power away, at each operation on the
// disk in turn, rotations among them: what was reported as written is there, and nothing
// is damaged.
func TestCrashAnywhere(t *testing.T) {
	for name, power := range map[string]bool{"process": false, "power": true} {
		t.Run(name, func(t *testing.T) {
			at := 1
			for crash(t, at, power) {
				at++
			}
			if at < 50 {
				t.Errorf("only %d operations: no rotation was cut", at)
			}
		})
	}
}

// crash says whether there is such an operation.
func crash(t *testing.T, at int, power bool) bool {
	t.Helper()
	f := newFragile()
	f.crashAt = at
	dir := filepath.Join(t.TempDir(), "journal")
	names := numbered(25)
	reported := 0
	j, err := Open(dir, Options{MaxBytes: 700, disk: f.on})
	if err == nil {
		for _, p := range names {
			if err := j.Accept(t.Context(), Intent{Policy: p, Cluster: "prod", Fingerprint: p}); err != nil {
				break
			}
			reported++
		}
		if power {
			f.losePower(t)
		}
		_ = j.Close()
	}
	j, err = Open(dir, Options{disk: newFragile().on})
	if err != nil {
		t.Fatalf("operation %d: %v", at, err)
	}
	defer j.Close()
	if err := j.Fit(); err != nil {
		t.Errorf("operation %d: %v", at, err)
	}
	if got := len(j.Intents()); got < reported || got > reported+1 {
		t.Errorf("operation %d: %d intents, %d were reported as written", at, got, reported)
	}
	if left := files(t, dir, "*"+unready); len(left) > 0 {
		t.Errorf("operation %d: %v are left", at, left)
	}
	return reported < len(names) || f.ops >= at
}

func TestRotation(t *testing.T) {
	r := newRig(t, Options{MaxBytes: 2000, disk: newFragile().on})
	for n := range 400 {
		i := Intent{Policy: "p", Cluster: "prod", Fingerprint: "f", Tries: n}
		r.ok(r.Accept(t.Context(), i))
		r.ok(r.UpdateIntent(t.Context(), i))
	}
	kept := files(t, r.dir, "journal-*.jsonl")
	if len(kept) != keepFiles+1 {
		t.Errorf("%d files are kept: %v", len(kept), kept)
	}
	if _, text, _ := newest(t, r.dir); len(text) > 3000 {
		t.Errorf("the newest file has %d bytes", len(text))
	}
	r.restart()
	if got := r.Intents(); len(got) != 1 || got[0].Tries != 399 {
		t.Errorf("intents %v", got)
	}
}

// TestLargeState shows that a state larger than MaxBytes does not make each line a
// rotation.
func TestLargeState(t *testing.T) {
	r := newRig(t, Options{MaxBytes: 10, disk: newFragile().on})
	for _, p := range numbered(300) {
		r.ok(r.accept(p))
	}
	numbers := journalNumbers(files(t, r.dir, "journal-*"))
	if most := slices.Max(numbers); most > 30 {
		t.Errorf("%d rotations for 300 lines", most)
	}
	r.restart()
}

func TestGroupCommit(t *testing.T) {
	const callers, each = 200, 5
	f := newFragile()
	r := newRig(t, Options{disk: f.on})
	f.set(func() { f.syncs, f.slowSync = 0, time.Millisecond })
	var wg sync.WaitGroup
	for _, policy := range numbered(callers) {
		wg.Go(func() {
			for n := range each {
				i := Intent{Policy: policy, Cluster: "prod", Fingerprint: string(rune('a' + n))}
				if err := r.Accept(t.Context(), i); err != nil {
					t.Error(err)
				}
				r.mu.RLock()
				if !r.state.firing(i) {
					t.Error("what was accepted is not there")
				}
				r.mu.RUnlock()
			}
		})
	}
	wg.Wait()
	f.set(func() {
		if f.syncs < 2 || f.syncs > callers*each/10 {
			t.Errorf("%d fsyncs for %d entries", f.syncs, callers*each)
		}
	})
	r.restart()
	if got := len(r.Intents()); got != callers {
		t.Errorf("%d intents", got)
	}
}

// TestFailedWrite shows that after a failure nothing is reported as written until a new
// file is on the disk, that the old file can be read, and that it heals by itself.
func TestFailedWrite(t *testing.T) {
	for _, c := range []struct {
		name        string
		want        error
		fail, clear func(f *fragile)
	}{
		{"disk full", syscall.ENOSPC, func(f *fragile) { f.room = 37 }, func(f *fragile) { f.room = -1 }},
		{"disk full at a line's end", syscall.ENOSPC, func(f *fragile) { f.room = 0 }, func(f *fragile) { f.room = -1 }},
		{"fsync fails", syscall.EIO, func(f *fragile) { f.syncErr = syscall.EIO }, func(f *fragile) { f.syncErr = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFragile()
			r := newRig(t, Options{disk: f.on})
			r.ok(r.accept("before"))
			f.set(func() { c.fail(f) })
			if err := r.accept("lost"); !errors.Is(err, c.want) {
				t.Fatalf("Accept() = %v, want %v", err, c.want)
			}
			if err := r.Fit(); !errors.Is(err, c.want) {
				t.Errorf("Fit() = %v, want %v", err, c.want)
			}
			f.set(func() { c.clear(f) })
			if err := r.accept("too soon"); !errors.Is(err, c.want) {
				t.Errorf("right after the failure: %v", err)
			}
			beside, err := Open(copyDir(t, r.dir), Options{})
			r.ok(err)
			if beside.Fit() != nil || len(beside.Intents()) != 1 {
				t.Errorf("after a crash now: Fit() = %v, %d intents", beside.Fit(), len(beside.Intents()))
			}
			r.ok(beside.Close())

			r.clock.Add(retryAfter)
			r.ok(r.accept("after"))
			r.ok(r.Fit())
			r.restart()
			if got := r.policies(); !slices.Equal(got, []string{"before", "after"}) {
				t.Errorf("intents %v", got)
			}
		})
	}
}

// TestStillFailing shows that the failure lasts as long as the disk's does.
func TestStillFailing(t *testing.T) {
	f := newFragile()
	r := newRig(t, Options{disk: f.on})
	f.set(func() { f.room = 10 })
	for range 5 {
		if err := r.accept("p"); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Accept() = %v", err)
		}
		r.clock.Add(2 * retryAfter)
	}
	if err := r.Fit(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Fit() = %v", err)
	}
}

// TestRotationFails shows that a next file that cannot be begun costs nothing.
func TestRotationFails(t *testing.T) {
	r := newRig(t, Options{MaxBytes: 1000})
	r.ok(os.Mkdir(filepath.Join(r.dir, fileName(2)), 0o700)) // in its place
	for _, p := range numbered(20) {
		r.ok(r.accept(p))
	}
	r.ok(r.Fit())
	r.ok(os.Remove(filepath.Join(r.dir, fileName(2))))
	r.restart()
	if got := len(r.Intents()); got != 20 {
		t.Errorf("%d intents", got)
	}
}

func TestContextEnds(t *testing.T) {
	f := newFragile()
	r := newRig(t, Options{disk: f.on})
	f.set(func() { f.slowSync = 100 * time.Millisecond })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := r.Pause(ctx, "me"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Pause() = %v", err)
	}
}

// TestClose shows that Close writes what was handed over, and that nothing hangs on it.
func TestClose(t *testing.T) {
	f := newFragile()
	r := newRig(t, Options{disk: f.on})
	f.set(func() { f.slowSync = time.Millisecond })
	var wg sync.WaitGroup
	var mu sync.Mutex
	written := 0
	for _, p := range numbered(100) {
		wg.Go(func() {
			err := r.accept(p)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				written++
			case !errors.Is(err, ErrClosed):
				t.Error(err)
			}
		})
	}
	r.ok(r.Close())
	wg.Wait()
	if err := r.Fit(); !errors.Is(err, ErrClosed) {
		t.Errorf("Fit() = %v", err)
	}
	if err := r.accept("late"); !errors.Is(err, ErrClosed) {
		t.Errorf("Accept() = %v", err)
	}
	r.ok(r.Close())
	r.open()
	if got := len(r.Intents()); got < written {
		t.Errorf("%d intents are there, %d were written", got, written)
	}
}

func TestUnwritable(t *testing.T) {
	r := newRig(t, Options{})
	i := Intent{Policy: "p", Cluster: "prod", NextTry: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)} // JSON has no such year
	if err := r.Accept(t.Context(), i); err == nil || !strings.Contains(err.Error(), "year") {
		t.Errorf("Accept() = %v", err)
	}
	r.ok(r.accept("p"))
}
