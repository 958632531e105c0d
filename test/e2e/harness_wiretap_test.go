// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// wiretap passes gRPC on to a plain member and writes down what is asked about
// keys. A member's own log would leave lines out.
type wiretap struct {
	URL string // of the member, by way of the wiretap

	member *grpc.ClientConn
	hush   atomic.Bool // answers of watches are held back
	mu     sync.Mutex
	ranges []ranged
	starts []int64 // revisions that watches began at
}

// ranged is a Range request with what came back.
type ranged struct {
	from, to string
	values   bool // were asked for, and not only keys or their number
	leader   bool // it may be the leader that answers: the read is linearizable
	count    int64
}

func startWiretap(t testing.TB, member string) *wiretap {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(member, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(untouched{}), grpc.MaxCallRecvMsgSize(64<<20)))
	must(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	r := &wiretap{URL: "http://" + listener.Addr().String(), member: conn}
	server := grpc.NewServer(grpc.ForceServerCodec(untouched{}), grpc.UnknownServiceHandler(r.pass))
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
		check(t, conn.Close())
	})
	return r
}

// seen is what was asked so far.
func (r *wiretap) seen() []ranged {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ranges)
}

// pass passes one call on, message by message.
func (r *wiretap) pass(_ any, near grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(near)
	ctx, cancel := context.WithCancel(near.Context())
	defer cancel()
	if with, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, with)
	}
	far, err := r.member.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	var request []byte // of a unary call, read before its answer came
	var mu sync.Mutex
	go func() {
		for {
			var message []byte
			if near.RecvMsg(&message) != nil {
				_ = far.CloseSend()
				return
			}
			mu.Lock()
			request = message
			mu.Unlock()
			if method == pb.Watch_Watch_FullMethodName {
				r.noteWatch(message)
			}
			if far.SendMsg(message) != nil {
				return
			}
		}
	}()
	for {
		var message []byte
		if err := far.RecvMsg(&message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if method == pb.KV_Range_FullMethodName {
			mu.Lock()
			r.note(request, message)
			mu.Unlock()
		}
		if method == pb.Watch_Watch_FullMethodName && r.hush.Load() && !created(message) {
			continue
		}
		if err := near.SendMsg(message); err != nil {
			return err
		}
	}
}

func (r *wiretap) note(request, response []byte) {
	var q pb.RangeRequest
	var a pb.RangeResponse
	if proto.Unmarshal(request, &q) != nil || proto.Unmarshal(response, &a) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ranges = append(r.ranges, ranged{string(q.GetKey()), string(q.GetRangeEnd()), !q.GetCountOnly() && !q.GetKeysOnly(), !q.GetSerializable(), a.GetCount()})
}

func (r *wiretap) noteWatch(request []byte) {
	var q pb.WatchRequest
	if proto.Unmarshal(request, &q) != nil || q.GetCreateRequest() == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starts = append(r.starts, q.GetCreateRequest().GetStartRevision())
}

// created tells the answer that a watch was taken from those that bring something.
func created(response []byte) bool {
	var a pb.WatchResponse
	return proto.Unmarshal(response, &a) == nil && a.GetCreated()
}

// watches are the revisions that watches began at.
func (r *wiretap) watches() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.starts)
}

// untouched is a codec for messages that nobody needs to understand.
type untouched struct{}

func (untouched) Name() string { return "proto" }

func (untouched) Marshal(message any) ([]byte, error) {
	switch m := message.(type) {
	case []byte:
		return m, nil
	case *[]byte:
		return *m, nil
	default:
		return nil, fmt.Errorf("a message of type %T", message)
	}
}

func (untouched) Unmarshal(data []byte, message any) error {
	into, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("a message of type %T", message)
	}
	*into = slices.Clone(data)
	return nil
}
