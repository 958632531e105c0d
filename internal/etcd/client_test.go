// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestClientAnswers(t *testing.T) {
	server := startFake(t, nil)
	client := clusterAt(t, Config{ProbeKey: "health"}, "http://"+server.address).Client("http://" + server.address)
	s, err := client.Status(t.Context())
	if err != nil || s.Version != "3.6.16" || s.ClusterID != 7 || s.MemberID != 1 || s.Revision != 42 {
		t.Errorf("Status = %+v, %v", s, err)
	}
	alarms, err := client.AlarmList(t.Context())
	if err != nil || len(alarms) != 1 || alarms[0] != (Alarm{1, AlarmNoSpace}) {
		t.Errorf("AlarmList = %v, %v", alarms, err)
	}
	for code, want := range map[error]error{
		rpctypes.ErrGRPCCompacted: ErrCompacted, rpctypes.ErrGRPCFutureRev: ErrFutureRevision,
		rpctypes.ErrGRPCPermissionDenied: ErrPermissionDenied, rpctypes.ErrGRPCNotSupportedForLearner: ErrLearner,
	} {
		server.set(func() { server.answer = func(context.Context, string) error { return code } })
		var e *Error
		if err := client.Read(t.Context(), Read{Revision: 1}); !errors.Is(err, want) || !errors.As(err, &e) || !e.Answered || e.Method != "Range" {
			t.Errorf("Read = %#v, want %v", err, want)
		}
	}
}

