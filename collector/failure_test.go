// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"math"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

var absent = math.NaN()

// roundTime is the deadline of a scrape in these tests.
const roundTime = 5 * time.Second

// bubble runs f once for every collector, on a cluster of three whose answers
// take 2 ms, in a time of its own. What the collector started must have ended
// with f, or the bubble fails.
func bubble(t *testing.T, f func(t *testing.T, w *world, choice Choice)) {
	t.Helper()
	for _, choice := range All() {
		t.Run(choice.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(3)
				for _, fake := range w.fakes {
					fake.took[qAll] = 2 * time.Millisecond
					fake.chain = []*x509.Certificate{issueCert(t, "server", time.Now().Add(time.Hour))}
				}
				w.deps.Background = NewBackground(t.Context())
				defer w.deps.Background.Close()
				f(t, w, choice)
			})
		})
	}
}

// deadReasons are ways for an endpoint to fail at once, for every question.
var deadReasons = map[etcd.Reason]error{
	etcd.ReasonRefused: &etcd.Error{Method: "Status", Code: "Unavailable", Err: errRefused},
	etcd.ReasonTLS:     &etcd.Error{Method: "Status", Code: "Unavailable", Err: &net.OpError{Op: "remote error", Err: tls.AlertError(42)}},
	etcd.ReasonAuth:    &etcd.Error{Method: "Authenticate", Code: "Unauthenticated", Answered: true, Err: errors.New("etcdserver: invalid user name or password")},
	etcd.ReasonDNS:     &etcd.Error{Method: "Status", Code: "Unavailable", Err: &net.DNSError{Err: "no such host", Name: "m1"}},
	etcd.ReasonOther:   &etcd.Error{Method: "Status", Code: "Internal", Err: errors.New("garbage")},
}

// TestOneDeadMember: it costs its own series alone.
func TestOneDeadMember(t *testing.T) {
	t.Parallel()
	for reason, cause := range deadReasons {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world, choice Choice) {
				c := choice.New(w.deps)
				before := w.must(t, c)
				w.fakes[1].change(func() { w.fakes[1].fail[qAll] = cause })
				time.Sleep(time.Second)
				start := time.Now()
				after := w.must(t, c)
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("a failure that comes at once holds the scrape up for %v", took)
				}
				onlyDown(t, after, urlOf(1), reason)
				othersSame(t, before, after, urlOf(1))
			})
		})
	}
}

// TestOneHungMember: the scrape ends by its deadline and tells of the others.
func TestOneHungMember(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, choice Choice) {
		c := choice.New(w.deps)
		before := w.must(t, c)
		w.fakes[0].change(func() { w.fakes[0].hang[qAll] = true }) // the leader, who is asked first wherever one is chosen
		time.Sleep(time.Second)
		start := time.Now()
		after := w.must(t, c)
		if took := time.Since(start); took > roundTime {
			t.Errorf("the scrape took %v", took)
		}
		onlyDown(t, after, urlOf(0), etcd.ReasonTimeout)
		othersSame(t, before, after, urlOf(0))
	})
}

// onlyDown: a dead endpoint has the series of the contract and nothing else.
func onlyDown(t *testing.T, got series, url string, reason etcd.Reason) {
	t.Helper()
	allowed := series{
		`endpoint_up{url="` + url + `"}`:                                      0,
		`endpoint_failure{reason="` + string(reason) + `",url="` + url + `"}`: 1,
		`endpoint_healthy{check="linearizable_read",url="` + url + `"}`:       0,
		`endpoint_healthy{check="serializable_read",url="` + url + `"}`:       0,
	}
	for name, value := range got.about(`url="` + url + `"`) {
		want, ok := allowed[name]
		if !ok || value != want {
			t.Errorf("a dead endpoint has %s %v", name, value)
		}
	}
}

// othersSame: the series with another endpoint's url are those of the scrape
// before, but for durations and what a clock's estimate gains.
func othersSame(t *testing.T, before, after series, dead string) {
	t.Helper()
	of := func(s series) series {
		found := maps.Clone(s)
		maps.DeleteFunc(found, func(name string, _ float64) bool {
			return !strings.Contains(name, `url="`) || strings.Contains(name, dead) || strings.Contains(name, "_duration_seconds")
		})
		for name := range found {
			if strings.Contains(name, "clock_skew") {
				found[name] = 0
			}
		}
		return found
	}
	if b, a := of(before), of(after); !maps.Equal(b, a) {
		t.Errorf("the other endpoints' series changed:\n%v\n%v", b, a)
	}
}

// TestCancelledContext: a collector gives up at once and invents nothing.
func TestCancelledContext(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, choice Choice) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		got, _ := w.scrape(ctx, choice.New(w.deps))
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %v", took)
		}
		for name, value := range got {
			if value > 0 && !strings.HasPrefix(name, "endpoint_failure") && !strings.HasPrefix(name, "cluster_quorum_size") {
				t.Errorf("%s is %v although nothing was asked", name, value)
			}
		}
	})
}

// TestCancelledWhileWaiting: neither an endpoint that hangs nor a slow one keeps
// a collector beyond the end of its context.
func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, choice Choice) {
		for _, fake := range w.fakes {
			fake.hang[qAll] = true
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, _ = w.scrape(ctx, choice.New(w.deps))
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestAllDead: each collector says what it cannot know by an error, unless
// endpoint_up tells it.
func TestAllDead(t *testing.T) {
	t.Parallel()
	wants := map[string]struct {
		fails bool
		want  series
	}{
		"status": {false, series{`endpoint_up{url="https://m0:2379"}`: 0, `endpoint_up{url="https://m2:2379"}`: 0, `endpoint_failure{reason="refused",url="https://m1:2379"}`: 1}},
		"health": {false, series{`endpoint_healthy{check="linearizable_read",url="https://m0:2379"}`: 0, `endpoint_healthy{check="serializable_read",url="https://m2:2379"}`: 0}},
		"clock":  {false, series{`endpoint_clock_skew_seconds{url="https://m0:2379"}`: absent}},
		"members": {true, series{
			"cluster_has_leader": 0, "cluster_voters_healthy": 0, "cluster_quorum_size": 2, "cluster_failure_tolerance": -2,
			`cluster_views{of="membership"}`: 0, `cluster_views{of="leader"}`: 0, `cluster_views{of="cluster_id"}`: 0,
			`cluster_members{role="voter"}`: absent, "cluster_members_unmonitored": absent, "cluster_endpoints_unlisted": absent,
		}},
		"alarms":     {true, series{`alarm_active{alarm="NOSPACE",member="m0",member_id="a0"}`: absent}},
		"compaction": {true, series{"cluster_revision": absent, "cluster_compact_revision": absent}},
		"tls":        {false, series{}},
	}
	bubble(t, func(t *testing.T, w *world, choice Choice) {
		w.dead(0, 1, 2)
		got, err := w.scrape(t.Context(), choice.New(w.deps))
		want := wants[choice.Name]
		got.want(t, want.want)
		if (err != nil) != want.fails {
			t.Errorf("error is %v, want one: %v", err, want.fails)
		}
	})
}

// TestReturnOfMember: what was lost with a dead member is back with it.
func TestReturnOfMember(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, choice Choice) {
		c := choice.New(w.deps)
		before := w.must(t, c)
		w.dead(1)
		w.must(t, c)
		w.alive(1)
		othersSame(t, before, w.must(t, c), "nobody")
	})
}
