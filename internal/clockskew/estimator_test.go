// SPDX-License-Identifier: Apache-2.0

package clockskew

import (
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// sampleAt is a sample sent and received at times after epoch, by a server
// whose clock was truncated to server after epoch.
func sampleAt(sent, received, server time.Duration) Sample {
	return Sample{Sent: epoch.Add(sent), Received: epoch.Add(received), Server: epoch.Add(server)}
}

// estimate returns the interval at a time after epoch, as of which nothing is
// widened by more than the rounding.
func estimate(t *testing.T, e *Estimator, at time.Duration) (lo, hi time.Duration) {
	t.Helper()
	offset, half, ok := e.Estimate(epoch.Add(at))
	if !ok {
		t.Fatal("no estimate")
	}
	return offset - half, offset + half
}

func wantAbout(t *testing.T, what string, got, want, tolerance time.Duration) {
	t.Helper()
	if (got - want).Abs() > tolerance {
		t.Errorf("%s is %v, want %v within %v", what, got, want, tolerance)
	}
}

func TestFirstSample(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		sample Sample
		lo, hi time.Duration
	}{
		{"received at once", sampleAt(0, 0, 0), 0, time.Second},
		{"round trip of 2 ms", sampleAt(0, 2*ms, 0), -2 * ms, time.Second},
		{"slow", sampleAt(0, 10*time.Second, 4*time.Second), -6 * time.Second, 5 * time.Second},
		{"ahead 30 s", sampleAt(0, ms, 30*time.Second), 30*time.Second - ms, 31 * time.Second},
		{"behind 10 min", sampleAt(0, ms, -10*time.Minute), -10*time.Minute - ms, -10*time.Minute + time.Second},
		{"ahead 7 h", sampleAt(0, ms, 7*time.Hour), 7*time.Hour - ms, 7*time.Hour + time.Second},
		{"clock reset to 1970", Sample{Sent: epoch, Received: epoch, Server: time.Unix(0, 0)}, time.Unix(0, 0).Sub(epoch), time.Unix(1, 0).Sub(epoch)},
		{"fine source", Sample{Sent: epoch, Received: epoch.Add(ms), Server: epoch.Add(5 * ms), Grain: ms}, 4 * ms, 6 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var e Estimator
			if err := e.Add(tt.sample); err != nil {
				t.Fatal(err)
			}
			offset, half, _ := e.Estimate(tt.sample.Received)
			// Drift over a round trip of 10 s is 1 ms.
			wantAbout(t, "low edge", offset-half, tt.lo, ms+10)
			wantAbout(t, "high edge", offset+half, tt.hi, ms+10)
			if offset-half > tt.lo || offset+half < tt.hi {
				t.Errorf("%v ± %v does not cover %v to %v", offset, half, tt.lo, tt.hi)
			}
		})
	}
}

func TestRejectedSamples(t *testing.T) {
	t.Parallel()
	far := func(year int) time.Time { return time.Date(year, 1, 2, 0, 0, 0, 0, time.UTC) }
	monotonic := newWorld(1, true).start
	tests := []struct {
		name   string
		sample Sample
		want   string
	}{
		{"zero", Sample{}, "lacks a time"},
		{"no server time", Sample{Sent: epoch, Received: epoch}, "lacks a time"},
		{"received before sent", sampleAt(0, -2*time.Second, 0), "negative round trip of -2s"},
		{"stepped back in flight", Sample{Sent: monotonic, Received: stepWall(monotonic.Add(ms), -time.Hour), Server: epoch}, "negative round trip of -59m59.999s"},
		{"year 1", Sample{Sent: epoch, Received: epoch, Server: far(1)}, "absurd: year 1, ours is 2026"},
		{"year 9999", Sample{Sent: epoch, Received: epoch, Server: far(9999)}, "absurd: year 9999"},
		{"local year 9999", Sample{Sent: far(9999), Received: far(9999), Server: epoch}, "ours is 9999"},
		{"negative grain", Sample{Sent: epoch, Received: epoch, Server: epoch, Grain: -1}, "grain of -1ns"},
		{"coarse grain", Sample{Sent: epoch, Received: epoch, Server: epoch, Grain: time.Minute}, "grain of 1m0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var e Estimator
			if err := e.Add(sampleAt(0, ms, 0)); err != nil {
				t.Fatal(err)
			}
			before := e.seen[0]
			err := e.Add(tt.sample)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q in it", err, tt.want)
			}
			if len(e.seen) != 1 || e.seen[0] != before {
				t.Error("the rejected sample changed the estimate")
			}
		})
	}
}

