// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestPrefixSpan(t *testing.T) {
	for prefix, to := range map[string]string{
		"/registry/": "/registry0", "a": "b", "a\xff": "b", "\xff\xff": "\x00", "a\x00": "a\x01",
	} {
		if s := PrefixSpan(prefix); string(s.From) != prefix || string(s.To) != to {
			t.Errorf("PrefixSpan(%q) = %q to %q, want to %q", prefix, s.From, s.To, to)
		}
	}
	if s := PrefixSpan(""); string(s.From) != "\x00" || string(s.To) != "\x00" {
		t.Errorf("all keys are %q to %q", s.From, s.To)
	}
}

// A scrape that gives up its connection does not take a scan's request with it.
func TestScannerHasItsOwnConnection(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	c := clusterAt(t, Config{}, url)
	if _, err := c.Client(url).Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun, end := make(chan struct{}), make(chan struct{})
	server.set(func() {
		server.answer = func(_ context.Context, method string) error {
			if method == "Range" {
				close(begun)
				<-end
			}
			return nil
		}
	})
	done := make(chan error)
	go func() {
		_, err := c.Scanner(url).Range(t.Context(), RangeQuestion{Span: PrefixSpan("a")})
		done <- err
	}()
	<-begun
	c.Client(url).giveUp(time.Now())
	close(end)
	if err := <-done; err != nil {
		t.Errorf("the scan failed: %v", err)
	}
	if n := server.called("Range"); n != 1 {
		t.Errorf("the scan asked %d times, want once", n)
	}
	if first, second := c.Scanner(url), c.Scanner(url); first != second {
		t.Error("a scanner, and its connection, is made anew each time")
	}
	if c.Scanner("http://127.0.0.1:1") != nil {
		t.Error("an endpoint that nobody knows has a scanner")
	}
}

// A member that hangs costs the question's own time; the next one gets a new
// connection.
func TestScannerGivesUp(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	c := clusterAt(t, Config{}, url)
	server.set(func() { server.answer = hang("Range") })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Scanner(url).Range(ctx, RangeQuestion{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	server.set(func() { server.answer = nil })
	if _, err := c.Scanner(url).Range(t.Context(), RangeQuestion{}); err != nil {
		t.Error(err)
	}
	if n := server.conns.n.Load(); n != 2 {
		t.Errorf("%d connections, want a second one after the first hung", n)
	}
	if n := c.memory.Errors()[Call{"Range", "DeadlineExceeded"}]; n != 1 {
		t.Errorf("errors counted: %v", c.memory.Errors())
	}
}

// created is the server's word that a watch has begun.
func created(stream pb.Watch_WatchServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	return stream.Send(&pb.WatchResponse{Created: true, Header: &pb.ResponseHeader{Revision: 40}})
}

func put(key string, version int64) *mvccpb.Event {
	return &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte("value"), ModRevision: 41, Version: version}}
}

