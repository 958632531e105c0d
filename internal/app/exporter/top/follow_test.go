// SPDX-License-Identifier: Apache-2.0

package top

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

func TestFailsOver(t *testing.T) {
	cutOff := func(ctx context.Context, n int, from int64, f func(etcd.WatchBatch) error) error {
		if n > 0 {
			return silent(ctx)
		}
		_ = f(batch(from, put("/registry/pods/a/b", nil, true)))
		sleep(ctx, time.Second)
		return errors.New("connection reset")
	}
	for name, test := range map[string]struct {
		first   func(*fakeMember) // what the first follower does
		notes   []string
		resumed int64
	}{
		"connection cut": {func(m *fakeMember) { m.watch = cutOff }, []string{"connection reset", "going on with https://10.0.0.3"}, 102},
		"member hangs": {func(m *fakeMember) {
			time.AfterFunc(7*time.Second, func() { m.set(func() { m.down = context.DeadlineExceeded }) })
		}, []string{"deadline exceeded", "going on with https://10.0.0.3"}, 101},
		"member without a leader": {func(m *fakeMember) {
			time.AfterFunc(7*time.Second, func() { m.set(func() { m.status.Leader = 0 }) })
		}, []string{"no leader", "going on with https://10.0.0.3"}, 101},
		"watch stands still": {func(m *fakeMember) {
			time.AfterFunc(time.Second, func() { m.set(func() { m.status.Revision = 150 }) })
		}, []string{"stands still", "going on with https://10.0.0.3"}, 101},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := three()
				test.first(c.members[1])
				c.members[2].watch = func(ctx context.Context, _ int, from int64, f func(etcd.WatchBatch) error) error {
					_ = f(batch(from, put("/registry/pods/a/c", nil, true)))
					return silent(ctx)
				}
				r, err := watchAll(t.Context(), t, c, Options{})
				if err != nil || r.Ended != "time" || len(r.Gaps) > 0 {
					t.Errorf("%v: %s, gaps %v", err, r.Ended, r.Gaps)
				}
				if got := c.members[2].watched(); len(got) != 1 || got[0] != test.resumed {
					t.Errorf("the other follower is watched from %v, not from %d", got, test.resumed)
				}
				if len(r.Notes) != 2 || !strings.Contains(r.Notes[0], test.notes[0]) || !strings.Contains(r.Notes[1], test.notes[1]) {
					t.Errorf("notes %q", r.Notes)
				}
				if want := []string{c.members[1].url, c.members[2].url}; !slices.Equal(r.Cost.Endpoints, want) {
					t.Errorf("endpoints %q", r.Cost.Endpoints)
				}
			})
		})
	}
}

func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.members[1].watch = func(ctx context.Context, n int, from int64, f func(etcd.WatchBatch) error) error {
			switch n {
			case 0:
				_ = f(batch(from, put("/a/b", nil, true)))
				c.members[1].set(func() { c.members[1].status.Revision = 900 })
				return fmt.Errorf("Watch: %w", etcd.ErrCompacted)
			default:
				_ = f(batch(from, put("/a/b", nil, false)))
				return silent(ctx)
			}
		}
		r, err := watchAll(t.Context(), t, c, Options{})
		if err != nil || len(r.Gaps) != 1 || r.Gaps[0] != (Gap{102, 900}) || r.Total.Writes != 2 {
			t.Errorf("%v: gaps %v, %d writes", err, r.Gaps, r.Total.Writes)
		}
		if got := c.members[1].watched(); !slices.Equal(got, []int64{101, 901}) {
			t.Errorf("watched from %v", got)
		}
		if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "revisions 102 to 900") {
			t.Errorf("notes %q", r.Notes)
		}
	})
}

func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.members[1].watch = func(_ context.Context, _ int, from int64, f func(etcd.WatchBatch) error) error {
			_ = f(batch(from, put("/a/b", nil, true)))
			for _, m := range c.members {
				m.set(func() { m.down = errors.New("connection refused") })
			}
			return errors.New("connection reset")
		}
		r, err := watchAll(t.Context(), t, c, Options{})
		if err == nil || !strings.Contains(err.Error(), "connection reset") {
			t.Errorf("error %v", err)
		}
		if r.Ended != "lost" || r.Total.Writes != 1 || len(r.Notes) != 2 {
			t.Errorf("%s, %d writes, notes %q", r.Ended, r.Total.Writes, r.Notes)
		}
	})
}

func TestNotesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		for _, m := range c.members {
			m.watch = func(context.Context, int, int64, func(etcd.WatchBatch) error) error { return errors.New("no") }
		}
		r, err := watchAll(t.Context(), t, c, Options{For: 10 * time.Minute})
		if err == nil || len(r.Notes) != maxNotes+1 || !strings.Contains(r.Notes[maxNotes], "more") {
			t.Errorf("%v: %d notes", err, len(r.Notes))
		}
		if asked := r.Cost.StatusRequests; asked > 2000 {
			t.Errorf("%d status requests in ten minutes of failing", asked)
		}
	})
}

func TestEndpointAndPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		if _, err := watchAll(t.Context(), t, c, Options{Endpoint: c.members[0].url, Prefix: "/registry/"}); err != nil {
			t.Fatal(err)
		}
		if got := c.members[0].watched(); len(got) != 1 {
			t.Errorf("the endpoint that was asked for is watched %d times", len(got))
		} else if span := c.members[0].spans[0]; string(span.From) != "/registry/" || string(span.To) != "/registry0" {
			t.Errorf("span %q", span)
		}
		if _, err := watchAll(t.Context(), t, c, Options{Endpoint: "https://else:1"}); err == nil {
			t.Error("a foreign endpoint is taken")
		}
	})
}

func TestChoose(t *testing.T) {
	at := func(change ...func([]answer)) []answer {
		all := three().statuses(t.Context())
		for _, c := range change {
			c(all)
		}
		return all
	}
	fail := func(i int) func([]answer) { return func(all []answer) { all[i].err = errors.New("no") } }
	for name, test := range map[string]struct {
		answers  []answer
		failures map[string]int
		want     int // -1: none
	}{
		"a follower":          {at(), nil, 1},
		"another":             {at(fail(1)), nil, 2},
		"the leader at last":  {at(fail(1), fail(2)), nil, 0},
		"nobody":              {at(fail(0), fail(1), fail(2)), nil, -1},
		"not what failed":     {at(), map[string]int{"https://10.0.0.2:2379": 1}, 2},
		"the leader unfailed": {at(), map[string]int{"https://10.0.0.2:2379": 1, "https://10.0.0.3:2379": 1}, 0},
		"no learner":          {at(func(all []answer) { all[1].status.Learner = true }), nil, 2},
		"not what lags":       {at(func(all []answer) { all[1].status.RaftAppliedIndex = 10 }), nil, 2},
		"with a leader":       {at(func(all []answer) { all[1].status.Leader = 0 }), nil, 2},
		"of the same cluster": {at(func(all []answer) { all[1].status.ClusterID = 8 }), nil, 2},
		"no member has a leader": {at(func(all []answer) {
			for i := range all {
				all[i].status.Leader = 0
			}
		}), nil, -1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := choose(test.answers, test.failures, 7)
			switch {
			case test.want < 0:
				if err == nil {
					t.Errorf("%s is chosen", got.url)
				}
			case err != nil:
				t.Error(err)
			case got.url != test.answers[test.want].url:
				t.Errorf("%s is chosen", got.url)
			}
		})
	}
}
