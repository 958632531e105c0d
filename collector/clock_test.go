// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// clockBubble runs f in a time of its own on a cluster whose clocks answer after
// 2 ms, each with a skew of its own.
func clockBubble(t *testing.T, f func(t *testing.T, w *world, c Collector), skews ...time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(len(skews))
		for i, skew := range skews {
			w.fakes[i].skew, w.fakes[i].took[qServerTime] = skew, 2*time.Millisecond
		}
		w.deps.Background = NewBackground(t.Context())
		defer w.deps.Background.Close()
		time.Sleep(137 * time.Millisecond) // no whole second
		f(t, w, newClock(w.deps))
	})
}

// reading gives an endpoint's skew and error, in seconds; NaN where there is none.
func reading(got series, i int) (skew, width float64) {
	skew, width = absent, absent
	if v, ok := got[fmt.Sprintf("endpoint_clock_skew_seconds{url=%q}", urlOf(i))]; ok {
		skew = v
	}
	if v, ok := got[fmt.Sprintf("endpoint_clock_skew_error_seconds{url=%q}", urlOf(i))]; ok {
		width = v
	}
	return skew, width
}

var someSkews = []time.Duration{0, 400 * time.Millisecond, -999 * time.Millisecond, 2500 * time.Millisecond, -3 * time.Minute, 20 * time.Hour}

// TestFirstScrapeHasSkew: a figure at once, good to half a second.
func TestFirstScrapeHasSkew(t *testing.T) {
	t.Parallel()
	for phase := range 10 {
		clockBubble(t, func(t *testing.T, w *world, c Collector) {
			time.Sleep(time.Duration(phase) * 100 * time.Millisecond)
			start := time.Now()
			got := w.must(t, c)
			if took := time.Since(start); took > 50*time.Millisecond {
				t.Errorf("the first scrape waited %v", took)
			}
			for i, truth := range someSkews {
				skew, width := reading(got, i)
				if !(width <= 0.5) || !(math.Abs(skew-truth.Seconds()) <= width) {
					t.Errorf("skew %v is given as %v ± %v", truth, skew, width)
				}
				got.want(t, series{fmt.Sprintf("endpoint_clock_source{source=\"client_port\",url=%q}", urlOf(i)): 1})
			}
		}, someSkews...)
	}
}

// TestSkewConverges: below 10 ms after nine samples, and true all the time.
func TestSkewConverges(t *testing.T) {
	t.Parallel()
	clockBubble(t, func(t *testing.T, w *world, c Collector) {
		var got series
		for range 60 {
			got = w.must(t, c)
			for i, truth := range someSkews {
				if skew, width := reading(got, i); !(math.Abs(skew-truth.Seconds()) <= width) {
					t.Errorf("skew %v is given as %v ± %v", truth, skew, width)
				}
			}
			time.Sleep(time.Second)
		}
		for i := range someSkews {
			if _, width := reading(got, i); !(width < 0.01) {
				t.Errorf("the error is still %v", width)
			}
		}
	}, someSkews...)
}

// TestSampleRate: however often it is scraped, an endpoint is asked at most once
// a second at first and once in 5 s when its skew is known.
func TestSampleRate(t *testing.T) {
	t.Parallel()
	clockBubble(t, func(t *testing.T, w *world, c Collector) {
		w.must(t, c)
		if first := w.calls(qServerTime); first > 2 {
			t.Errorf("the first scrape took %d samples", first)
		}
		counts := func(d time.Duration) (n int) {
			w.fakes[0].forgetCalls()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				w.must(t, c)
			}
			return w.calls(qServerTime)
		}
		if n := counts(10 * time.Second); n < 4 || n > 11 {
			t.Errorf("%d samples in the first 10 s", n)
		}
		if n := counts(time.Minute); n < 10 || n > 13 {
			t.Errorf("%d samples in a minute", n)
		}
		w.fakes[0].forgetCalls()
		time.Sleep(time.Hour)
		if n := w.calls(qServerTime); n > 1 {
			t.Errorf("%d samples of a cluster that nobody scrapes", n)
		}
	}, 70*time.Millisecond)
}

// TestNoClockSource: no figure rather than an invented one, and one again when
// the source is back.
func TestNoClockSource(t *testing.T) {
	t.Parallel()
	date := func(text string) func(context.Context) (etcd.ServerTime, error) {
		return func(context.Context) (etcd.ServerTime, error) {
			return etcd.ServerTime{Sent: time.Now(), Received: time.Now().Add(time.Millisecond), Date: text}, nil
		}
	}
	for name, bad := range map[string]func(context.Context) (etcd.ServerTime, error){
		"fails": func(context.Context) (etcd.ServerTime, error) {
			return etcd.ServerTime{}, errors.New("the port speaks gRPC only")
		},
		"no date":      date("soon"),
		"hostile date": date("Mon, 01 Jan 0001 00:00:00 GMT"),
		"backwards": func(context.Context) (etcd.ServerTime, error) {
			return etcd.ServerTime{Sent: time.Now().Add(time.Second), Received: time.Now(), Date: time.Now().UTC().Format(http.TimeFormat)}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clockBubble(t, func(t *testing.T, w *world, c Collector) {
				w.fakes[0].date = bad
				got, err := w.scrape(t.Context(), c)
				if len(got.about("m0")) != 0 {
					t.Errorf("series are %v", got)
				}
				if err == nil {
					t.Error("that there is no source is no error")
				}
				if skew, _ := reading(got, 1); skew != skew {
					t.Error("the other endpoint has no skew either")
				}
				w.fakes[0].change(func() { w.fakes[0].date = nil })
				for range 3 {
					time.Sleep(samplePause + time.Second)
					_, _ = w.scrape(t.Context(), c)
				}
				if skew, width := reading(w.must(t, c), 0); !(math.Abs(skew-0.3) <= width) {
					t.Errorf("skew is %v ± %v after the source came back", skew, width)
				}
			}, 300*time.Millisecond, 0)
		})
	}
}

