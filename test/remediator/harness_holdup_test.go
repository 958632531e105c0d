// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/test/lab"
)

// holdup stands before a member of a plain lab and passes all on, but holds the answer
// to some requests: a member that takes long over them, for as long as a test needs.
type holdup struct {
	URL    string
	member *lab.Member
	holds  func(method string, asked []byte) bool
	begun  chan struct{} // one for each of those that the member has carried out
	free   chan struct{} // one lets one answer go
}

func aDefragment(method string, _ []byte) bool { return strings.HasSuffix(method, "/Defragment") }

// aDisarm is a request that takes an alarm off; the same method lists them.
func aDisarm(method string, asked []byte) bool {
	var request pb.AlarmRequest
	return strings.HasSuffix(method, "/Alarm") && proto.Unmarshal(asked, &request) == nil && request.Action == pb.AlarmRequest_DEACTIVATE
}

func startHoldup(t testing.TB, m *lab.Member, holds func(method string, asked []byte) bool) *holdup {
	t.Helper()
	to, err := grpc.NewClient("passthrough:"+strings.TrimPrefix(m.ClientURL(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	h := &holdup{member: m, holds: holds, begun: make(chan struct{}, 9), free: make(chan struct{}, 9)}
	server := grpc.NewServer(grpc.ForceServerCodec(frames{}),
		grpc.UnknownServiceHandler(func(_ any, near grpc.ServerStream) error { return h.pass(near, to) }))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); to.Close() })
	h.URL = "http://" + listener.Addr().String()
	return h
}

// in has a configuration name the holdup where it names the member. /metrics and the
// clock stay the member's own.
func (h *holdup) in(t testing.TB, config string) string {
	t.Helper()
	text, err := os.ReadFile(config)
	must(t, err)
	now := strings.ReplaceAll(string(text), h.member.ClientURL(), h.URL)
	now = strings.Replace(now, "    data_dirs:\n", "    metrics_urls: {\""+h.URL+"\": \""+h.member.ClientURL()+"\"}\n    data_dirs:\n", 1)
	must(t, os.WriteFile(config, []byte(now), 0o600))
	return config
}

// await waits for the member to have carried one out.
func (h *holdup) await(t testing.TB) {
	t.Helper()
	select {
	case <-h.begun:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is begun that would be held up")
	}
}

func (h *holdup) pass(near grpc.ServerStream, to *grpc.ClientConn) error {
	method, _ := grpc.MethodFromServerStream(near)
	ctx, cancel := context.WithCancel(near.Context())
	defer cancel()
	far, err := to.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, grpc.ForceCodec(frames{}))
	if err != nil {
		return err
	}
	var first []byte
	if err := errors.Join(near.RecvMsg(&first), far.SendMsg(&first)); err != nil {
		return err
	}
	go func() {
		var asked []byte
		for near.RecvMsg(&asked) == nil {
			if far.SendMsg(&asked) != nil {
				return
			}
		}
		_ = far.CloseSend()
	}()
	for {
		var said []byte
		if err := far.RecvMsg(&said); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if h.holds(method, first) {
			h.begun <- struct{}{}
			select {
			case <-h.free:
			case <-near.Context().Done():
			}
		}
		if err := near.SendMsg(&said); err != nil {
			return err
		}
	}
}

// frames is a codec that leaves messages as they are on the wire.
type frames struct{}

func (frames) Name() string                  { return "proto" }
func (frames) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (frames) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = slices.Clone(data)
	return nil
}
