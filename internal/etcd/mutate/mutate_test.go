// SPDX-License-Identifier: Apache-2.0

package mutate

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// nowhere is a client of a cluster that has no endpoint: whatever gets as far as
// asking fails with another error than a refusal's.
func nowhere(t *testing.T) *Client {
	t.Helper()
	c, err := etcd.NewCluster(etcd.Config{Name: "none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return New(c)
}

// What the package does not offer is refused before anybody is asked.
func TestRefusals(t *testing.T) {
	m := nowhere(t)
	ctx := t.Context()
	notAsked := func(name string, err error) {
		t.Helper()
		const asked = `: "url" is not an endpoint of cluster none`
		if err == nil || len(err.Error()) >= len(asked) && err.Error()[len(err.Error())-len(asked):] == asked {
			t.Errorf("%s: error %v", name, err)
		}
	}
	notAsked("disarm all", m.Disarm(ctx, "url", 0))
	notAsked("move to nobody", m.MoveLeader(ctx, "url", 0))
	notAsked("compact to nothing", m.Compact(ctx, "url", 0))
	notAsked("compact backwards", m.Compact(ctx, "url", -1))
	for name, key := range map[string]etcd.KeyValue{
		"no revision": {Key: []byte("a")}, "negative": {Key: []byte("a"), ModRevision: -1}, "no key": {ModRevision: 5},
	} {
		for _, single := range []bool{true, false} {
			good := etcd.KeyValue{Key: []byte("b"), ModRevision: 5}
			deleted, revision, err := m.Delete(ctx, "url", []etcd.KeyValue{good, key}, single)
			notAsked("delete: "+name, err)
			if len(deleted) != 2 || deleted[0] || revision != 0 {
				t.Errorf("%s: deleted %v at %d", name, deleted, revision)
			}
		}
	}
	if deleted, _, err := m.Delete(ctx, "url", nil, false); err != nil || len(deleted) != 0 {
		t.Errorf("nothing to delete: %v", err)
	}
	notAsked("large mirror", m.PutMirror(ctx, "/etcdops/", make([]byte, maxMirror+1)))
	for _, prefix := range []string{"", "/", "/etcdops", "/registry/", "/registry/events/"} {
		notAsked("mirror below "+prefix, m.PutMirror(ctx, prefix, nil))
		if _, err := m.Mirror(ctx, prefix); err == nil {
			t.Errorf("mirror below %q is read", prefix)
		}
		if _, err := m.Elect(prefix, "a", ElectionTTL, slog.Default()); err == nil {
			t.Errorf("election below %q", prefix)
		}
	}
}

// election gives one that has a lease.
func election(t *testing.T) *Election {
	t.Helper()
	e, err := nowhere(t).Elect("/etcdops/", "a", 15*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e.lease = 1
	return e
}

func lost(e *Election) bool {
	select {
	case <-e.Lost():
		return true
	default:
		return false
	}
}

// A holder that cannot renew stops before its lease has run out, by itself.
func TestHoldsEndsBeforeTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := election(t)
		if e.Holds() || !lost(e) {
			t.Fatal("holds before it has won")
		}
		e.renewed = time.Now()
		time.Sleep(2 * time.Second) // the answer took that long
		e.win()
		ended := e.Lost()
		time.Sleep(8*time.Second - time.Millisecond)
		synctest.Wait()
		if !e.Holds() || lost(e) {
			t.Error("the lease is good for ten seconds from the sending of its renewal")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if e.Holds() {
			t.Error("holds although a third of the lease is left at most")
		}
		select {
		case <-ended:
		default:
			t.Error("nobody who watches is told")
		}
		e.renewed = time.Now() // it lived on all the same
		e.win()
		if !e.Holds() || lost(e) {
			t.Error("does not hold again")
		}
		e.lose("test")
		if e.Holds() || !lost(e) {
			t.Error("holds after it has lost")
		}
	})
}

// A renewal moves the end.
func TestRenewalMovesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := election(t)
		for range 5 {
			e.renewed = time.Now()
			e.win()
			time.Sleep(9 * time.Second)
			synctest.Wait()
			if !e.Holds() || lost(e) {
				t.Fatal("does not hold nine seconds after a renewal")
			}
		}
		e.lose("test")
	})
}
