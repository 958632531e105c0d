// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/semaphore"

	"github.com/etcdops/etcdops/internal/etcd"
)

// stub is a collector of one metric, test_NAME.
type stub struct {
	subject
	collect func(ctx context.Context, b *batch) // nil: adds 1
	calls   atomic.Int32
}

func newStub(name string, collect func(ctx context.Context, b *batch)) *stub {
	return &stub{subject: newSubject(name, "", []Metric{gauge("test_"+name, "Of a test.", "label")}), collect: collect}
}

func (s *stub) Collect(ctx context.Context, _ *etcd.View) ([]prometheus.Metric, error) {
	s.calls.Add(1)
	b := s.batch()
	if s.collect == nil {
		b.add("test_"+s.name, 1, "")
	} else {
		s.collect(ctx, b)
	}
	return b.done()
}

// newTestSet is a set of stubs over a cluster without endpoints.
func newTestSet(t *testing.T, log *bytes.Buffer, stubs ...*stub) *Set {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	if log != nil {
		logger = slog.New(slog.NewTextHandler(log, nil))
	}
	cluster, err := etcd.NewCluster(etcd.Config{Name: "test", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	background := NewBackground(t.Context())
	t.Cleanup(func() { background.Close(); cluster.Close() })
	s := NewSet(cluster, nil, Deps{Background: background, Log: logger}, semaphore.NewWeighted(9), logger)
	for _, stub := range stubs {
		s.collectors = append(s.collectors, stub)
	}
	return s
}

func familiesOf(families []*dto.MetricFamily) series {
	got := series{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			got[seriesName(family, m)] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}

func mustScrape(t *testing.T, s *Set, timeout time.Duration, only ...string) series {
	t.Helper()
	families, err := s.Scrape(t.Context(), only, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return familiesOf(families)
}

func successOf(name string) string { return `exporter_collector_success{collector="` + name + `"}` }

func TestNewSet(t *testing.T) {
	t.Parallel()
	cluster, err := etcd.NewCluster(etcd.Config{Name: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	s := NewSet(cluster, []string{"tls", "status", "unheard of"}, Deps{}, semaphore.NewWeighted(9), slog.New(slog.DiscardHandler))
	if got := strings.Join(s.Names(), ","); got != "status,tls" {
		t.Errorf("collectors are %s", got)
	}
}

// TestEqualScrapesShareARound: however many come at one time, and another
// question gets a round of its own.
func TestEqualScrapesShareARound(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	a, b := newStub("a", func(_ context.Context, b *batch) { <-release; b.add("test_a", 1, "") }), newStub("b", nil)
	s := newTestSet(t, nil, a, b)
	var scrapers sync.WaitGroup
	for i := range 30 {
		only := []string{"a", "b"}
		if i%2 == 1 {
			only = []string{"b", "a", "b"} // the same question
		}
		scrapers.Go(func() {
			mustScrape(t, s, time.Minute, only...).want(t, series{`test_a{label=""}`: 1, `test_b{label=""}`: 1})
		})
	}
	scrapers.Go(func() {
		mustScrape(t, s, time.Minute, "b").want(t, series{`test_b{label=""}`: 1, `test_a{label=""}`: absent})
	})
	for b.calls.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // let all of them come to wait
	close(release)
	scrapers.Wait()
	if a.calls.Load() != 1 || b.calls.Load() != 2 {
		t.Errorf("%d and %d rounds, want 1 and 2", a.calls.Load(), b.calls.Load())
	}
	mustScrape(t, s, time.Minute)
	if a.calls.Load() != 2 {
		t.Error("a scrape that came later shared the round of an earlier one")
	}
}

// TestScraperThatHangsUp: the round goes on for the others.
func TestScraperThatHangsUp(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	a := newStub("a", func(ctx context.Context, b *batch) {
		close(begun)
		<-release
		if ctx.Err() == nil {
			b.add("test_a", 1, "")
		}
	})
	s := newTestSet(t, nil, a)
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := s.Scrape(ctx, nil, time.Minute)
		gone <- err
	}()
	<-begun
	hangUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	done := make(chan series)
	go func() { done <- mustScrape(t, s, time.Minute) }()
	time.Sleep(20 * time.Millisecond)
	close(release)
	(<-done).want(t, series{`test_a{label=""}`: 1})
	if a.calls.Load() != 1 {
		t.Errorf("%d rounds", a.calls.Load())
	}
}

// TestOverrun: a collector that does not heed its context is cut at the deadline,
// and costs itself alone.
func TestOverrun(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	s := newTestSet(t, nil, newStub("deaf", func(context.Context, *batch) { <-release }), newStub("good", nil),
		newStub("slow", func(ctx context.Context, b *batch) { // ends a little before the round, with what it has
			<-ctx.Done()
			b.add("test_slow", 1, "")
			b.fail(ctx.Err())
		}))
	start := time.Now()
	got := mustScrape(t, s, 300*time.Millisecond)
	if took := time.Since(start); took < 300*time.Millisecond || took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	got.want(t, series{
		`test_good{label=""}`: 1, successOf("good"): 1,
		`test_slow{label=""}`: 1, successOf("slow"): 0,
		`test_deaf{label=""}`: absent, successOf("deaf"): 0,
	})
}

// TestPanic: it costs the collector that panics alone, be it in a goroutine that
// asks one of the endpoints.
func TestPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newTestSet(t, &log,
		newStub("direct", func(_ context.Context, b *batch) { b.add("test_direct", 1, ""); panic("hostile \x00\nanswer") }),
		newStub("aside", func(context.Context, *batch) {
			etcd.Each([]int{1, 2}, func(i int) int { return 1 / (i - 2) })
		}),
		newStub("good", nil))
	mustScrape(t, s, time.Minute).want(t, series{
		`test_good{label=""}`: 1, successOf("good"): 1,
		successOf("direct"): 0, `test_direct{label=""}`: absent, successOf("aside"): 0,
	})
	if text := log.String(); strings.Count(text, "\n") != 2 || strings.ContainsAny(text, "\x00") {
		t.Errorf("log is %q, want a line for each", text)
	}
}

// TestFailureIsLoggedOnce: when it begins and ends, and when it changes, that not
// at each scrape.
func TestFailureIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var fault error
		s := newTestSet(t, &log, newStub("a", func(_ context.Context, b *batch) { b.fail(fault) }))
		for _, step := range []struct {
			fault error
			after time.Duration
			lines int
		}{
			{nil, 0, 0},
			{errors.New("port 1"), 0, 1},
			{errors.New("port 1"), logPause, 1},
			{errors.New("port 2"), 0, 2},
			{errors.New("port 3"), logPause - 1, 2},
			{errors.New("port 4"), 1, 3},
			{nil, 0, 4},
			{nil, logPause, 4},
			{errors.New("port 4"), 0, 5},
		} {
			time.Sleep(step.after)
			fault = step.fault
			mustScrape(t, s, time.Minute).want(t, series{successOf("a"): number(fault == nil)})
			if lines := strings.Count(log.String(), "\n"); lines != step.lines {
				t.Errorf("%d lines after %v, want %d:\n%s", lines, step.fault, step.lines, &log)
			}
		}
	})
}

// TestDuplicateSeriesOfTwoCollectors: one series that two collectors give is left
// out once, with all else in place.
func TestDuplicateSeriesOfTwoCollectors(t *testing.T) {
	t.Parallel()
	a, twin := newStub("a", nil), newStub("a", nil)
	twin.name = "twin"
	twin.collect = func(_ context.Context, b *batch) { b.add("test_a", 2, ""); b.add("test_a", 3, "other") }
	s := newTestSet(t, nil, a, twin, newStub("good", nil))
	got := mustScrape(t, s, time.Minute)
	got.want(t, series{`test_a{label="other"}`: 3, `test_good{label=""}`: 1, successOf("a"): 1, successOf("twin"): 1})
	if v := got[`test_a{label=""}`]; v != 1 && v != 2 {
		t.Errorf("series are %v", got)
	}
}

// TestLast: the newest scrape of all collectors, and no narrower one.
func TestLast(t *testing.T) {
	t.Parallel()
	n := 0.0
	s := newTestSet(t, nil, newStub("a", func(_ context.Context, b *batch) { n++; b.add("test_a", n, "") }))
	if s.Last() != nil {
		t.Error("there is a result before the first scrape")
	}
	mustScrape(t, s, time.Minute, "a")
	if s.Last() != nil {
		t.Error("a scrape of some collectors counts as one of all")
	}
	before := time.Now()
	mustScrape(t, s, time.Minute)
	last := s.Last()
	if last == nil || last.At.Before(before) || last.Took <= 0 {
		t.Fatalf("last is %+v", last)
	}
	familiesOf(last.Families).want(t, series{`test_a{label=""}`: 2})
	mustScrape(t, s, time.Minute, "a")
	if s.Last() != last {
		t.Error("a scrape of some collectors replaced one of all")
	}
}

// TestOwnMetrics: what the exporter tells of each collector.
func TestOwnMetrics(t *testing.T) {
	t.Parallel()
	s := newTestSet(t, nil, newStub("a", func(ctx context.Context, _ *batch) { wait(ctx, 20*time.Millisecond) }))
	took := mustScrape(t, s, time.Minute)[`exporter_collector_duration_seconds{collector="a"}`]
	if took < 0.02 || took > 5 {
		t.Errorf("duration is %v", took)
	}
}

// TestBackground: it runs what it is given until it is closed, and nothing after.
func TestBackground(t *testing.T) {
	t.Parallel()
	b := NewBackground(t.Context())
	begun, ended := make(chan struct{}), false
	b.Go(func(ctx context.Context) {
		close(begun)
		<-ctx.Done()
		ended = true
	})
	<-begun
	b.Close()
	if !ended {
		t.Error("Close did not wait")
	}
	b.Go(func(context.Context) { t.Error("it runs after Close") })
	b.Close()
}

// TestNoPlace: a round waits for its place, and says so where none comes free.
func TestNoPlace(t *testing.T) {
	t.Parallel()
	s := newTestSet(t, nil, newStub("one", nil))
	if !s.places.TryAcquire(9) {
		t.Fatal("no place is free")
	}
	if _, err := s.Scrape(t.Context(), nil, 10*time.Millisecond); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	s.places.Release(9)
	mustScrape(t, s, time.Minute).want(t, series{successOf("one"): 1})
}

// TestLateStatus: an endpoint has its endpoint_up even where the collector was cut.
func TestLateStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	c, _ := newStatus(w.deps).(latecomer)
	got := seriesOf(statusMetrics, c.late(w.view(t.Context())))
	got.want(t, series{
		`endpoint_up{url="` + urlOf(0) + `"}`:                       0,
		`endpoint_failure{reason="timeout",url="` + urlOf(1) + `"}`: 1,
	})
}