func TestNothingKnown(t *testing.T) {
	t.Parallel()
	var e Estimator
	if _, _, ok := e.Estimate(epoch); ok {
		t.Error("an estimate without a sample")
	}
	if next := e.Next(epoch); !next.Equal(epoch) {
		t.Errorf("first request at %v, want at once", next.Sub(epoch))
	}
}

// TestWindowExpiry: a tight edge holds for 12 samples and not one longer.
func TestWindowExpiry(t *testing.T) {
	t.Parallel()
	var e Estimator
	// The low edge is 900 ms from this sample, about 100 ms from all others.
	if err := e.Add(sampleAt(100*ms, 100*ms, time.Second)); err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 13; n++ {
		at := time.Duration(n) * time.Second
		if err := e.Add(sampleAt(at+900*ms, at+900*ms, at+time.Second)); err != nil {
			t.Fatal(err)
		}
		lo, _ := estimate(t, &e, at+900*ms)
		want := 900 * ms
		if n == 13 {
			want = 100 * ms
		}
		wantAbout(t, "low edge", lo, want, 2*ms)
	}
}

// TestContradiction: the newest sample wins, and what agrees with it stays.
func TestContradiction(t *testing.T) {
	t.Parallel()
	var e Estimator
	for _, s := range []Sample{
		sampleAt(0, 0, 0),                            // 0 to 1 s
		sampleAt(2500*ms, 2500*ms, 5*time.Second),    // 2.5 to 3.5 s: the server was stepped
		sampleAt(4900*ms, 4900*ms, 8*time.Second),    // 3.1 to 4.1 s: agrees
		sampleAt(6700*ms, 6700*ms, 10*time.Second),   // 3.3 to 4.3 s: agrees
		sampleAt(10000*ms, 10000*ms, 12*time.Second), // 2 to 3 s: stepped back
		sampleAt(12500*ms, 12500*ms, 15*time.Second), // 2.5 to 3.5 s: agrees
	} {
		if err := e.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	lo, hi := estimate(t, &e, 12500*ms)
	wantAbout(t, "low edge", lo, 2500*ms, ms)
	wantAbout(t, "high edge", hi, 3000*ms, ms)
}

// TestDrift: the bound widens by 100 ppm of the time since the sample.
func TestDrift(t *testing.T) {
	t.Parallel()
	var e Estimator
	if err := e.Add(sampleAt(0, 0, 0)); err != nil {
		t.Fatal(err)
	}
	lo, hi := estimate(t, &e, 1000*time.Second)
	wantAbout(t, "low edge", lo, -100*ms, 10)
	wantAbout(t, "high edge", hi, 1100*ms, 10)
}

// TestLocalStep: our own step is covered before any further sample.
func TestLocalStep(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{300 * ms, -3 * time.Hour} {
		start := newWorld(7, true).start
		var e Estimator
		if err := e.Add(Sample{Sent: start, Received: start, Server: start.Round(0)}); err != nil {
			t.Fatal(err)
		}
		offset, half, _ := e.Estimate(stepWall(start, by))
		wantAbout(t, "low edge", offset-half, -max(by, 0), ms)
		wantAbout(t, "high edge", offset+half, time.Second+max(-by, 0), ms)
	}
}

// TestSuspendedInFlight: the monotonic clock missed 3 s, the server answered
// before them.
func TestSuspendedInFlight(t *testing.T) {
	t.Parallel()
	start := newWorld(7, true).start
	received := stepWall(start.Add(ms), 3*time.Second)
	var e Estimator
	if err := e.Add(Sample{Sent: start, Received: received, Server: start.Round(0)}); err != nil {
		t.Fatal(err)
	}
	offset, half, _ := e.Estimate(received)
	wantAbout(t, "low edge", offset-half, -3*time.Second, 2*ms)
	wantAbout(t, "high edge", offset+half, time.Second, 2*ms)
}

// TestNextAim: the server's tick falls in the middle of the flight if the
// offset is in the middle of what is possible.
func TestNextAim(t *testing.T) {
	t.Parallel()
	var e Estimator
	// Possible is -100 ms to 1 s, the middle 450 ms: the server ticks at 550 ms
	// of our second, and half the round trip before that is 500 ms.
	if err := e.Add(sampleAt(0, 100*ms, 0)); err != nil {
		t.Fatal(err)
	}
	for _, now := range []time.Duration{100 * ms, 499 * ms, 501 * ms, 3 * time.Second} {
		next := e.Next(epoch.Add(now)).Sub(epoch)
		wantAbout(t, "phase", next%time.Second, 500*ms, ms)
		if next < now || next >= now+time.Second {
			t.Errorf("at %v next is %v, want within a second", now, next)
		}
	}
}
