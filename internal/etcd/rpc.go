// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

var _ API = (*Client)(nil)

// call asks one question. It asks a second time where the connection broke
// under the first (a member that was restarted between two scrapes) or where
// the token is no longer valid.
func call[T any](ctx context.Context, c *Client, method string, f func(*grpc.ClientConn) (T, error)) (T, error) {
	var zero T
	for try := 1; ; try++ {
		conn, err := c.connect(ctx)
		if err != nil {
			return zero, wrap(method, err)
		}
		token := conn.token.get()
		answer, err := f(conn.client.ActiveConnection())
		switch {
		case err == nil:
			return answer, nil
		case try > 1 || ctx.Err() != nil:
			return zero, wrap(method, err)
		case lostConnection(err):
			c.drop(conn)
		case isStaleToken(err) && c.cfg.Username != "":
			if err := c.authenticate(ctx, conn, token); err != nil {
				return zero, err
			}
		default:
			return zero, wrap(method, err)
		}
	}
}

func isStaleToken(err error) bool {
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrInvalidAuthToken) || errors.Is(err, rpctypes.ErrAuthOldRevision) ||
		errors.Is(err, rpctypes.ErrUserEmpty) // auth was enabled after we connected
}

// Status asks Maintenance.Status, on the connection that is there: the client's
// own Status would dial a new one each time.
func (c *Client) Status(ctx context.Context) (Status, error) {
	r, err := call(ctx, c, "Status", func(conn *grpc.ClientConn) (*pb.StatusResponse, error) {
		return pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
	})
	if err != nil {
		return Status{}, err
	}
	return Status{
		ClusterID: r.GetHeader().GetClusterId(), MemberID: r.GetHeader().GetMemberId(),
		Version: r.GetVersion(), StorageVersion: r.GetStorageVersion(),
		DBSize: r.GetDbSize(), DBInUse: r.GetDbSizeInUse(), DBQuota: r.GetDbSizeQuota(),
		Leader: r.GetLeader(), RaftTerm: r.GetRaftTerm(),
		RaftIndex: r.GetRaftIndex(), RaftAppliedIndex: r.GetRaftAppliedIndex(),
		Revision: r.GetHeader().GetRevision(), Learner: r.GetIsLearner(), Errors: r.GetErrors(),
	}, nil
}

// MemberList asks Cluster.MemberList of the member itself (serializable): its
// own view is what is wanted, and it answers without a leader.
func (c *Client) MemberList(ctx context.Context) (MemberList, error) {
	r, err := call(ctx, c, "MemberList", func(conn *grpc.ClientConn) (*pb.MemberListResponse, error) {
		return pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: false})
	})
	if err != nil {
		return MemberList{}, err
	}
	list := MemberList{ClusterID: r.GetHeader().GetClusterId()}
	for _, m := range r.GetMembers() {
		list.Members = append(list.Members, Member{
			ID: m.GetID(), Name: m.GetName(), PeerURLs: m.GetPeerURLs(),
			ClientURLs: m.GetClientURLs(), Learner: m.GetIsLearner(),
		})
	}
	return list, nil
}

// Read counts the probe key (KV.Range, count only: no value is read or sent).
func (c *Client) Read(ctx context.Context, r Read) error {
	_, err := call(ctx, c, "Range", func(conn *grpc.ClientConn) (*pb.RangeResponse, error) {
		return pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{
			Key: []byte(c.cfg.ProbeKey), CountOnly: true, Serializable: !r.Linearizable, Revision: r.Revision,
		})
	})
	return err
}

// AlarmList asks Maintenance.Alarm. It costs a raft entry.
func (c *Client) AlarmList(ctx context.Context) ([]Alarm, error) {
	r, err := call(ctx, c, "Alarm", func(conn *grpc.ClientConn) (*pb.AlarmResponse, error) {
		return pb.NewMaintenanceClient(conn).Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_GET})
	})
	if err != nil {
		return nil, err
	}
	var alarms []Alarm
	for _, a := range r.GetAlarms() {
		if a.GetAlarm() == pb.AlarmType_NONE {
			continue
		}
		alarms = append(alarms, Alarm{MemberID: a.GetMemberID(), Type: a.GetAlarm().String()})
	}
	return alarms, nil
}

// ServerCertificates gives the chain the endpoint presents, at most ten minutes old.
func (c *Client) ServerCertificates(ctx context.Context) ([]*x509.Certificate, error) {
	chain, err := c.dialer.certificates(ctx)
	if err != nil {
		return nil, fmt.Errorf("read certificate of %s: %w", c.url, err)
	}
	return chain, nil
}
