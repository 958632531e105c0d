// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// flagsWorld has three members that tell their snapshot-count.
func flagsWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(3)
	for i, f := range w.fakes {
		f.flags = map[string]string{"snapshot-count": fmt.Sprint(i)}
	}
	w.deps.Background = NewBackground(t.Context())
	t.Cleanup(w.deps.Background.Close)
	return w
}

func flagOf(i int, flag, value string) string {
	return fmt.Sprintf(`endpoint_flag_info{flag=%q,url=%q,value=%q}`, flag, urlOf(i), value)
}

// TestFlagsAreAskedRarely: in the background, once in ten minutes an endpoint, whether it
// answers or not, and what was read is served meanwhile.
func TestFlagsAreAskedRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := flagsWorld(t)
		w.fakes[1].fail[qFlags] = errors.New("no such page")
		w.fakes[2].hang[qFlags] = true
		c := newFlags(w.deps)
		if got := w.must(t, c); len(got) != 0 {
			t.Errorf("the first scrape waits for %v", got)
		}
		for range 59 {
			time.Sleep(30 * time.Second)
			if got := w.must(t, c); len(got) != 1 || got[flagOf(0, "snapshot-count", "0")] != 1 {
				t.Fatalf("served: %v", got)
			}
		}
		for i, f := range w.fakes { // at 0, 10 and 20 minutes
			if n := f.asked(qFlags); n != 3 {
				t.Errorf("member %d was asked %d times in half an hour", i, n)
			}
		}
	})
}

// TestFlagsChange: a restart with other flags shows within ten minutes; flags that cannot
// be read any more are served for half an hour at most, and not while the member is down.
func TestFlagsChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := flagsWorld(t)
		c := newFlags(w.deps)
		w.must(t, c)
		time.Sleep(time.Minute)
		w.fakes[0].change(func() { w.fakes[0].flags = map[string]string{"snapshot-count": "9", "client-cert-auth": "true"} })
		w.fakes[1].change(func() { w.fakes[1].fail[qFlags] = errors.New("no such page") })
		w.fakes[2].change(func() { w.fakes[2].fail[qStatus] = errRefused })
		got := w.must(t, c)
		if len(got) != 2 || got[flagOf(0, "snapshot-count", "0")] != 1 || got[flagOf(1, "snapshot-count", "1")] != 1 {
			t.Errorf("after a minute: %v", got)
		}
		time.Sleep(10 * time.Minute)
		w.must(t, c)
		synctest.Wait()
		got = w.must(t, c)
		if len(got) != 3 || got[flagOf(0, "snapshot-count", "9")] != 1 || got[flagOf(0, "client-cert-auth", "true")] != 1 || got[flagOf(1, "snapshot-count", "1")] != 1 {
			t.Errorf("after a restart: %v", got)
		}
		time.Sleep(20 * time.Minute)
		w.must(t, c)
		synctest.Wait()
		if got = w.must(t, c); len(got) != 2 || got[flagOf(1, "snapshot-count", "1")] != 0 {
			t.Errorf("half an hour later: %v", got)
		}
	})
}

// TestFlagsOfManifest: the manifest speaks for the member on this host, where that does
// not itself, and for nobody else.
func TestFlagsOfManifest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := flagsWorld(t)
		w.fakes[0].fail[qFlags] = errors.New("no such page")
		w.fakes[1].fail[qFlags] = errors.New("no such page")
		var unread error
		w.deps.ManifestFlags = func() (string, map[string]string, error) {
			return urlOf(0), map[string]string{"snapshot-count": "7"}, unread
		}
		c := newFlags(w.deps)
		w.must(t, c)
		synctest.Wait()
		if got := w.must(t, c); len(got) != 2 || got[flagOf(0, "snapshot-count", "7")] != 1 || got[flagOf(2, "snapshot-count", "2")] != 1 {
			t.Errorf("served: %v", got)
		}
		unread = errors.New("no such file")
		time.Sleep(flagsAge)
		w.must(t, c)
		synctest.Wait()
		if got := w.must(t, c); len(got) != 1 {
			t.Errorf("without the manifest: %v", got)
		}
	})
}

// TestFlagsCancelled: a scraper that hangs up does not end what is read for all.
func TestFlagsCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := flagsWorld(t)
		w.fakes[0].took[qFlags] = time.Second
		c := newFlags(w.deps)
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := w.scrape(ctx, c); err != nil {
			t.Error(err)
		}
		cancel()
		time.Sleep(2 * time.Second)
		if got := w.must(t, c); len(got) != 3 {
			t.Errorf("served: %v", got)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if got, err := w.scrape(cancelled, newFlags(w.deps)); err != nil || len(got) != 0 {
			t.Errorf("a cancelled scrape gives %v, %v", got, err)
		}
	})
}

// TestFlagsForgets: an endpoint that is gone leaves nothing behind.
func TestFlagsForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := flagsWorld(t)
		c := newFlags(w.deps)
		w.must(t, c)
		synctest.Wait()
		w.endpoints = w.endpoints[:1]
		if got, kept := w.must(t, c), len(c.(*flags).known); len(got) != 1 || kept != 1 {
			t.Errorf("%v, and %d endpoints are remembered", got, kept)
		}
	})
}
