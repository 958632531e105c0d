// SPDX-License-Identifier: Apache-2.0

package clockskew

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

// world simulates two clocks and the way between them. Its own time is the
// local monotonic clock, in time since the start.
type world struct {
	rng       *rand.Rand
	start     time.Time
	monotonic bool // whether local times carry monotonic readings
	now       time.Duration
	server    []segment // the server's clock minus the unstepped local one
	local     []step    // steps of the local wall clock
	latency   func() (there, back time.Duration)
	lateness  time.Duration // the most by which a sleeping caller wakes up late
	grain     time.Duration // 0: one second
}

// segment: from at on, the offset starts at base and drifts at ppm.
type segment struct {
	at, base time.Duration
	ppm      int64
}

type step struct{ at, by time.Duration }

// epoch is a fixed wall time, so that a seed says everything about a run.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newWorld starts at a random phase of the second, on loopback.
func newWorld(seed uint64, monotonic bool) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	start := epoch.Add(time.Duration(rng.Int64N(int64(time.Second))))
	if monotonic {
		now := time.Now()
		start = now.Add(start.Sub(now))
	}
	return &world{rng: rng, start: start, monotonic: monotonic, latency: loopback(rng)}
}

func (w *world) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)+1))
}

// loopback takes 0.2 to 1 ms, split at random between the directions.
func loopback(rng *rand.Rand) func() (there, back time.Duration) {
	return func() (time.Duration, time.Duration) {
		trip := 200*time.Microsecond + time.Duration(rng.Int64N(int64(800*time.Microsecond)))
		there := time.Duration(rng.Float64() * float64(trip))
		return there, trip - there
	}
}

// turn makes the server's clock jump at a time and drift on at a new rate.
func (w *world) turn(at, jump time.Duration, ppm int64) {
	base := jump
	if len(w.server) > 0 {
		base += w.serverAhead(at)
	}
	w.server = append(w.server, segment{at, base, ppm})
}

func (w *world) serverAhead(at time.Duration) time.Duration {
	var ahead time.Duration
	for _, s := range w.server {
		if s.at > at {
			break
		}
		ahead = s.base + (at-s.at)/1_000_000*time.Duration(s.ppm) + (at-s.at)%1_000_000*time.Duration(s.ppm)/1_000_000
	}
	return ahead
}

func (w *world) localSteps(at time.Duration) time.Duration {
	var sum time.Duration
	for _, s := range w.local {
		if s.at <= at {
			sum += s.by
		}
	}
	return sum
}

// truth is the server's wall clock minus the local wall clock.
func (w *world) truth(at time.Duration) time.Duration {
	return w.serverAhead(at) - w.localSteps(at)
}

// localTime is what time.Now would return.
func (w *world) localTime(at time.Duration) time.Time {
	t, by := w.start.Add(at), w.localSteps(at)
	if w.monotonic {
		return stepWall(t, by)
	}
	return t.Add(by)
}

// request sends one at the world's now and leaves now at its arrival.
func (w *world) request() (s Sample, sent time.Duration) {
	there, back := w.latency()
	sent = w.now
	answered := sent + there
	w.now = answered + back
	server := w.start.Round(0).Add(answered + w.serverAhead(answered))
	grain := w.grain
	if grain == 0 {
		grain = time.Second
	}
	return Sample{
		Sent:     w.localTime(sent),
		Received: w.localTime(w.now),
		Server:   server.Truncate(grain),
		Grain:    w.grain,
	}, sent
}

// phased waits for the moment the estimator asks for, then sends.
func (w *world) phased(t testing.TB, e *Estimator) (s Sample, sent time.Duration) {
	t.Helper()
	now := w.localTime(w.now)
	wait := e.Next(now).Sub(now)
	if wait < 0 || wait >= time.Second {
		t.Fatalf("Next asks to wait %v, want less than 1s", wait)
	}
	w.now += wait
	if w.lateness > 0 {
		w.now += w.between(0, w.lateness)
	}
	return w.request()
}

// stepWall moves the wall clock of t and leaves the monotonic reading that t
// must have. There is no way to do it through the time package, whose readings always move alike,
// so this relies on the layout of time.Time; it is checked by TestStepWall.
func stepWall(t time.Time, by time.Duration) time.Time {
	moved := t.Add(by)
	type layout struct {
		wall uint64
		ext  int64 // the monotonic reading, ns
		loc  *time.Location
	}
	(*layout)(unsafe.Pointer(&moved)).ext -= int64(by)
	return moved
}

func TestStepWall(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, by := range []time.Duration{0, time.Millisecond, -3 * time.Hour} {
		got := stepWall(now, by)
		if mono := got.Sub(now); mono != 0 {
			t.Errorf("step by %v moved the monotonic reading by %v", by, mono)
		}
		if wall := got.Round(0).Sub(now.Round(0)); wall != by {
			t.Errorf("step by %v moved the wall clock by %v", by, wall)
		}
	}
}
