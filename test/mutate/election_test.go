// SPDX-License-Identifier: Apache-2.0

package mutate_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/etcd/mutate"
	"github.com/etcdops/etcdops/test/lab"
)

const (
	electionPrefix = "/etcdops/remediator/"
	ttl            = 3 * time.Second
)

// replica is one program that takes part.
type replica struct {
	*mutate.Election
	cluster *etcd.Cluster
	stop    func() // as SIGTERM: it resigns
}

// kill takes its connections away, as kill -9 does: it cannot renew or resign.
func (r *replica) kill() { r.cluster.Close() }

func campaign(t *testing.T, l *lab.Lab, name string) *replica {
	t.Helper()
	alive, cluster := connect(t, l, nil)
	e, err := alive.Elect(electionPrefix, name, ttl, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return &replica{e, cluster, stop}
}

// watchHolders notes whether two ever hold at one time.
func watchHolders(t *testing.T, all ...*replica) {
	t.Helper()
	var both atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			n := 0
			for _, r := range all {
				if r.Holds() {
					n++
				}
			}
			if n > 1 {
				both.Add(1)
			}
			time.Sleep(time.Millisecond) // the rate of looking, nothing is awaited
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
		if n := both.Load(); n > 0 {
			t.Errorf("two held at one time, at %d looks", n)
		}
	})
}

func TestElection(t *testing.T) {
	t.Parallel()
	l, client := start(t, lab.Options{Members: 3, Version: version})
	a := campaign(t, l, "a")
	await(t, "a holds", 5*time.Second, a.Holds)
	b, c := campaign(t, l, "b"), campaign(t, l, "c")
	await(t, "b and c wait for a", 5*time.Second, func() bool { return b.Leader() == "a" && c.Leader() == "a" })
	watchHolders(t, a, b, c)

	// The leader of etcd is killed: no matter.
	leader, err := l.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lost := a.Lost()
	if err := l.Member(leader).Kill(); err != nil {
		t.Fatal(err)
	}
	if err := l.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Member(leader).Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lost:
		t.Log("a lost its hold while etcd had no leader")
		await(t, "a holds again", 2*ttl, a.Holds)
	default:
	}

	// The holder is killed: another takes over when its lease is over.
	lost, begun := a.Lost(), time.Now()
	a.kill()
	<-lost
	if a.Holds() || time.Since(begun) > ttl {
		t.Errorf("a held for %s after its end", time.Since(begun))
	}
	await(t, "b or c takes over", ttl+2*time.Second, func() bool { return b.Holds() || c.Holds() })
	t.Logf("taken over after %s of a lease of %s", time.Since(begun).Round(10*time.Millisecond), ttl)

	// The holder resigns: another takes over at once.
	first, second := b, c
	if c.Holds() {
		first, second = c, b
	}
	begun = time.Now()
	first.stop()
	await(t, "the next one takes over", ttl, second.Holds)
	if passed := time.Since(begun); passed > ttl/2 {
		t.Errorf("the next one took over after %s", passed)
	}
	second.stop()
	r, err := client.Get(t.Context(), "", clientv3.WithFromKey(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range r.Kvs {
		t.Errorf("%s is left behind", kv.Key)
		if !strings.HasPrefix(string(kv.Key), electionPrefix) {
			t.Errorf("%s is outside the prefix", kv.Key)
		}
	}
}

// A holder whose key somebody deletes does not go on as if nothing had been.
func TestElectionKeyIsDeleted(t *testing.T) {
	t.Parallel()
	l, client := start(t, lab.Options{Members: 1, TLS: lab.Plain, Version: version})
	a := campaign(t, l, "a")
	await(t, "a holds", 5*time.Second, a.Holds)
	b := campaign(t, l, "b")
	await(t, "b waits for a", 5*time.Second, func() bool { return b.Leader() == "a" })
	lost := a.Lost()
	if _, err := client.Delete(t.Context(), electionPrefix, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	<-lost
	await(t, "one holds again", 5*time.Second, func() bool { return a.Holds() != b.Holds() })
}

// Under NOSPACE no lease is granted and no key written. The holder stays, and another
// that was there before takes over; who comes too late waits.
func TestElectionUnderNoSpace(t *testing.T) {
	t.Parallel()
	l, _ := start(t, lab.Options{Members: 1, TLS: lab.Plain, Version: version, QuotaBytes: 16 << 20})
	a := campaign(t, l, "a")
	await(t, "a holds", 5*time.Second, a.Holds)
	b := campaign(t, l, "b")
	await(t, "b waits for a", 5*time.Second, func() bool { return b.Leader() == "a" })
	if err := l.FillToNoSpace(t.Context()); err != nil {
		t.Fatal(err)
	}
	watchHolders(t, a, b)
	late := campaign(t, l, "late")
	time.Sleep(ttl + ttl/2) // longer than a lease that nobody renews
	if !a.Holds() || b.Holds() {
		t.Errorf("a holds: %v, b holds: %v", a.Holds(), b.Holds())
	}
	a.stop()
	await(t, "b takes over", 2*ttl, b.Holds)
	if late.Holds() {
		t.Error("a lease was granted under NOSPACE")
	}
	if err := l.RecoverSpace(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.stop()
	await(t, "the late one gets its turn", 4*ttl, late.Holds)
}
