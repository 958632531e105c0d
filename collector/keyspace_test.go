// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace"
)

// keyspaceWorld has a few keys, and counts them below two prefixes every minute.
func keyspaceWorld(t *testing.T) (*world, *keyspaces) {
	w := newWorld(3)
	for _, f := range w.fakes {
		for i := range 5 {
			f.keys = append(f.keys, fmt.Sprintf("/registry/events/kube-system/e%d", i))
		}
		f.keys = append(f.keys, "/registry/events/default/e", "/registry/pods/default/p", "/registry/leaf")
	}
	background := NewBackground(t.Context())
	t.Cleanup(background.Close)
	k, _ := newKeyspace(Deps{
		Background: background, Scanner: w.scanner, Log: slog.New(slog.DiscardHandler),
		Keyspaces: []Keyspace{
			{keyspace.Options{Prefix: "/registry/", MaxGroups: 10}, time.Minute},
			{keyspace.Options{Prefix: "/registry/events/", MaxGroups: 1}, time.Minute},
		},
	}).(*keyspaces)
	return w, k
}

// afterScan is the scrape after a scan.
func afterScan(t *testing.T, w *world, k *keyspaces) series {
	t.Helper()
	w.must(t, k)
	time.Sleep(10 * time.Second)
	synctest.Wait()
	return w.must(t, k)
}

func TestKeyspace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := keyspaceWorld(t)
		if first := w.must(t, k); len(first) > 0 {
			t.Errorf("before the first scan: %v", first)
		}
		afterScan(t, w, k).want(t, series{
			`keyspace_keys{prefix="/registry/"}`:                                   8,
			`keyspace_groups{prefix="/registry/"}`:                                 2,
			`keyspace_group_keys{group="events",prefix="/registry/"}`:              6,
			`keyspace_group_keys{group="pods",prefix="/registry/"}`:                1,
			`keyspace_group_keys{group="__leaf__",prefix="/registry/"}`:            1,
			`keyspace_group_keys{group="__other__",prefix="/registry/"}`:           0,
			`keyspace_scan_success{prefix="/registry/"}`:                           1,
			`keyspace_keys{prefix="/registry/events/"}`:                            6,
			`keyspace_group_keys{group="kube-system",prefix="/registry/events/"}`:  5,
			`keyspace_group_keys{group="__other__",prefix="/registry/events/"}`:    1,
			`keyspace_group_keys{group="default",prefix="/registry/events/"}`:      math.NaN(),
			`keyspace_group_bytes{group="kube-system",prefix="/registry/events/"}`: math.NaN(),
		})
	})
}

// TestKeyspaceAsksFollowers, and another member when one fails, the leader last.
func TestKeyspaceAsksFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := keyspaceWorld(t)
		afterScan(t, w, k)
		if w.fakes[0].asked(qRange) > 0 {
			t.Error("the leader was asked while followers answer")
		}
		for _, i := range []int{1, 2} {
			w.fakes[i].change(func() { w.fakes[i].fail[qRange] = errors.New("broken") })
		}
		time.Sleep(time.Minute)
		afterScan(t, w, k).want(t, series{`keyspace_scan_success{prefix="/registry/"}`: 1})
		if w.fakes[0].asked(qRange) == 0 {
			t.Error("the leader was not asked when the followers failed")
		}
	})
}

// TestKeyspaceDenied: one prefix may not be read, the other goes on.
func TestKeyspaceDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := keyspaceWorld(t)
		afterScan(t, w, k)
		for _, f := range w.fakes {
			f.change(func() { f.denied = "/registry/events/" })
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		got, err := w.scrape(t.Context(), k)
		if !errors.Is(err, etcd.ErrPermissionDenied) {
			t.Errorf("error %v", err)
		}
		got.want(t, series{
			`keyspace_scan_success{prefix="/registry/"}`:        1,
			`keyspace_scan_success{prefix="/registry/events/"}`: 0,
			`keyspace_keys{prefix="/registry/events/"}`:         6, // as it was seen last
		})
	})
}

// TestKeyspaceRate: a scan an interval, and none for a cluster that nobody scrapes.
func TestKeyspaceRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := keyspaceWorld(t)
		afterScan(t, w, k)
		one := w.calls(qRange)
		for range 20 {
			w.must(t, k)
			time.Sleep(time.Second)
		}
		if n := w.calls(qRange); n != one {
			t.Errorf("%d requests more within the interval", n-one)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		unscraped := w.calls(qRange)
		if unscraped > 12*one {
			t.Errorf("%d requests in an hour without a scrape, one scan costs %d", unscraped, one)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := w.calls(qRange); n != unscraped {
			t.Error("scans go on without a scrape")
		}
		w.must(t, k)
		synctest.Wait()
		if n := w.calls(qRange); n == unscraped {
			t.Error("no scan after the next scrape")
		}
	})
}

func TestKeyspacePause(t *testing.T) {
	c := &count{options: Keyspace{Interval: time.Minute}}
	for asked, want := range map[time.Duration]time.Duration{
		0:                      time.Minute,
		500 * time.Millisecond: time.Minute,
		2 * time.Second:        200 * time.Second,
		time.Minute:            15 * time.Minute,
	} {
		if got := c.pause(asked); got != want {
			t.Errorf("after %s of requests a pause of %s, want %s", asked, got, want)
		}
	}
}

// TestKeyspaceNobodyAnswers tells so.
func TestKeyspaceNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := keyspaceWorld(t)
		for _, f := range w.fakes {
			f.fail[qAll] = errors.New("refused")
		}
		_, _ = w.scrape(t.Context(), k)
		time.Sleep(time.Second)
		synctest.Wait()
		got, err := w.scrape(t.Context(), k)
		if err == nil {
			t.Error("no error")
		}
		got.want(t, series{`keyspace_scan_success{prefix="/registry/"}`: 0, `keyspace_keys{prefix="/registry/"}`: math.NaN()})
	})
}

// TestKeyspaceAsksNobodyWhoLags: its counts would be those of another day.
func TestKeyspaceAsksNobodyWhoLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := keyspaceWorld(t)
		for _, f := range w.fakes {
			f.status.Revision = 50_000
		}
		w.fakes[1].status.Revision = 100
		afterScan(t, w, k)
		if w.fakes[1].asked(qRange) > 0 || w.fakes[2].asked(qRange) == 0 {
			t.Error("a member that lags was asked, while another follows")
		}
	})
}
