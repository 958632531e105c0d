// SPDX-License-Identifier: Apache-2.0

// Package clockskew estimates a server's clock minus ours from the Date
// headers of its answers, without any agent on the server.
//
// A Date header has a grain of one second, but every answer bounds the offset
// whatever the latency of either direction was:
//
//	Date - received < offset < Date + 1 s - sent
//
// Requests timed so that the server's second ticks in mid-flight cut what is
// still possible in half, down to about a round trip. The package is pure
// arithmetic: it reads no clock, does no I/O and starts no goroutine, and an
// Estimator must not be used by two goroutines at once.
package clockskew

import (
	"slices"
	"time"
)

// Window is how many samples the estimate rests on. Evidence leaves it by
// count, so whatever a step made false is forgotten after Window more samples
// even if nothing ever contradicted it. This is a widening of one side at a
// time: a bound is only as tight as the youngest samples on its own side.
const Window = 12

const (
	// renewAfter is how many samples old an edge's evidence may grow before a
	// request is spent on it. The other half of the window is for the second
	// edge and for answers that are lost or slow.
	renewAfter = Window/2 + 1
	// timerSlack is by how much a sleeping caller is expected to wake up late.
	timerSlack = time.Millisecond
)

// Estimator holds the evidence on one server's clock. The zero value is ready.
type Estimator struct {
	seen  []evidence    // oldest first, at most Window, all carried to asOf
	asOf  time.Time     // when the newest sample was received
	grain time.Duration // of the newest sample's source
}

// Add takes in a sample; samples come in the order they were received. An
// error means that the sample cannot be true and was left out: the estimate
// is as before.
func (e *Estimator) Add(s Sample) error {
	newest, err := s.evidence()
	if err != nil {
		return err
	}
	if len(e.seen) > 0 {
		p := between(e.asOf, s.Received)
		for i := range e.seen {
			e.seen[i].interval = e.seen[i].carried(p)
		}
	}
	if len(e.seen) == Window {
		e.seen = slices.Delete(e.seen, 0, 1)
	}
	e.seen = append(e.seen, newest)
	e.asOf = s.Received
	e.grain = s.grain()
	e.forgetContradicted()
	return nil
}

// Estimate returns the server's clock minus ours, as of now: the truth is
// within halfWidth of offset as long as the clocks part by at most 100 ppm,
// and after a step of the server's clock again within Window samples. ok is
// false before the first sample. A step of our own wall clock is covered at
// once, by a wider bound, where the times carry monotonic readings.
func (e *Estimator) Estimate(now time.Time) (offset, halfWidth time.Duration, ok bool) {
	if len(e.seen) == 0 {
		return 0, 0, false
	}
	iv := possible(e.seen).carried(between(e.asOf, now))
	return iv.middle(), (iv.width() + 1) / 2, true
}

// Next returns when to send the next request, less than one grain (a second)
// after now, so that its answer tells the most. A request sent at another time
// is still good evidence, only weaker.
func (e *Estimator) Next(now time.Time) time.Time {
	if len(e.seen) == 0 {
		return now
	}
	// The server answers about half a round trip after sending. If the offset
	// were aim, its clock would then be phase past a tick.
	phase := time.Duration(now.Nanosecond())%e.grain +
		e.aim(now)%e.grain + (e.roundTrip()/2)%e.grain
	wait := -phase % e.grain
	if wait < 0 {
		wait += e.grain
	}
	return now.Add(wait)
}

// aim picks the offset to test: an answer tells whether the truth is above or
// below it. The middle halves what is possible. But a truth close to one edge
// renews that edge alone, and when the other edge's evidence left the window
// half a second would be possible again. So an edge that the younger samples
// do not support is tested from just outside: the answer either supports it
// anew, a little looser, or contradicts it, and a step has been found.
func (e *Estimator) aim(now time.Time) time.Duration {
	all := possible(e.seen)
	margin := min(e.roundTrip()+timerSlack, limit>>Window) // room for every doubling
	lo := e.overdue(margin, func(young interval) time.Duration { return all.lo - young.lo })
	hi := e.overdue(margin, func(young interval) time.Duration { return young.hi - all.hi })
	all = all.carried(between(e.asOf, now))
	switch {
	case lo == 0 && hi == 0:
		return all.middle()
	case lo > hi:
		return clamp(all.lo - margin<<(lo-1))
	default:
		return clamp(all.hi + margin<<(hi-1))
	}
}

// overdue is 0 while the youngest renewAfter samples hold an edge, or nearly:
// loosening tells by how much the edge would give way with only these samples
// left. Else it counts the tries to renew it that failed, plus one. Each try
// doubles the margin, as a caller that wakes up late or an uneven path spoils
// every try with a margin too small.
func (e *Estimator) overdue(margin time.Duration, loosening func(young interval) time.Duration) int {
	for try := 0; ; try++ {
		older := len(e.seen) - renewAfter - try
		// A renewal loosens the edge by about 1.5 margins.
		if older <= 0 || loosening(possible(e.seen[older:])) <= 2*margin<<try {
			return try
		}
	}
}

// forgetContradicted looks from the newest sample back for the first one that
// cannot be true together with all younger ones. A clock was stepped between
// them, so that sample and everything older tells nothing any more. The
// forgotten keep their places: their round trips still hold.
func (e *Estimator) forgetContradicted() {
	left := everything
	for i, ev := range slices.Backward(e.seen) {
		left = left.and(ev.interval)
		if left.empty() {
			for j := range e.seen[:i+1] {
				e.seen[j].interval = everything
			}
			return
		}
	}
}

// roundTrip is the lower median of the window: one slow answer in two does not
// spoil the aim.
func (e *Estimator) roundTrip() time.Duration {
	trips := make([]time.Duration, 0, Window)
	for _, ev := range e.seen {
		trips = append(trips, ev.roundTrip)
	}
	slices.Sort(trips)
	return trips[(len(trips)-1)/2]
}
