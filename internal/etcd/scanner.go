// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// maxScanAnswer bounds one answer of a background question in bytes: a page of
// keys, or a few values. etcd's own bound on a request is 1.5 MiB unless it was
// raised.
const maxScanAnswer = 16 << 20

const (
	// scanTimeout is what a member gets for one short question.
	scanTimeout = 10 * time.Second
	// progressTime is how often a watch asks whether the past was sent. etcd looks
	// into the past every 100 ms.
	progressTime = 100 * time.Millisecond
	// hashTimeout is what it gets to read its whole database (1.9 GB took 7 s).
	hashTimeout = 2 * time.Minute
)

// Span is the keys from From up to To, To left out. An empty To means From alone.
type Span struct{ From, To []byte }

// NoEnd is the To of a span that goes up to the last key.
var NoEnd = []byte{0}

// PrefixSpan is all the keys that begin with prefix, without a prefix all.
func PrefixSpan(prefix string) Span {
	if prefix == "" {
		return Span{NoEnd, NoEnd}
	}
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return Span{[]byte(prefix), end[:i+1]}
		}
	}
	return Span{[]byte(prefix), NoEnd}
}

// RangeQuestion asks for keys of a span as the member itself has them at present
// (serializable). Whatever Limit is, the server walks and counts the whole span,
// and holds its index against writers meanwhile: ask for short ones.
type RangeQuestion struct {
	Span
	Limit     int64 // keys that are returned, the first ones in order; 0: all
	CountOnly bool  // no key is returned
	KeysOnly  bool  // no value is sent (up to 3.6 the server reads them all the same)
}

// KeyValue is one key. Value is empty where only keys were asked for, and for a
// deleted key.
type KeyValue struct {
	Key, Value  []byte
	ModRevision int64
	Created     bool // this change made the key (watch only)
	Deleted     bool // this change deleted it (watch only)
}

// RangeAnswer is what the member has of a span.
type RangeAnswer struct {
	Keys     []KeyValue
	Count    int64 // of all keys in the span, whatever the limit was
	Revision int64
}

// KVHash is one member's answer to Maintenance.HashKV.
type KVHash struct {
	MemberID, ClusterID uint64
	Hash                uint32
	CompactRevision     int64
	HashRevision        int64 // since 3.6; 0: the member does not say
}

// WatchBatch is what came of a watch at one time, in the order of revisions.
type WatchBatch struct {
	Keys     []KeyValue
	Revision int64
	Bytes    int // of the answer on the wire, uncompressed
}

// ScanAPI is what background work asks one endpoint. Scanner is the real one.
type ScanAPI interface {
	Status(ctx context.Context) (Status, error)
	Read(ctx context.Context, r Read) error
	Range(ctx context.Context, q RangeQuestion) (RangeAnswer, error)
	HashKV(ctx context.Context, revision int64) (KVHash, error)
	// Watch hands on what changes in the span, from revision on (0: from now on),
	// until ctx ends, f gives an error, or the watch is refused. Values are always
	// sent. A batch without keys says once that the past was sent. ErrCompacted: the
	// revision is not there any more.
	Watch(ctx context.Context, s Span, revision int64, f func(WatchBatch) error) error
}

var _ ScanAPI = (*Scanner)(nil)

// Scanner asks one endpoint what takes longer than a scrape, over a connection of
// its own: a scrape gives up the connection of an endpoint that hangs, and a scan
// must not be lost with it.
type Scanner struct {
	client *Client
	memory *Memory
}

// scanners are those of a cluster, by URL, made at first use.
type scanners struct {
	mu     sync.Mutex
	all    map[string]*Scanner
	closed bool
}

// Scanner gives the endpoint's connection for background work; nil where the
// endpoint is not known any more. It stays the same as long as the endpoint does.
func (c *Cluster) Scanner(endpoint string) *Scanner {
	client := c.Client(endpoint)
	c.scanners.mu.Lock()
	defer c.scanners.mu.Unlock()
	made := c.scanners.all[endpoint]
	if client == nil || c.scanners.closed {
		return nil
	}
	if made == nil {
		made = &Scanner{client: client.twin(), memory: c.memory}
		c.scanners.all[endpoint] = made
	}
	return made
}

// forget closes the connection to an endpoint that is gone, or is another now.
func (s *scanners) forget(endpoint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if made := s.all[endpoint]; made != nil {
		made.client.Close()
		delete(s.all, endpoint)
	}
}

func (s *scanners) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, one := range s.all {
		one.client.Close()
	}
	clear(s.all)
}

// twin is a client of the same endpoint with a connection of its own and room for
// larger answers.
func (c *Client) twin() *Client {
	return &Client{url: c.url, cfg: c.cfg, dialer: c.dialer, http: c.http, local: c.local, answer: maxScanAnswer, elder: c}
}

// count notes a failed question, and gives up the connection where it hangs.
func (s *Scanner) count(begun time.Time, err error) error {
	s.memory.Count(err)
	if isTimeout(err) {
		s.client.giveUp(begun)
	}
	return err
}

// Status asks Maintenance.Status.
func (s *Scanner) Status(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	begun := time.Now()
	status, err := s.client.Status(ctx)
	return status, s.count(begun, err)
}

// Read counts the probe key.
func (s *Scanner) Read(ctx context.Context, r Read) error {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	begun := time.Now()
	return s.count(begun, s.client.Read(ctx, r))
}

