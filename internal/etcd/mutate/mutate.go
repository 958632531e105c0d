// SPDX-License-Identifier: Apache-2.0

// Package mutate holds every request of ours that changes etcd. Only remediate
// imports it, and `go list -deps ./cmd/etcd_exporter` shows that the exporter does
// not.
//
// What it does not offer cannot be done by mistake: a member is always named, never
// "all"; the alarm CORRUPT is never taken off; a key is deleted only while its last
// change is the one that the caller saw, and never a range of keys; a compaction is
// never made to wait for its work on disk; keys are written below the prefix of the
// remediator's election alone.
//
// No request is put a second time by itself: where its answer was lost nobody knows
// what became of it, and the caller has to look.
package mutate

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/etcd/internal/grant"
)

const (
	// shortTime is what a member gets for a request that takes no time of its own.
	shortTime = 10 * time.Second
	// tryTTL is how long the lease of TryWrite lives where it cannot be revoked.
	tryTTL = 10 // seconds
)

// Client changes one cluster. Each method names the endpoint that is asked. Errors
// are internal/etcd's: *etcd.Error with its sentinels.
type Client struct {
	cluster *etcd.Cluster
}

// New gives the means to change a cluster. Its connections are the cluster's.
func New(cluster *etcd.Cluster) *Client { return &Client{cluster: cluster} }

// ask puts one request, and gives its answer.
func ask[T any](ctx context.Context, m *Client, url, method string, f func(*grpc.ClientConn) (T, error)) (T, error) {
	var answer T
	err := m.cluster.Do(ctx, grant.New(), url, method, func(conn *grpc.ClientConn) (err error) {
		answer, err = f(conn)
		return err
	})
	return answer, err
}

// short is ask for a request that takes no time of its own.
func short[T any](ctx context.Context, m *Client, url, method string, f func(context.Context, *grpc.ClientConn) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, shortTime)
	defer cancel()
	return ask(ctx, m, url, method, func(conn *grpc.ClientConn) (T, error) { return f(ctx, conn) })
}

// Defragment rewrites the member's database without its free pages. The member
// answers next to nothing meanwhile. ctx alone bounds the wait, and its end does not
// end the member's work.
func (m *Client) Defragment(ctx context.Context, url string) error {
	_, err := ask(ctx, m, url, "Defragment", func(conn *grpc.ClientConn) (*pb.DefragmentResponse, error) {
		return pb.NewMaintenanceClient(conn).Defragment(ctx, &pb.DefragmentRequest{})
	})
	return err
}

// MoveLeader has the leader, which must be the member at url, hand over to target.
// It returns when target leads. etcd.ErrNotLeader: the member does not lead.
func (m *Client) MoveLeader(ctx context.Context, url string, target uint64) error {
	if target == 0 {
		return errors.New("move leader: no target is named")
	}
	_, err := short(ctx, m, url, "MoveLeader", func(ctx context.Context, conn *grpc.ClientConn) (*pb.MoveLeaderResponse, error) {
		return pb.NewMaintenanceClient(conn).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: target})
	})
	return err
}

// Compact gives up the history before revision, in the whole cluster. It returns when
// that is decided; the members work on for a while. etcd.ErrCompacted: that was done
// before, up to there or further.
func (m *Client) Compact(ctx context.Context, url string, revision int64) error {
	if revision <= 0 {
		return fmt.Errorf("compact to %d: there is no such revision", revision)
	}
	_, err := short(ctx, m, url, "Compact", func(ctx context.Context, conn *grpc.ClientConn) (*pb.CompactionResponse, error) {
		return pb.NewKVClient(conn).Compact(ctx, &pb.CompactionRequest{Revision: revision})
	})
	return err
}

// Disarm takes the alarm NOSPACE off one member.
func (m *Client) Disarm(ctx context.Context, url string, member uint64) error {
	if member == 0 {
		return errors.New("disarm: no member is named")
	}
	_, err := short(ctx, m, url, "Alarm", func(ctx context.Context, conn *grpc.ClientConn) (*pb.AlarmResponse, error) {
		return pb.NewMaintenanceClient(conn).Alarm(ctx, &pb.AlarmRequest{
			Action: pb.AlarmRequest_DEACTIVATE, MemberID: member, Alarm: pb.AlarmType_NOSPACE,
		})
	})
	return err
}

// TryWrite shows that the cluster takes writes: it grants a lease, which needs space
// as a key does, and revokes it at once. etcd.ErrNoSpace: it takes none. A lease that
// cannot be revoked runs out after ten seconds.
func (m *Client) TryWrite(ctx context.Context, url string) error {
	granted, err := m.grant(ctx, url, tryTTL)
	if err != nil {
		return err
	}
	return m.revoke(ctx, url, granted.GetID())
}

func (m *Client) grant(ctx context.Context, url string, ttl int64) (*pb.LeaseGrantResponse, error) {
	return short(ctx, m, url, "LeaseGrant", func(ctx context.Context, conn *grpc.ClientConn) (*pb.LeaseGrantResponse, error) {
		return pb.NewLeaseClient(conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: ttl})
	})
}

// revoke ends a lease, and with it the keys that hang on it. That needs no space.
func (m *Client) revoke(ctx context.Context, url string, lease int64) error {
	_, err := short(ctx, m, url, "LeaseRevoke", func(ctx context.Context, conn *grpc.ClientConn) (*pb.LeaseRevokeResponse, error) {
		return pb.NewLeaseClient(conn).LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: lease})
	})
	return err
}
