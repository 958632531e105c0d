// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/etcdops/etcdops/internal/etcd/internal/grant"
)

// do puts an Alarm request, which stands for one that changes something.
func do(ctx context.Context, c *Cluster, url string) error {
	return c.Do(ctx, grant.New(), url, "Alarm", func(conn *grpc.ClientConn) error {
		_, err := pb.NewMaintenanceClient(conn).Alarm(ctx, &pb.AlarmRequest{})
		return err
	})
}

func TestDoNeedsAPermit(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	c := clusterAt(t, Config{}, url)
	asked := false
	err := c.Do(t.Context(), grant.Permit{}, url, "Alarm", func(*grpc.ClientConn) error {
		asked = true
		return nil
	})
	if !errors.Is(err, errNoPermit) || asked {
		t.Errorf("without a permit: error %v, asked %v", err, asked)
	}
	if err := do(t.Context(), c, "http://127.0.0.1:1"); err == nil {
		t.Error("an endpoint that nobody knows is asked")
	}
	if err := do(t.Context(), c, url); err != nil {
		t.Error(err)
	}
}

// A question is asked again where the connection broke. A change is not: it may
// have been made.
func TestDoIsPutOnce(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	c := clusterAt(t, Config{}, url)
	for _, code := range []codes.Code{codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.ResourceExhausted} {
		before := server.called("Alarm")
		server.set(func() {
			server.answer = func(context.Context, string) error { return status.Error(code, "gone") }
		})
		err := do(t.Context(), c, url)
		var e *Error
		if !errors.As(err, &e) || e.Method != "Alarm" || e.Code != code.String() {
			t.Errorf("%s: error %v", code, err)
		}
		if n := server.called("Alarm") - before; n != 1 {
			t.Errorf("%s: put %d times", code, n)
		}
	}
	// The server goes away under it.
	begun := make(chan struct{})
	server.set(func() {
		server.answer = func(ctx context.Context, _ string) error {
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		}
	})
	before := server.called("Alarm")
	go func() {
		<-begun
		server.stop()
		server.set(func() { server.answer = nil })
		server.start(t, nil)
	}()
	if err := do(t.Context(), c, url); err == nil {
		t.Error("a change whose answer was lost counts as made")
	}
	if n := server.called("Alarm") - before; n != 1 {
		t.Errorf("put %d times", n)
	}
}

// A stale token is refused before anything is done: with a new one it is put again,
// once.
func TestDoRenewsTheToken(t *testing.T) {
	server, cfg := secured(t)
	url := "http://" + server.address
	c := clusterAt(t, cfg, url)
	if err := do(t.Context(), c, url); err != nil {
		t.Fatal(err)
	}
	server.set(func() { server.token = "another" })
	if err := do(t.Context(), c, url); err != nil {
		t.Error(err)
	}
	if n := server.called("Alarm"); n != 3 {
		t.Errorf("put %d times, want one and, with the stale token, two", n)
	}
	server.set(func() {
		server.answer = func(_ context.Context, method string) error {
			if method == "Alarm" {
				return rpctypes.ErrGRPCInvalidAuthToken
			}
			return nil
		}
	})
	before := server.called("Alarm")
	if err := do(t.Context(), c, url); Classify(err) != ReasonAuth {
		t.Errorf("error %v", err)
	}
	if n := server.called("Alarm") - before; n != 2 {
		t.Errorf("a token that never becomes good is tried %d times", n)
	}
}

// A member that defragments answers nothing else. Whoever gives up the connection
// for that does not take the defragmentation's answer with it.
func TestDoOutlastsItsConnection(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	c := clusterAt(t, Config{}, url)
	begun, end := make(chan struct{}), make(chan struct{})
	server.set(func() {
		server.answer = func(ctx context.Context, method string) error {
			if method == "Alarm" {
				close(begun)
				<-end
				return nil
			}
			return hang("Range")(ctx, method)
		}
	})
	done := make(chan error)
	go func() { done <- do(t.Context(), c, url) }()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Scanner(url).Range(ctx, RangeQuestion{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	server.set(func() { server.answer = nil })
	if _, err := c.Scanner(url).Range(t.Context(), RangeQuestion{}); err != nil {
		t.Error(err)
	}
	close(end)
	if err := <-done; err != nil {
		t.Errorf("the change lost its connection: %v", err)
	}
	client := c.Scanner(url).client
	client.mu.Lock()
	defer client.mu.Unlock()
	if len(client.held) != 0 {
		t.Error("a connection is held for ever")
	}
}

func TestCloseEndsAChange(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	c := clusterAt(t, Config{}, url)
	begun := make(chan struct{})
	server.set(func() {
		server.answer = func(ctx context.Context, method string) error {
			close(begun)
			return hang("Alarm")(ctx, method)
		}
	})
	done := make(chan error)
	go func() { done <- do(t.Context(), c, url) }()
	<-begun
	c.Scanner(url).client.giveUp(time.Now()) // it is held, and nothing else knows of it
	c.Close()
	if err := <-done; err == nil {
		t.Error("a change outlives its cluster")
	}
}