func TestWatch(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	c := clusterAt(t, Config{}, url)
	server.watch = func(stream pb.Watch_WatchServer) error {
		if err := created(stream); err != nil {
			return err
		}
		gone := &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte("c"), ModRevision: 42}}
		answers := []*pb.WatchResponse{
			{Header: &pb.ResponseHeader{Revision: 41}, Events: []*mvccpb.Event{put("a", 1), put("b", 2)}},
			{Header: &pb.ResponseHeader{Revision: 41}}, // progress: nothing to tell
			{Header: &pb.ResponseHeader{Revision: 42}, Events: []*mvccpb.Event{gone}},
		}
		for _, a := range answers {
			if err := stream.Send(a); err != nil {
				return err
			}
		}
		<-stream.Context().Done()
		return nil
	}
	enough := errors.New("enough")
	var seen []KeyValue
	err := c.Scanner(url).Watch(t.Context(), PrefixSpan(""), 0, func(b WatchBatch) error {
		if b.Bytes == 0 {
			t.Error("a batch of no bytes")
		}
		if seen = append(seen, b.Keys...); len(seen) == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
	if len(seen) != 3 || !seen[0].Created || seen[1].Created || seen[1].Deleted || !seen[2].Deleted || string(seen[0].Value) != "value" {
		t.Errorf("seen %+v", seen)
	}
}

// What ends a watch comes as text, and is told by its type.
// TestWatchTellsOfProgress, once and only of a watch into the past.
func TestWatchTellsOfProgress(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	c := clusterAt(t, Config{}, url)
	server.watch = func(stream pb.Watch_WatchServer) error {
		if err := created(stream); err != nil {
			return err
		}
		for range 3 { // the server ignores the first ones
			if r, err := stream.Recv(); err != nil || r.GetProgressRequest() == nil {
				return err
			}
		}
		empty := &pb.WatchResponse{WatchId: -1, Header: &pb.ResponseHeader{Revision: 40}}
		return errors.Join(stream.Send(empty), stream.Send(empty), stream.Send(&pb.WatchResponse{Events: []*mvccpb.Event{put("a", 1)}}))
	}
	enough := errors.New("enough")
	var keys []int
	err := c.Scanner(url).Watch(t.Context(), PrefixSpan(""), 7, func(b WatchBatch) error {
		if keys = append(keys, len(b.Keys)); len(b.Keys) > 0 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || !slices.Equal(keys, []int{0, 1}) {
		t.Errorf("batches of %d keys, %v", keys, err)
	}
}

func TestWatchIsRefused(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	c := clusterAt(t, Config{}, url)
	for _, k := range []struct {
		answer *pb.WatchResponse
		want   error
	}{
		{&pb.WatchResponse{Canceled: true, CompactRevision: 30}, ErrCompacted},
		{&pb.WatchResponse{Canceled: true, CancelReason: status.Convert(rpctypes.ErrGRPCPermissionDenied).Message()}, ErrPermissionDenied},
	} {
		for _, early := range []bool{true, false} {
			server.set(func() {
				server.watch = func(stream pb.Watch_WatchServer) error {
					if !early {
						if err := created(stream); err != nil {
							return err
						}
					}
					return stream.Send(k.answer)
				}
			})
			err := c.Scanner(url).Watch(t.Context(), PrefixSpan(""), 1, func(WatchBatch) error { return nil })
			if !errors.Is(err, k.want) {
				t.Errorf("early %v: error %v, want %v", early, err, k.want)
			}
		}
	}
}

// A stale token is renewed, as for any other question.
func TestWatchRenewsItsToken(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	server.password = "secret"
	password := filepath.Join(t.TempDir(), "password")
	write(t, password, []byte("secret"))
	c := clusterAt(t, Config{Username: "exporter", PasswordFile: password}, url)
	enough := errors.New("enough")
	server.watch = func(stream pb.Watch_WatchServer) error {
		token := metadata.ValueFromIncomingContext(stream.Context(), rpctypes.TokenFieldNameGRPC)
		if len(token) == 0 || token[0] != server.token {
			if _, err := stream.Recv(); err != nil {
				return err
			}
			return stream.Send(&pb.WatchResponse{Created: true, Canceled: true, CancelReason: status.Convert(rpctypes.ErrGRPCInvalidAuthToken).Message()})
		}
		if err := created(stream); err != nil {
			return err
		}
		return stream.Send(&pb.WatchResponse{Events: []*mvccpb.Event{put("a", 1)}})
	}
	for range 2 {
		err := c.Scanner(url).Watch(t.Context(), PrefixSpan(""), 0, func(WatchBatch) error { return enough })
		if !errors.Is(err, enough) {
			t.Errorf("error %v", err)
		}
		server.set(func() { server.token = "another" })
	}
}

// TestScannerTakesLargeAnswers: more than a scrape's own questions do.
func TestScannerTakesLargeAnswers(t *testing.T) {
	server := startFake(t, nil)
	url := "http://" + server.address
	c := clusterAt(t, Config{}, url)
	large := strings.Repeat("x", 2*maxAnswer)
	server.watch = func(stream pb.Watch_WatchServer) error {
		if err := created(stream); err != nil {
			return err
		}
		return stream.Send(&pb.WatchResponse{Events: []*mvccpb.Event{put(large, 1)}})
	}
	enough := errors.New("enough")
	if err := c.Scanner(url).Watch(t.Context(), PrefixSpan(""), 0, func(WatchBatch) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
}
