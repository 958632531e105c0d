// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/test/lab"
)

const maintenance = "/etcdserverpb.Maintenance/"

// lies are what a fake member says otherwise than the real one. A nil field is no lie.
type lies struct {
	Status     func(*pb.StatusResponse)
	Alarms     func(*pb.AlarmResponse)
	HoldStatus bool // Status gets no answer, and the rest does
	NoDefrag   bool // Defragment is answered, and nothing is done
	NoMove     bool // likewise MoveLeader
}

// fake stands before a member, with the member's own certificate, and passes all gRPC
// on but for its lies. HTTP goes to the member itself: see before.
type fake struct {
	URL    string
	member *lab.Member

	mu   sync.Mutex
	lies lies
}

// Lie has the fake say something else from now on.
func (f *fake) Lie(l lies) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lies = l
}

func (f *fake) now() lies {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lies
}

// startFakes puts a fake before each member of a lab with mTLS.
func startFakes(t testing.TB, l *lab.Lab) (all []*fake) {
	t.Helper()
	client, err := tls.LoadX509KeyPair(l.ClientCert(), l.ClientKey())
	must(t, err)
	for _, m := range l.Members() {
		server, err := tls.LoadX509KeyPair(m.ServerCert(), m.ServerKey())
		must(t, err)
		target, err := url.Parse(m.ClientURL())
		must(t, err)
		to, err := grpc.NewClient("passthrough:"+target.Host,
			grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: l.CA().Pool(), Certificates: []tls.Certificate{client}})))
		must(t, err)
		f := &fake{member: m}
		proxy := grpc.NewServer(
			grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: l.CA().Pool(), ClientAuth: tls.RequireAndVerifyClientCert})),
			grpc.ForceServerCodec(asIs{}),
			grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return f.pass(stream, to) }))
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		go func() { _ = proxy.Serve(listener) }()
		t.Cleanup(func() { proxy.Stop(); to.Close() })
		f.URL = "https://" + listener.Addr().String()
		all = append(all, f)
	}
	return all
}

// pass carries one call to the member, and the answers back.
func (f *fake) pass(near grpc.ServerStream, to *grpc.ClientConn) error {
	method, _ := grpc.MethodFromServerStream(near)
	switch l := f.now(); {
	case l.HoldStatus && method == maintenance+"Status":
		<-near.Context().Done()
		return near.Context().Err()
	case l.NoDefrag && method == maintenance+"Defragment", l.NoMove && method == maintenance+"MoveLeader":
		var asked []byte
		if err := near.RecvMsg(&asked); err != nil {
			return err
		}
		return near.SendMsg(&[]byte{})
	}
	ctx, cancel := context.WithCancel(near.Context())
	defer cancel()
	far, err := to.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, grpc.ForceCodec(asIs{}))
	if err != nil {
		return err
	}
	go func() {
		var asked []byte
		for passed := true; passed; {
			passed = near.RecvMsg(&asked) == nil && far.SendMsg(&asked) == nil
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
		if said, err = f.twist(method, said); err != nil {
			return err
		}
		if err := near.SendMsg(&said); err != nil {
			return err
		}
	}
}

// twist makes a lie of an answer.
func (f *fake) twist(method string, said []byte) ([]byte, error) {
	switch l := f.now(); {
	case method == maintenance+"Status" && l.Status != nil:
		return rewrite(said, &pb.StatusResponse{}, l.Status)
	case method == maintenance+"Alarm" && l.Alarms != nil:
		return rewrite(said, &pb.AlarmResponse{}, l.Alarms)
	default:
		return said, nil
	}
}

func rewrite[M proto.Message](said []byte, into M, lie func(M)) ([]byte, error) {
	if err := proto.Unmarshal(said, into); err != nil {
		return nil, err
	}
	lie(into)
	return proto.Marshal(into)
}

// asIs is a codec that leaves messages as they are on the wire.
type asIs struct{}

func (asIs) Name() string                  { return "proto" }
func (asIs) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (asIs) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = slices.Clone(data)
	return nil
}

// before has a configuration name the fakes where it names members. /metrics and the
// clock stay the members' own.
func before(t testing.TB, config string, fakes []*fake) string {
	t.Helper()
	urls := "    metrics_urls:\n"
	var pairs []string
	for _, f := range fakes {
		pairs = append(pairs, f.member.ClientURL(), f.URL)
		urls += "      \"" + f.URL + "\": \"" + f.member.ClientURL() + "\"\n"
	}
	edit(t, config, pairs...)
	edit(t, config, "    data_dirs:\n", urls+"    data_dirs:\n")
	return config
}

// edit replaces texts in a configuration; each must be there.
func edit(t testing.TB, config string, pairs ...string) string {
	t.Helper()
	text, err := os.ReadFile(config)
	must(t, err)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) {
			t.Fatalf("no %q in\n%s", pairs[i], text)
		}
	}
	must(t, os.WriteFile(config, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600))
	return config
}