// However many questions begin together, there is one connection; and none where
// nobody asks.
func TestClientConnectsOnce(t *testing.T) {
	server := startFake(t, nil)
	c := clusterAt(t, Config{}, "http://"+server.address)
	client := c.Client("http://" + server.address)
	if n := server.conns.n.Load(); n != 0 {
		t.Errorf("%d connections before the first question", n)
	}
	Each(make([]int, 20), func(int) struct{} {
		if _, err := client.Status(t.Context()); err != nil {
			t.Error(err)
		}
		return struct{}{}
	})
	if n := server.conns.n.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// gRPC's back-off is not ours.
func TestMemberRestarts(t *testing.T) {
	ca := newAuthority(t, "ca")
	conf := ca.server(t, time.Now().Add(time.Hour), ca)
	server := startFake(t, conf)
	c := clusterAt(t, ca.files(t, t.TempDir()), "https://"+server.address)
	if _, err := scrape(t, c, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	// Restarted between two rounds: nothing is noticed.
	server.stop()
	server.start(t, conf)
	if reason, err := scrape(t, c, 2*time.Second); err != nil {
		t.Errorf("first round after a restart: %s, %v", reason, err)
	}
	server.stop()
	for range 3 {
		start := time.Now()
		if reason, err := scrape(t, c, 5*time.Second); reason != ReasonRefused {
			t.Errorf("killed: %q, %v", reason, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("a refused connection is told after %s", took)
		}
	}
	server.start(t, conf)
	if reason, err := scrape(t, c, 2*time.Second); err != nil {
		t.Errorf("first round after it came back: %s, %v", reason, err)
	}
}

// A connection that leads nowhere is given up at the end of the round that hung;
// one whose member was only stopped for a while serves on.
func TestConnectionBlackHoled(t *testing.T) {
	server := startFake(t, nil)
	g := startGate(t, server.address)
	c := clusterAt(t, Config{}, "http://"+g.address)
	if _, err := scrape(t, c, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	g.swallow()
	if reason, err := scrape(t, c, 100*time.Millisecond); reason != ReasonTimeout {
		t.Errorf("black-holed: %q, %v", reason, err)
	}
	client := c.Client("http://" + g.address)
	eventually(t, "the connection is given up", func() bool {
		client.mu.Lock()
		defer client.mu.Unlock()
		return client.live == nil
	})
	if reason, err := scrape(t, c, 2*time.Second); err != nil {
		t.Errorf("the round after: %s, %v", reason, err)
	}
}

func TestMemberStoppedAndContinued(t *testing.T) {
	for _, connected := range []bool{true, false} {
		server := startFake(t, nil)
		g := startGate(t, server.address)
		c := clusterAt(t, Config{}, "http://"+g.address)
		if connected {
			if _, err := scrape(t, c, 2*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		g.freeze()
		for range 2 {
			if reason, err := scrape(t, c, 100*time.Millisecond); reason != ReasonTimeout {
				t.Errorf("stopped: %q, %v", reason, err)
			}
		}
		g.thaw()
		if reason, err := scrape(t, c, 2*time.Second); err != nil {
			t.Errorf("continued: %s, %v", reason, err)
		}
	}
}

// What one hanging question gives up must not fail another that still works on
// the same connection.
func TestGiveUpKeepsAConnectionThatAnswers(t *testing.T) {
	server := startFake(t, nil)
	server.answer = hang("Status")
	c := clusterAt(t, Config{}, "http://"+server.address)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	view := c.View(ctx)
	e := view.Endpoints()[0]
	if _, err := view.Check(ctx, e, true); err != nil {
		t.Fatal(err)
	}
	live := c.Client(e.URL).live
	_, err := view.Status(t.Context(), e)
	// It answers its member list: that is a defragmentation, not a dead member.
	if reason := view.Failure(e, err); reason != ReasonDefragmenting {
		t.Errorf("reason %q (%v), want defragmenting", reason, err)
	}
	if n := server.called("MemberList"); n != 1 {
		t.Errorf("the member list was asked %d times at half time", n)
	}
	if live == nil || c.Client(e.URL).live != live {
		t.Error("the connection was given up")
	}
}

func TestCancelledRoundIsNoFailure(t *testing.T) {
	server := startFake(t, nil)
	entered := make(chan struct{})
	server.answer = func(ctx context.Context, _ string) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
	c := clusterAt(t, Config{OnDown: func(r Reason) { t.Errorf("down: %s", r) }}, "http://"+server.address)
	ctx, cancel := context.WithCancel(t.Context())
	view := c.View(ctx)
	answered := make(chan error, 1)
	go func() {
		_, err := view.Status(t.Context(), view.Endpoints()[0])
		answered <- err
	}()
	<-entered
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("Status = %v", err)
	}
	view.Close()
	if len(c.memory.Errors()) > 0 {
		t.Errorf("errors are counted: %v", c.memory.Errors())
	}
}

// A server can answer with any number as its code.
func TestInventedCodesAreOne(t *testing.T) {
	server := startFake(t, nil)
	n := codes.Code(1000)
	server.answer = func(context.Context, string) error { n++; return status.Error(n, "x\ny") }
	c := clusterAt(t, Config{}, "http://"+server.address)
	for range 3 {
		if reason, err := scrape(t, c, time.Second); reason != ReasonOther {
			t.Errorf("reason %q, %v", reason, err)
		}
	}
	if got := c.memory.Errors(); len(got) != 1 || got[Call{"Status", "Unknown"}] != 3 {
		t.Errorf("errors = %v", got)
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	ca := newAuthority(t, "ca")
	server := startFake(t, ca.server(t, time.Now().Add(time.Hour), ca))
	hung := startHostile(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	before := runtime.NumGoroutine()
	endpoints := []string{"https://" + server.address, "https://127.0.0.1:1", "https://" + hung}
	cfg := ca.files(t, t.TempDir())
	cfg.Endpoints = endpoints
	var closing sync.WaitGroup
	for range 5 {
		c := must(NewCluster(cfg))(t)
		for range 2 {
			_, _ = scrape(t, c, 50*time.Millisecond)
		}
		if _, err := c.Client(endpoints[0]).Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Client(endpoints[0]).ServerTime(t.Context())
		closing.Go(c.Close)
		closing.Go(c.Close) // twice is once
		_, err := c.Client(endpoints[0]).Status(t.Context())
		closing.Wait()
		if err != nil && !errors.Is(err, errClosed) {
			t.Errorf("Status while closing: %v", err)
		}
		if _, err := c.Client(endpoints[0]).Status(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("Status after Close: %v", err)
		}
		if _, err := c.Client(endpoints[0]).ServerTime(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("ServerTime after Close: %v", err)
		}
	}
	server.stop() // its own goroutines end with the connections
	eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}
