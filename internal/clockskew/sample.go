// SPDX-License-Identifier: Apache-2.0

package clockskew

import (
	"errors"
	"fmt"
	"time"
)

const (
	// driftDivisor stands for 100 ppm: the rate at which two clocks that nobody
	// steps or slews may part. Crystals are good to 20-50 ppm each.
	driftDivisor = 10_000
	// maxOffset keeps absurd dates out: 1970 and 2038 are real faults of real
	// clocks, year 1 and year 9999 are not. time.Duration ends at 292 years.
	maxOffset = 100 * 365 * 24 * time.Hour
	// limit bounds all arithmetic (146 years): the sum or the difference of any
	// two clamped durations fits a time.Duration.
	limit = time.Duration(1<<62 - 1)
)

// Sample is one answer of the server. Take Sent and Received from time.Now
// without stripping the monotonic reading: it tells a step of our own clock
// from one of the server's.
type Sample struct {
	Sent     time.Time     // before the first byte of the request left
	Received time.Time     // after the first byte of the answer came
	Server   time.Time     // what the server's clock said in between, rounded down
	Grain    time.Duration // what it was rounded down to, a divisor of a second; 0 is 1 s
}

// evidence is what one sample says of the offset, as of one local time.
type evidence struct {
	interval
	roundTrip time.Duration
}

func (s Sample) grain() time.Duration {
	if s.Grain == 0 {
		return time.Second
	}
	return s.Grain
}

// evidence bounds the offset as of s.Received. If our wall clock was stepped
// (or the machine suspended) in flight, the longer of both round trips bounds
// the offset that holds afterwards.
func (s Sample) evidence() (evidence, error) {
	if s.Sent.IsZero() || s.Received.IsZero() || s.Server.IsZero() {
		return evidence{}, errors.New("clock sample lacks a time")
	}
	if s.Grain < 0 || s.Grain > time.Second {
		return evidence{}, fmt.Errorf("clock sample has a grain of %v, want at most 1s", s.Grain)
	}
	mono, wall := clamp(s.Received.Sub(s.Sent)), wallSub(s.Received, s.Sent)
	if trip := min(mono, wall); trip < 0 {
		return evidence{}, fmt.Errorf("clock sample has a negative round trip of %v: the local clock was stepped", trip)
	}
	lo, trip := wallSub(s.Server, s.Received), max(mono, wall)
	if lo < -maxOffset || lo > maxOffset {
		return evidence{}, fmt.Errorf("server time is absurd: year %d, ours is %d", s.Server.Year(), s.Received.Year())
	}
	iv := interval{lo: lo, hi: clamp(clamp(lo+s.grain()) + trip)}
	return evidence{iv.carried(passage{elapsed: trip}), trip}, nil
}

// passage is the local time that passed between two readings of our clock.
type passage struct {
	elapsed time.Duration // never negative
	// stepped is what the wall clock gained on the monotonic one: a step of
	// ours (the offset shrinks by it) or a suspended machine (it does not).
	stepped time.Duration
}

func between(from, to time.Time) passage {
	mono, wall := clamp(to.Sub(from)), wallSub(to, from)
	// The monotonic clock stands still on a suspended machine, drift does not.
	return passage{elapsed: max(mono, -mono, wall), stepped: clamp(wall - mono)}
}

// wallSub is a - b by the wall clock; Sub alone would prefer the monotonic one.
func wallSub(a, b time.Time) time.Duration {
	return clamp(a.Round(0).Sub(b.Round(0)))
}

// interval is what is possible: the offset is at least lo and at most hi.
type interval struct{ lo, hi time.Duration }

var everything = interval{-limit, limit}

// possible is where all the evidence agrees.
func possible(seen []evidence) interval {
	iv := everything
	for _, ev := range seen {
		iv = iv.and(ev.interval)
	}
	return iv
}

func (a interval) and(b interval) interval {
	return interval{max(a.lo, b.lo), min(a.hi, b.hi)}
}

func (a interval) empty() bool { return a.lo > a.hi }

func (a interval) width() time.Duration { return a.hi - a.lo }

func (a interval) middle() time.Duration { return a.lo + a.width()/2 }

// carried is the interval after local time has passed: wider by the drift, and
// on one side by what our wall clock may have been stepped.
func (a interval) carried(p passage) interval {
	drift := p.elapsed/driftDivisor + 1 // rounded up
	return interval{
		lo: clamp(a.lo - clamp(drift+max(p.stepped, 0))),
		hi: clamp(a.hi + clamp(drift+max(-p.stepped, 0))),
	}
}

func clamp(d time.Duration) time.Duration {
	return min(max(d, -limit), limit)
}
