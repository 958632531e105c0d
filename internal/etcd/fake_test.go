// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// fake is an etcd server that answers what it is told to.
type fake struct {
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer
	pb.UnimplementedKVServer
	pb.UnimplementedAuthServer
	pb.UnimplementedWatchServer

	address string
	conns   counting

	mu       sync.Mutex
	server   *grpc.Server
	password string // empty: no authentication
	token    string // the one that is valid
	calls    map[string]int
	answer   func(ctx context.Context, method string) error // called first; nil error: the usual answer
	members  []*pb.Member
	watch    func(pb.Watch_WatchServer) error // what happens on a watch stream
	count    int                              // of tokens issued
	known    bool                             // the client's certificate names a user: a token is not needed
}

// counting counts the connections a server has accepted.
type counting struct{ n atomic.Int32 }

type countingListener struct {
	net.Listener
	conns *counting
}

func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.conns.n.Add(1)
	}
	return conn, err
}

func startFake(t *testing.T, conf *tls.Config) *fake {
	t.Helper()
	f := &fake{calls: map[string]int{}, address: "127.0.0.1:0"}
	f.start(t, conf)
	t.Cleanup(f.stop)
	return f
}

// start listens on the address it had before, if any.
func (f *fake) start(t *testing.T, conf *tls.Config) {
	t.Helper()
	listener := listen(t, f.address)
	f.address = listener.Addr().String()
	options := []grpc.ServerOption{grpc.UnaryInterceptor(f.intercept)}
	if conf != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(conf)))
	}
	server := grpc.NewServer(options...)
	pb.RegisterMaintenanceServer(server, f)
	pb.RegisterClusterServer(server, f)
	pb.RegisterKVServer(server, f)
	pb.RegisterAuthServer(server, f)
	pb.RegisterWatchServer(server, f)
	f.mu.Lock()
	f.server = server
	f.mu.Unlock()
	go func() { _ = server.Serve(countingListener{listener, &f.conns}) }()
}

func (f *fake) stop() {
	f.mu.Lock()
	server := f.server
	f.mu.Unlock()
	server.Stop()
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) called(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

func (f *fake) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	method := info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:]
	given := metadata.ValueFromIncomingContext(ctx, rpctypes.TokenFieldNameGRPC)
	f.mu.Lock()
	f.calls[method]++
	answer, token, secured, known := f.answer, f.token, f.password != "", f.known
	f.mu.Unlock()
	if secured && method != "Authenticate" && method != "Status" { // as real ones: anybody may ask Status
		switch {
		case len(given) == 0 && known:
		case len(given) == 0:
			return nil, rpctypes.ErrGRPCUserEmpty
		case given[0] != token:
			return nil, rpctypes.ErrGRPCInvalidAuthToken
		}
	}
	if answer != nil {
		if err := answer(ctx, method); err != nil {
			return nil, err
		}
	}
	return handler(ctx, req)
}

func (f *fake) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{Header: f.header(), Version: "3.6.16", Leader: 1}, nil
}

func (f *fake) Alarm(context.Context, *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	return &pb.AlarmResponse{Alarms: []*pb.AlarmMember{{MemberID: 1, Alarm: pb.AlarmType_NOSPACE}, {MemberID: 1}}}, nil
}

func (f *fake) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &pb.MemberListResponse{Header: f.header(), Members: f.members}, nil
}

func (f *fake) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{Header: f.header()}, nil
}

func (f *fake) Authenticate(_ context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.password == "":
		return nil, rpctypes.ErrGRPCAuthNotEnabled
	case r.GetPassword() != f.password:
		return nil, rpctypes.ErrGRPCAuthFailed
	}
	f.count++
	f.token = "token." + strings.Repeat("I", f.count)
	return &pb.AuthenticateResponse{Token: f.token}, nil
}

func (f *fake) Watch(stream pb.Watch_WatchServer) error {
	f.mu.Lock()
	watch := f.watch
	f.mu.Unlock()
	return watch(stream)
}

func (*fake) header() *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: 7, MemberId: 1, Revision: 42}
}

// hang is an answer that never comes.
func hang(methods ...string) func(context.Context, string) error {
	return func(ctx context.Context, method string) error {
		if !slices.Contains(methods, method) {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

// clusterAt makes a Cluster of the endpoints, closed when the test ends.
func clusterAt(t *testing.T, cfg Config, endpoints ...string) *Cluster {
	t.Helper()
	cfg.Endpoints = endpoints
	c := must(NewCluster(cfg))(t)
	t.Cleanup(c.Close)
	return c
}

// scrape asks every endpoint's Status in one round and gives the first's outcome.
func scrape(t *testing.T, c *Cluster, timeout time.Duration) (Reason, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	view := c.View(ctx)
	defer view.Close()
	reasons := Each(view.Endpoints(), func(e Endpoint) error {
		_, err := view.Status(ctx, e)
		return err
	})
	if reasons[0] == nil {
		return "", nil
	}
	return view.Failure(view.Endpoints()[0], reasons[0]), reasons[0]
}

func member(id uint64, name string, urls ...string) *pb.Member {
	return &pb.Member{ID: id, Name: name, PeerURLs: []string{"http://127.0.0.1:2380"}, ClientURLs: urls}
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	return must(new(net.ListenConfig).Listen(t.Context(), "tcp", address))(t)
}
