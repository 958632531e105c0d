// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

var _ API = (*Client)(nil)

const (
	// maxTries is how often one question is put at most.
	maxTries = 3
	// maxRows bounds the members of a list, each of their URLs counted as well:
	// what comes beyond is no member list, and each row becomes a series.
	maxRows = 1024
)

// call asks one question. It asks again where the connection broke or was dropped
// under the first (a member that was restarted between two scrapes, a rotated
// certificate) or where the token is no longer valid.
func call[T any](ctx context.Context, c *Client, method string, f func(*grpc.ClientConn) (T, error)) (T, error) {
	var zero T
	for try := 1; ; try++ {
		conn, err := c.connect(ctx)
		if err != nil {
			return zero, wrap(method, err)
		}
		token := conn.token.get()
		answer, err := f(conn.client.ActiveConnection())
		if err == nil {
			now := time.Now()
			conn.heard.Store(&now)
			return answer, nil
		}
		switch {
		case try == maxTries || ctx.Err() != nil:
			return zero, wrap(method, cause(ctx, err))
		case lostConnection(err):
			c.drop(conn)
		case isStaleToken(err) && c.cfg.Username != "":
			err := c.authenticate(ctx, conn, token)
			switch {
			case err == nil:
			case Classify(err) == ReasonAuth:
				c.drop(conn) // the next question has to authenticate first, and fails by that
				return zero, err
			case codeIs(err, codes.Canceled) && ctx.Err() == nil: // another question has dropped it
			default:
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
	list, rows := MemberList{ClusterID: r.GetHeader().GetClusterId()}, 0
	for _, m := range r.GetMembers() {
		if rows += 1 + len(m.GetPeerURLs()) + len(m.GetClientURLs()); rows > maxRows {
			return MemberList{}, wrap("MemberList", errTooLong)
		}
		list.Members = append(list.Members, Member{
			ID: m.GetID(), Name: m.GetName(), PeerURLs: withoutUser(m.GetPeerURLs()),
			ClientURLs: withoutUser(m.GetClientURLs()), Learner: m.GetIsLearner(),
		})
	}
	return list, nil
}

// withoutUser takes the user and password out of advertised URLs, which become
// labels and log lines. That there was one stays to be seen: discovery refuses it.
func withoutUser(advertised []string) []string {
	urls := make([]string, len(advertised))
	for i, raw := range advertised {
		urls[i] = raw
		if at := strings.LastIndex(raw, "@"); at >= 0 {
			scheme, _, ok := strings.Cut(raw[:at], "://")
			if !ok {
				scheme = ""
			}
			urls[i] = scheme + "://xxxxx" + raw[at:]
		}
	}
	return urls
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

// share gives a context that ends when one n-th of the time that ctx has left is
// over.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
}
