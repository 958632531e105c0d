// SPDX-License-Identifier: Apache-2.0

package mutate

import (
	"context"
	"errors"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/internal/etcd"
)

// maxReplicas bounds the keys of an election that are looked at.
const maxReplicas = 100

// holder is the replica whose key is the oldest.
type holder struct{ key, name string }

func (e *Election) grant(ctx context.Context) (lease int64, err error) {
	r, err := anywhere(ctx, e.client, e.url, func(ctx context.Context, url string) (*pb.LeaseGrantResponse, error) {
		e.url = url
		return e.client.grant(ctx, url, int64(e.ttl/time.Second))
	})
	return r.GetID(), err
}

func (e *Election) revoke(ctx context.Context) error {
	_, err := anywhere(ctx, e.client, e.url, func(ctx context.Context, url string) (struct{}, error) {
		return struct{}{}, e.client.revoke(ctx, url, e.lease)
	})
	return err
}

// keepAlive renews the lease, which writes no raft entry. It gives the seconds that
// the lease is good for, 0 where there is none any more.
func (e *Election) keepAlive(ctx context.Context) (seconds int64, err error) {
	r, err := anywhere(ctx, e.client, e.url, func(ctx context.Context, url string) (*pb.LeaseKeepAliveResponse, error) {
		e.url = url
		return short(ctx, e.client, url, "LeaseKeepAlive", func(ctx context.Context, conn *grpc.ClientConn) (*pb.LeaseKeepAliveResponse, error) {
			stream, err := pb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
			if err != nil {
				return nil, err
			}
			err = stream.Send(&pb.LeaseKeepAliveRequest{ID: e.lease})
			if err != nil && !errors.Is(err, io.EOF) { // after an EOF it is Recv that has the reason
				return nil, err
			}
			return stream.Recv()
		})
	})
	return r.GetTTL(), err
}

// enter writes our key, unless it is there.
func (e *Election) enter(ctx context.Context) error {
	key := []byte(e.key())
	_, err := anywhere(ctx, e.client, e.url, func(ctx context.Context, url string) (*pb.TxnResponse, error) {
		return short(ctx, e.client, url, "Txn", func(ctx context.Context, conn *grpc.ClientConn) (*pb.TxnResponse, error) {
			return pb.NewKVClient(conn).Txn(ctx, &pb.TxnRequest{
				Compare: []*pb.Compare{{
					Key: key, Target: pb.Compare_CREATE, Result: pb.Compare_EQUAL,
					TargetUnion: &pb.Compare_CreateRevision{CreateRevision: 0},
				}},
				Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{
					RequestPut: &pb.PutRequest{Key: key, Value: []byte(e.name), Lease: e.lease},
				}}},
			})
		})
	})
	return err
}

// look reads the keys of all replicas (linearizable), and says who holds and whether
// our key is among them.
func (e *Election) look(ctx context.Context) (held holder, mine bool, err error) {
	span := etcd.PrefixSpan(e.prefix)
	r, err := anywhere(ctx, e.client, e.url, func(ctx context.Context, url string) (*pb.RangeResponse, error) {
		e.url = url
		return short(ctx, e.client, url, "Range", func(ctx context.Context, conn *grpc.ClientConn) (*pb.RangeResponse, error) {
			return pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{
				Key: span.From, RangeEnd: span.To, Limit: maxReplicas,
				SortTarget: pb.RangeRequest_CREATE, SortOrder: pb.RangeRequest_ASCEND,
			})
		})
	})
	if err != nil {
		return holder{}, false, err
	}
	for i, kv := range r.GetKvs() {
		if i == 0 {
			held = holder{string(kv.GetKey()), string(kv.GetValue())}
		}
		mine = mine || string(kv.GetKey()) == e.key()
	}
	return held, mine, nil
}