// TestClockSourceThatGoesAway: the last estimate serves for a few missed samples
// and no longer.
func TestClockSourceThatGoesAway(t *testing.T) {
	t.Parallel()
	clockBubble(t, func(t *testing.T, w *world, c Collector) {
		w.must(t, c)
		w.fakes[0].change(func() { w.fakes[0].fail[qServerTime] = errors.New("404 without a Date") })
		served := 0
		for range 10 {
			time.Sleep(samplePause)
			got, _ := w.scrape(t.Context(), c)
			synctest.Wait()
			if skew, _ := reading(got, 0); skew == skew {
				served++
			}
		}
		if served < 2 || served > 5 {
			t.Errorf("served for %d scrapes without a sample", served)
		}
		if got, err := w.scrape(t.Context(), c); err == nil || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
	}, 0)
}

// TestMissedSamples: one that comes now and then is enough.
func TestMissedSamples(t *testing.T) {
	t.Parallel()
	clockBubble(t, func(t *testing.T, w *world, c Collector) {
		w.must(t, c)
		for i := range 20 {
			w.fakes[0].change(func() {
				delete(w.fakes[0].fail, qServerTime)
				if i%3 > 0 {
					w.fakes[0].fail[qServerTime] = errors.New("connection reset")
				}
			})
			time.Sleep(samplePause + time.Second)
			if skew, _ := reading(w.must(t, c), 0); skew != skew {
				t.Errorf("no skew in scrape %d", i)
			}
		}
	}, 0)
}

// TestSlowSamples: an endpoint is not asked again while it still owes an answer.
func TestSlowSamples(t *testing.T) {
	t.Parallel()
	clockBubble(t, func(t *testing.T, w *world, c Collector) {
		w.must(t, c)
		var pending, most atomic.Int32
		w.fakes[0].change(func() {
			w.fakes[0].date = func(ctx context.Context) (etcd.ServerTime, error) {
				most.Store(max(most.Load(), pending.Add(1)))
				defer pending.Add(-1)
				<-ctx.Done()
				return etcd.ServerTime{}, ctx.Err()
			}
		})
		for range 60 {
			time.Sleep(500 * time.Millisecond)
			_, _ = w.scrape(t.Context(), c)
		}
		if most.Load() != 1 {
			t.Errorf("%d samples were under way at one time", most.Load())
		}
	}, 0)
}

// TestClockSource says which source served.
func TestClockSource(t *testing.T) {
	t.Parallel()
	clockBubble(t, func(t *testing.T, w *world, c Collector) {
		w.fakes[0].date = func(ctx context.Context) (etcd.ServerTime, error) {
			sent := time.Now()
			wait(ctx, time.Millisecond)
			return etcd.ServerTime{Sent: sent, Received: time.Now(), Date: sent.UTC().Format(http.TimeFormat), Source: etcd.SourceMetrics}, nil
		}
		w.must(t, c).want(t, series{
			`endpoint_clock_source{source="metrics_url",url="https://m0:2379"}`: 1,
			`endpoint_clock_source{source="client_port",url="https://m0:2379"}`: absent,
		})
	}, 0)
}

// TestSteppedClock: after a step of the member's clock the truth is inside again
// within 12 samples.
func TestSteppedClock(t *testing.T) {
	t.Parallel()
	for _, step := range []time.Duration{30 * time.Millisecond, -700 * time.Millisecond, 5 * time.Second, -time.Hour} {
		clockBubble(t, func(t *testing.T, w *world, c Collector) {
			scrape := func() (skew, width float64) {
				skew, width = reading(w.must(t, c), 0)
				time.Sleep(samplePause)
				return skew, width
			}
			for range 20 {
				scrape()
			}
			w.fakes[0].change(func() { w.fakes[0].skew = step })
			w.fakes[0].forgetCalls()
			for {
				skew, width := scrape()
				if math.Abs(skew-step.Seconds()) <= width {
					break
				}
				if samples := w.calls(qServerTime); samples >= 12 {
					t.Fatalf("after %d samples a step of %v is given as %v ± %v", samples, step, skew, width)
				}
			}
		}, 0)
	}
}

// TestDeadEndpointHasNoSkew: its clock is not known any more, and is asked again
// when it is back.
func TestDeadEndpointHasNoSkew(t *testing.T) {
	t.Parallel()
	clockBubble(t, func(t *testing.T, w *world, c Collector) {
		w.must(t, c)
		w.dead(0)
		w.fakes[0].forgetCalls()
		for range 5 {
			time.Sleep(samplePause)
			if got := w.must(t, c); len(got) != 0 {
				t.Errorf("series are %v", got)
			}
		}
		if n := w.calls(qServerTime); n != 0 {
			t.Errorf("a dead endpoint's clock was asked for %d times", n)
		}
		w.alive(0)
		if skew, width := reading(w.must(t, c), 0); !(math.Abs(skew-1) <= width) {
			t.Errorf("skew is %v ± %v", skew, width)
		}
	}, time.Second)
}

// TestForgottenEndpoint: what is not an endpoint any more is not kept.
func TestForgottenEndpoint(t *testing.T) {
	t.Parallel()
	clockBubble(t, func(t *testing.T, w *world, c Collector) {
		w.must(t, c)
		w.endpoints, w.fakes = w.endpoints[:1], w.fakes[:1]
		w.must(t, c)
		if kept := len(c.(*clock).keepers); kept != 1 {
			t.Errorf("%d endpoints are kept", kept)
		}
	}, 0, 0, 0)
}
