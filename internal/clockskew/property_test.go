// SPDX-License-Identifier: Apache-2.0

package clockskew

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// schedule is a world with events, and what may be demanded of an estimator
// that samples it.
type schedule struct {
	*world
	disturbed []span // when the server's clock did what nothing can tell at once
	kinds     []string

	e    Estimator
	sent []time.Duration // of the accepted samples
}

type span struct{ from, to time.Duration }

// TestRandomSchedules: the truth is inside the bound while both clocks are
// steady, and again from the 12th sample after the last disturbance on.
// -run 'TestRandomSchedules/seed=42$' repeats one schedule.
func TestRandomSchedules(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1500) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			s := newSchedule(seed)
			s.run(t)
			if t.Failed() {
				t.Logf("seed %d: monotonic %v, events %v", seed, s.monotonic, s.kinds)
			}
		})
	}
}

const scheduleSamples = 80

func newSchedule(seed uint64) *schedule {
	w := newWorld(seed, seed%2 == 0)
	s := &schedule{world: w}
	w.turn(0, s.size(), w.ppm(100))
	w.latency = s.anyLatency()
	w.lateness = w.between(0, 20*time.Millisecond)
	w.grain = []time.Duration{0, 0, 0, time.Millisecond, 1}[w.rng.IntN(5)]
	return s
}

// addEvents spreads up to four events over the time that the samples take.
func (s *schedule) addEvents(total time.Duration) {
	var times []time.Duration
	for range s.rng.IntN(5) {
		times = append(times, s.between(0, total))
	}
	slices.Sort(times)
	var free time.Duration // the end of the last event
	for _, at := range times {
		free = s.addEvent(max(at, free+1))
	}
}

func (s *schedule) addEvent(at time.Duration) (end time.Duration) {
	kind := []string{"drift", "step", "step", "slew", "local step", "suspend"}[s.rng.IntN(6)]
	end = at
	by := s.size()
	switch kind {
	case "drift":
		s.turn(at, 0, s.ppm(100))
	case "step":
		s.turn(at, by, s.ppm(100))
		s.disturbed = append(s.disturbed, span{at, at})
	case "slew":
		end = at + s.between(10*time.Second, 10*time.Minute)
		s.turn(at, 0, s.ppm(500))
		s.turn(end, 0, s.ppm(100))
		s.disturbed = append(s.disturbed, span{at, end})
	case "local step":
		s.local = append(s.local, step{at, by})
		if !s.monotonic { // else the estimator knows at once
			s.disturbed = append(s.disturbed, span{at, at})
		}
	case "suspend": // to the monotonic clock, both wall clocks jump; drift goes on
		by = by.Abs()
		s.local = append(s.local, step{at, by})
		s.turn(at, by+by/1_000_000*time.Duration(s.ppm(100)), s.ppm(100))
		if !s.monotonic {
			s.disturbed = append(s.disturbed, span{at, at})
		}
	}
	s.kinds = append(s.kinds, fmt.Sprintf("%s %v at %v", kind, by, at))
	return end
}

// size is 1 ms to 5 hours in either direction, each magnitude as likely.
func (s *schedule) size() time.Duration {
	d := time.Duration(float64(time.Millisecond) * math.Pow(1.8e7, s.rng.Float64()))
	if s.rng.IntN(2) == 0 {
		return -d
	}
	return d
}

func (w *world) ppm(limit int64) int64 { return w.rng.Int64N(2*limit+1) - limit }

func (s *schedule) anyLatency() func() (there, back time.Duration) {
	near := s.latency
	fixed, share := s.between(0, 200*time.Millisecond), s.rng.Float64()
	switch s.rng.IntN(3) {
	case 0:
		return near
	case 1: // far away, by an uneven path
		return func() (time.Duration, time.Duration) {
			there, back := near()
			return there + time.Duration(share*float64(fixed)), back + time.Duration((1-share)*float64(fixed))
		}
	default: // a heavy tail, 1 in 100 above 100 times the usual, up to 20 s
		return func() (time.Duration, time.Duration) {
			there, back := near()
			slow := min(1/(s.rng.Float64()+1e-9), 20_000)
			if s.rng.IntN(2) == 0 {
				return time.Duration(slow * float64(there)), back
			}
			return there, time.Duration(slow * float64(back))
		}
	}
}

func (s *schedule) run(t *testing.T) {
	spacing := s.between(time.Second, time.Minute)
	s.addEvents(scheduleSamples * spacing)
	lost, uneven, phased := s.rng.IntN(4), s.rng.IntN(2) == 0, s.rng.IntN(4) > 0
	for range scheduleSamples {
		var sample Sample
		var sent time.Duration
		if phased {
			sample, sent = s.phased(t, &s.e)
		} else {
			sample, sent = s.request()
		}
		if s.rng.IntN(10) >= lost && s.e.Add(sample) == nil {
			s.sent = append(s.sent, sent)
		}
		pause := spacing
		if uneven {
			pause = s.between(time.Second, time.Minute)
		}
		s.check(t, s.now)
		for range 2 {
			s.check(t, s.now+s.between(0, pause))
		}
		s.now += pause
	}
}

func (s *schedule) check(t *testing.T, at time.Duration) {
	t.Helper()
	offset, half, ok := s.e.Estimate(s.localTime(at))
	if ok != (len(s.sent) > 0) || half < 0 {
		t.Fatalf("at %v after %d samples: offset %v, half width %v, %v", at, len(s.sent), offset, half, ok)
	}
	if miss := (offset - s.truth(at)).Abs() - half; ok && miss > 0 && s.steady(at) {
		t.Fatalf("at %v after %d samples: truth %v is outside %v ± %v by %v", at, len(s.sent), s.truth(at), offset, half, miss)
	}
}

// steady tells whether the bound has to hold: nothing disturbed any of the
// samples, or 12 samples came since.
func (s *schedule) steady(at time.Duration) bool {
	var calm time.Duration
	for _, d := range s.disturbed {
		if d.from <= at {
			calm = max(calm, d.to)
		}
	}
	since := 0
	for _, sent := range s.sent {
		if sent >= calm {
			since++
		}
	}
	return calm <= at && (since >= 12 || since == len(s.sent))
}
