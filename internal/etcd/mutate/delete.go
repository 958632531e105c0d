// SPDX-License-Identifier: Apache-2.0

package mutate

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/internal/etcd"
)

// Delete removes those of keys whose last change still is the listed one
// (ModRevision), in one transaction: it deletes all or nothing, and tells which keys
// have changed; those are left out, and the rest is asked for again. So a key that
// was written since it was listed stays. There may be as many keys as the member
// takes operations in a transaction (--max-txn-ops, 128 unless it was changed).
//
// deleted[i] says whether keys[i] is gone by this call, and revision is that of the
// last delete, 0 without any. Both are right as well beside an error, but for the
// keys of the one transaction whose answer was lost.
//
// single makes a transaction for each key.
//
// Under the alarm NOSPACE etcd takes transactions that only delete. But 3.4 before
// 3.4.20 and 3.5 before 3.5.7 look at the size of the asked member's own database
// first, and where that is above the quota refuse every transaction (#13429), single
// or not: etcd.ErrNoSpace. They would take a plain delete, which asks for no last
// change and so could remove what was written a moment ago: there is none here. Ask
// a member whose database is below its quota, as after a defragmentation.
func (m *Client) Delete(ctx context.Context, url string, keys []etcd.KeyValue, single bool) (deleted []bool, revision int64, err error) {
	todo := make([]int, len(keys))
	for i, k := range keys {
		if len(k.Key) == 0 || k.ModRevision <= 0 {
			return make([]bool, len(keys)), 0, fmt.Errorf("delete %.100q last changed at %d: a key is deleted by its name and last change only", k.Key, k.ModRevision)
		}
		todo[i] = i
	}
	d := deletion{client: m, url: url, keys: keys, deleted: make([]bool, len(keys))}
	if !single {
		err = d.all(ctx, todo)
	}
	for i := 0; single && i < len(todo) && err == nil; i++ {
		err = d.all(ctx, todo[i:i+1])
	}
	return d.deleted, d.revision, err
}

// deletion is one call of Delete.
type deletion struct {
	client   *Client
	url      string
	keys     []etcd.KeyValue
	deleted  []bool
	revision int64
}

// all deletes the keys with these indexes, but those that have changed.
func (d *deletion) all(ctx context.Context, todo []int) error {
	for len(todo) > 0 {
		r, err := d.transact(ctx, todo)
		if err != nil {
			return err
		}
		if len(r.GetResponses()) != len(todo) {
			return fmt.Errorf("delete: %d answers to %d operations", len(r.GetResponses()), len(todo))
		}
		if r.GetSucceeded() {
			for i, answer := range r.GetResponses() {
				d.deleted[todo[i]] = answer.GetResponseDeleteRange().GetDeleted() > 0
			}
			d.revision = max(d.revision, r.GetHeader().GetRevision())
			return nil
		}
		var same []int
		for i, answer := range r.GetResponses() {
			kvs := answer.GetResponseRange().GetKvs()
			if len(kvs) == 1 && kvs[0].GetModRevision() == d.keys[todo[i]].ModRevision {
				same = append(same, todo[i])
			}
		}
		if len(same) == len(todo) { // it would go on for ever
			return errors.New("delete: the member refuses keys as changed, and shows them unchanged")
		}
		todo = same
	}
	return nil
}

// transact deletes the keys where none has changed, else it shows their last changes.
func (d *deletion) transact(ctx context.Context, todo []int) (*pb.TxnResponse, error) {
	r := &pb.TxnRequest{}
	for _, i := range todo {
		k := d.keys[i]
		r.Compare = append(r.Compare, &pb.Compare{
			Key: k.Key, Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
			TargetUnion: &pb.Compare_ModRevision{ModRevision: k.ModRevision},
		})
		r.Success = append(r.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
			RequestDeleteRange: &pb.DeleteRangeRequest{Key: k.Key},
		}})
		r.Failure = append(r.Failure, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{
			RequestRange: &pb.RangeRequest{Key: k.Key, KeysOnly: true},
		}})
	}
	return short(ctx, d.client, d.url, "Txn", func(ctx context.Context, conn *grpc.ClientConn) (*pb.TxnResponse, error) {
		return pb.NewKVClient(conn).Txn(ctx, r)
	})
}
