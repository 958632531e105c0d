// SPDX-License-Identifier: Apache-2.0

package clockskew

import (
	"fmt"
	"testing"
	"time"
)

// TestConvergence: half a second after one sample, below 10 ms after nine.
func TestConvergence(t *testing.T) {
	t.Parallel()
	for _, spacing := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second} {
		var worst time.Duration
		for seed := range uint64(300) {
			w := newWorld(seed, true)
			w.lateness = time.Millisecond
			w.turn(0, w.between(-10*time.Minute, 10*time.Minute), w.ppm(100))
			var e Estimator
			for n := 1; n <= 9; n++ {
				offset, half := sampleOnce(t, w, &e)
				if n == 1 && (half < 500*time.Millisecond || half > 501*time.Millisecond) {
					t.Fatalf("seed %d: first half width is %v, want about 500ms", seed, half)
				}
				if n == 9 && max(half, (offset-w.truth(w.now)).Abs()) >= 10*time.Millisecond {
					t.Fatalf("seed %d, every %v: %v ± %v after 9 samples, truth %v", seed, spacing, offset, half, w.truth(w.now))
				}
				if n == 9 {
					worst = max(worst, half)
				}
				w.now += spacing
			}
		}
		t.Logf("every %v: worst bound after 9 samples %v", spacing, worst)
	}
}

// sampleOnce adds a phased sample and returns the estimate on its arrival.
func sampleOnce(t *testing.T, w *world, e *Estimator) (offset, half time.Duration) {
	t.Helper()
	s, _ := w.phased(t, e)
	if err := e.Add(s); err != nil {
		t.Fatal(err)
	}
	offset, half, _ = e.Estimate(w.localTime(w.now))
	return offset, half
}

// TestSteadyState: once converged the bound stays small for good. It would
// jump to half a second whenever an edge's evidence left the window unrenewed.
func TestSteadyState(t *testing.T) {
	t.Parallel()
	tests := []struct {
		spacingMin, spacingMax time.Duration
		lateness               time.Duration
		want                   time.Duration
	}{
		{time.Second, time.Second, time.Millisecond, 5 * time.Millisecond},
		{5 * time.Second, 15 * time.Second, time.Millisecond, 10 * time.Millisecond},
		{15 * time.Second, 15 * time.Second, time.Millisecond, 10 * time.Millisecond},
		{60 * time.Second, 60 * time.Second, time.Millisecond, 25 * time.Millisecond},
		{5 * time.Second, 15 * time.Second, 10 * time.Millisecond, 25 * time.Millisecond}, // later than the margin
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("every %v to %v, late %v", tt.spacingMin, tt.spacingMax, tt.lateness), func(t *testing.T) {
			t.Parallel()
			var worst time.Duration
			for seed := range uint64(30) {
				worst = max(worst, steadyWorst(t, seed, tt.spacingMin, tt.spacingMax, tt.lateness))
			}
			t.Logf("worst bound %v", worst)
			if worst >= tt.want {
				t.Errorf("worst bound is %v, want below %v", worst, tt.want)
			}
		})
	}
}

// steadyWorst is the widest bound over 500 samples after the first 9, seen
// just before the next sample.
func steadyWorst(t *testing.T, seed uint64, spacingMin, spacingMax, lateness time.Duration) (worst time.Duration) {
	t.Helper()
	w := newWorld(seed, seed%2 == 0)
	w.lateness = lateness
	// The extremes keep the truth at one edge; in between it wanders.
	ppm := []int64{-100, 0, 100, w.ppm(100)}[seed%4]
	w.turn(0, w.between(-time.Second, time.Second), ppm)
	var e Estimator
	for n := 1; n <= 509; n++ {
		sampleOnce(t, w, &e)
		w.now += w.between(spacingMin, spacingMax)
		offset, half, _ := e.Estimate(w.localTime(w.now))
		if truth := w.truth(w.now); (offset - truth).Abs() > half {
			t.Fatalf("seed %d: truth %v is outside %v ± %v after %d samples", seed, truth, offset, half, n)
		}
		if n >= 9 {
			worst = max(worst, half)
		}
		if seed%4 == 3 && n%50 == 0 {
			w.turn(w.now, 0, w.ppm(100))
		}
	}
	return worst
}

// TestStep: a step of the server's clock leaves the truth outside for less
// than 12 samples, one of our own never; then the bound narrows again.
func TestStep(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{
		time.Millisecond, 5 * time.Millisecond, 100 * time.Millisecond, 700 * time.Millisecond,
		time.Second, 30 * time.Second, 10 * time.Minute, 5 * time.Hour,
	} {
		for _, local := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v local %v", by, local), func(t *testing.T) {
				t.Parallel()
				var inside, narrow int
				for seed := range uint64(100) {
					i, n := recovery(t, seed, by*time.Duration(1-2*int64(seed%2)), local)
					inside, narrow = max(inside, i), max(narrow, n)
				}
				t.Logf("inside from sample %d on, below 10ms from sample %d on", inside, narrow)
				if inside > 12 || (local && inside > 0) {
					t.Errorf("truth inside from sample %d on only", inside)
				}
				if narrow > 16 {
					t.Errorf("bound below 10ms from sample %d on only, want 16", narrow)
				}
			})
		}
	}
}

// recovery returns from which sample after a step on the truth is inside, and
// the bound below 10 ms as well; 0 means from the step itself on.
func recovery(t *testing.T, seed uint64, by time.Duration, local bool) (inside, narrow int) {
	t.Helper()
	w := newWorld(seed, true)
	ppm := w.ppm(100)
	w.turn(0, w.between(-time.Second, time.Second), ppm)
	var e Estimator
	for range 15 + w.rng.IntN(15) {
		sampleOnce(t, w, &e)
		w.now += 5 * time.Second
	}
	if local {
		w.local = append(w.local, step{w.now, by})
	} else {
		w.turn(w.now, by, ppm)
	}
	for n := range 40 {
		offset, half, _ := e.Estimate(w.localTime(w.now))
		if (offset - w.truth(w.now)).Abs() > half {
			inside, narrow = n+1, n+1
		}
		if half >= 10*time.Millisecond {
			narrow = n + 1
		}
		sampleOnce(t, w, &e)
		w.now += 5 * time.Second
	}
	return inside, narrow
}
