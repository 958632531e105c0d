// SPDX-License-Identifier: Apache-2.0

package mutate

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/internal/etcd"
)

// store is an etcd server that knows transactions of the kind that Delete makes.
type store struct {
	pb.UnimplementedKVServer
	t        *testing.T
	keys     map[string]int64 // last change
	revision int64
	txns     int
	answer   func(*pb.TxnRequest) (*pb.TxnResponse, error) // instead of the usual one
}

func (s *store) Txn(_ context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	s.txns++
	if len(r.GetCompare()) == 0 || len(r.GetCompare()) != len(r.GetSuccess()) {
		s.t.Errorf("%d operations behind %d comparisons", len(r.GetSuccess()), len(r.GetCompare()))
	}
	for i, op := range r.GetSuccess() {
		d, c := op.GetRequestDeleteRange(), r.GetCompare()[i]
		if d == nil || len(d.GetRangeEnd()) > 0 || string(d.GetKey()) != string(c.GetKey()) ||
			c.GetTarget() != pb.Compare_MOD || c.GetResult() != pb.Compare_EQUAL || c.GetModRevision() <= 0 {
			s.t.Errorf("operation %d, %v, is not a guarded delete of one key", i, op)
		}
	}
	if s.answer != nil {
		return s.answer(r)
	}
	out := &pb.TxnResponse{Succeeded: true}
	for _, c := range r.GetCompare() {
		out.Succeeded = out.Succeeded && s.keys[string(c.GetKey())] == c.GetModRevision()
	}
	if out.Succeeded {
		s.revision++
	}
	out.Header = &pb.ResponseHeader{Revision: s.revision}
	for _, c := range r.GetCompare() {
		key := string(c.GetKey())
		if out.Succeeded {
			delete(s.keys, key)
			out.Responses = append(out.Responses, &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{
				ResponseDeleteRange: &pb.DeleteRangeResponse{Deleted: 1},
			}})
			continue
		}
		found := &pb.RangeResponse{}
		if at := s.keys[key]; at > 0 {
			found.Kvs = []*mvccpb.KeyValue{{Key: c.GetKey(), ModRevision: at}}
		}
		out.Responses = append(out.Responses, &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: found}})
	}
	return out, nil
}

func startStore(t *testing.T) (*store, *Client, string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &store{t: t, keys: map[string]int64{"a": 11, "b": 12, "c": 13, "d": 14}, revision: 20}
	server := grpc.NewServer()
	pb.RegisterKVServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	url := "http://" + listener.Addr().String()
	c, err := etcd.NewCluster(etcd.Config{Name: "fake", Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, New(c), url
}

func listing() []etcd.KeyValue {
	return []etcd.KeyValue{
		{Key: []byte("a"), ModRevision: 11},
		{Key: []byte("b"), ModRevision: 10}, // has changed
		{Key: []byte("c"), ModRevision: 13},
		{Key: []byte("x"), ModRevision: 9}, // has gone
	}
}

func TestDelete(t *testing.T) {
	for _, k := range []struct {
		single bool
		txns   int
		at     int64
	}{{false, 2, 21}, {true, 4, 22}} {
		s, m, url := startStore(t)
		deleted, revision, err := m.Delete(t.Context(), url, listing(), k.single)
		if err != nil || !slices.Equal(deleted, []bool{true, false, true, false}) || revision != k.at || s.txns != k.txns {
			t.Errorf("single %v: deleted %v at %d by %d transactions, error %v", k.single, deleted, revision, s.txns, err)
		}
		if len(s.keys) != 2 || s.keys["b"] != 12 || s.keys["d"] != 14 {
			t.Errorf("single %v: what stays is %v", k.single, s.keys)
		}
	}
}

// What a member answers besides neither ends in a loop nor counts as a delete.
func TestDeleteOfALiar(t *testing.T) {
	same := func(r *pb.TxnRequest) (*pb.TxnResponse, error) {
		out := &pb.TxnResponse{}
		for _, c := range r.GetCompare() {
			out.Responses = append(out.Responses, &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{
				Kvs: []*mvccpb.KeyValue{{Key: c.GetKey(), ModRevision: c.GetModRevision()}},
			}}})
		}
		return out, nil
	}
	for name, answer := range map[string]func(*pb.TxnRequest) (*pb.TxnResponse, error){
		"refuses the unchanged": same,
		"says too little":       func(*pb.TxnRequest) (*pb.TxnResponse, error) { return &pb.TxnResponse{Succeeded: true}, nil },
		"is full":               func(*pb.TxnRequest) (*pb.TxnResponse, error) { return nil, rpctypes.ErrGRPCNoSpace },
	} {
		s, m, url := startStore(t)
		s.answer = answer
		deleted, revision, err := m.Delete(t.Context(), url, listing(), false)
		if err == nil || slices.Contains(deleted, true) || len(deleted) != 4 || revision != 0 || s.txns != 1 {
			t.Errorf("%s: deleted %v at %d by %d transactions, error %v", name, deleted, revision, s.txns, err)
		}
		if errors.Is(err, etcd.ErrNoSpace) != (name == "is full") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	// What went before an error is told.
	s, m, url := startStore(t)
	usual := &store{t: t, keys: s.keys, revision: s.revision}
	s.answer = func(r *pb.TxnRequest) (*pb.TxnResponse, error) {
		if string(r.GetCompare()[0].GetKey()) == "c" {
			return nil, rpctypes.ErrGRPCTimeout
		}
		return usual.Txn(t.Context(), r)
	}
	deleted, revision, err := m.Delete(t.Context(), url, listing(), true)
	if err == nil || !slices.Equal(deleted, []bool{true, false, false, false}) || revision != 21 {
		t.Errorf("deleted %v at %d, error %v", deleted, revision, err)
	}
}