// AlarmList asks Maintenance.Alarm. It costs a raft entry.
func (s *Scanner) AlarmList(ctx context.Context) ([]Alarm, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	begun := time.Now()
	alarms, err := s.client.AlarmList(ctx)
	return alarms, s.count(begun, err)
}

// Range asks KV.Range.
func (s *Scanner) Range(ctx context.Context, q RangeQuestion) (RangeAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	begun := time.Now()
	r, err := call(ctx, s.client, "Range", func(conn *grpc.ClientConn) (*pb.RangeResponse, error) {
		return pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{
			Key: q.From, RangeEnd: q.To, Limit: q.Limit, CountOnly: q.CountOnly, KeysOnly: q.KeysOnly, Serializable: true,
		})
	})
	if err != nil {
		return RangeAnswer{}, s.count(begun, err)
	}
	answer := RangeAnswer{Count: r.GetCount(), Revision: r.GetHeader().GetRevision()}
	for _, kv := range r.GetKvs() {
		answer.Keys = append(answer.Keys, KeyValue{Key: kv.GetKey(), Value: kv.GetValue(), ModRevision: kv.GetModRevision()})
	}
	return answer, nil
}

// HashKV asks Maintenance.HashKV on the connection that is there; the client's own
// would dial a new one each time. With etcd's auth on it needs the root role.
func (s *Scanner) HashKV(ctx context.Context, revision int64) (KVHash, error) {
	ctx, cancel := context.WithTimeout(ctx, hashTimeout)
	defer cancel()
	begun := time.Now()
	r, err := call(ctx, s.client, "HashKV", func(conn *grpc.ClientConn) (*pb.HashKVResponse, error) {
		return pb.NewMaintenanceClient(conn).HashKV(ctx, &pb.HashKVRequest{Revision: revision})
	})
	if err != nil {
		return KVHash{}, s.count(begun, err)
	}
	return KVHash{
		MemberID: r.GetHeader().GetMemberId(), ClusterID: r.GetHeader().GetClusterId(),
		Hash: r.GetHash(), CompactRevision: r.GetCompactRevision(), HashRevision: r.GetHashRevision(),
	}, nil
}

// Watch asks Watch.Watch.
func (s *Scanner) Watch(ctx context.Context, span Span, revision int64, f func(WatchBatch) error) error {
	begun, asked := time.Now(), ctx
	ctx, cancel := context.WithCancel(ctx) // ends the stream, however f ends
	defer cancel()
	stream, err := call(ctx, s.client, "Watch", func(conn *grpc.ClientConn) (pb.Watch_WatchClient, error) {
		return openWatch(ctx, conn, span, revision)
	})
	if err != nil {
		return s.count(begun, err)
	}
	asking, answered := context.WithCancel(ctx)
	defer answered()
	if revision > 0 {
		go askProgress(asking, stream)
	}
	for {
		r, err := stream.Recv()
		switch {
		case asked.Err() != nil: // that is how a watch is meant to end
			return wrap("Watch", asked.Err())
		case err != nil:
			return s.count(begun, wrap("Watch", err))
		}
		if r.GetCanceled() {
			return s.count(begun, wrap("Watch", refusal(r)))
		}
		batch := WatchBatch{Revision: r.GetHeader().GetRevision(), Bytes: proto.Size(r)}
		for _, e := range r.GetEvents() {
			batch.Keys = append(batch.Keys, KeyValue{
				Key: e.GetKv().GetKey(), Value: e.GetKv().GetValue(), ModRevision: e.GetKv().GetModRevision(),
				Deleted: e.GetType() == mvccpb.Event_DELETE, Created: e.GetType() == mvccpb.Event_PUT && e.GetKv().GetVersion() == 1,
			})
		}
		if len(batch.Keys) == 0 {
			if asking.Err() != nil || revision == 0 {
				continue
			}
			answered()
		}
		if err := f(batch); err != nil {
			return err
		}
	}
}

// openWatch begins the stream and waits until the server has taken the watch, so
// that a stale token is seen while call can still renew it.
func openWatch(ctx context.Context, conn *grpc.ClientConn, span Span, revision int64) (pb.Watch_WatchClient, error) {
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return nil, err
	}
	create := &pb.WatchCreateRequest{Key: span.From, RangeEnd: span.To, StartRevision: revision, Fragment: true}
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})
	if err != nil && !errors.Is(err, io.EOF) { // after an EOF it is Recv that has the reason, or the refusal
		return nil, err
	}
	r, err := stream.Recv()
	switch {
	case err != nil:
		return nil, err
	case r.GetCanceled():
		return nil, refusal(r)
	case !r.GetCreated():
		return nil, errors.New("the server answers without taking the watch")
	}
	return stream, nil
}

// askProgress asks until ctx ends how far the watch is. The server says so once it has
// sent the past, and ignores the question until then; before 3.4.25 and 3.5.8 it says
// so at once.
func askProgress(ctx context.Context, stream pb.Watch_WatchClient) {
	again := time.NewTicker(progressTime)
	defer again.Stop()
	question := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
	for ctx.Err() == nil && stream.Send(question) == nil {
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
}

// refusal gives the reason for a watch's end its type back: it comes as text.
func refusal(r *pb.WatchResponse) error {
	if r.GetCompactRevision() > 0 {
		return rpctypes.ErrGRPCCompacted
	}
	reason := r.GetCancelReason()
	for _, known := range []error{rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrGRPCAuthOldRevision, rpctypes.ErrGRPCUserEmpty} {
		if strings.Contains(reason, status.Convert(known).Message()) {
			return known
		}
	}
	return fmt.Errorf("the server ends the watch: %.200q", reason)
}
