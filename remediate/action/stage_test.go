// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

const mib = 1 << 20

// stage is a cluster in memory, with its history and ledger. It notes every call that
// changes something.
type stage struct {
	mu        sync.Mutex
	members   []remediate.Member
	leader    uint64
	revision  int64
	compacted int64
	alarms    []etcd.Alarm
	calls     []string

	fail  map[string]error                             // by the first word of a call
	on    map[string]func()                            // likewise; called before
	edit  func(o *remediate.Observation)               // what is seen other than it is
	delay time.Duration                                // of a defragmentation
	write func(ctx context.Context, w io.Writer) error // a snapshot

	old       int64 // revision at keep ago; 0: none is known
	first     time.Time
	snapshots []string
}

// newStage has so many voters m1, m2, ... of 100 MiB, all in use; m1 leads.
func newStage(voters int) *stage {
	s := &stage{leader: 1, revision: 1000, fail: map[string]error{}, on: map[string]func(){}}
	for i := range voters {
		s.add(uint64(i+1), false)
	}
	return s
}

func (s *stage) add(id uint64, learner bool) *remediate.Member {
	s.members = append(s.members, remediate.Member{
		Member: etcd.Member{ID: id, Name: fmt.Sprintf("m%d", id), Learner: learner},
		URL:    fmt.Sprintf("http://m%d", id), ReadTook: time.Duration(id) * time.Millisecond,
		Status: etcd.Status{MemberID: id, DBSize: 100 * mib, DBInUse: 100 * mib}, Quota: 1000 * mib,
	})
	return &s.members[len(s.members)-1]
}

// member gives member m<id>, to be changed before the run.
func (s *stage) member(id uint64) *remediate.Member {
	i := slices.IndexFunc(s.members, func(m remediate.Member) bool { return m.ID == id })
	return &s.members[i]
}

func (s *stage) at(url string) *remediate.Member {
	i := slices.IndexFunc(s.members, func(m remediate.Member) bool { return m.URL == url })
	return &s.members[i]
}

// call notes a call, and says whether it fails.
func (s *stage) call(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	name, _, _ := strings.Cut(text, " ")
	if on := s.on[name]; on != nil {
		on()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, text)
	return s.fail[name]
}

func (s *stage) Observe(context.Context, bool) *remediate.Observation {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &remediate.Observation{At: time.Now(), Members: slices.Clone(s.members), Alarms: slices.Clone(s.alarms)}
	for i := range o.Members {
		m := &o.Members[i]
		m.Status.Leader, m.Status.Revision = s.leader, s.revision
	}
	if s.edit != nil {
		s.edit(o)
	}
	return o
}

func (s *stage) Compacted(context.Context, string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.compacted, s.fail["compacted"]
}

func (s *stage) Scan(url string) etcd.ScanAPI { return &stageScan{stage: s, url: url} }

// stageScan answers Status alone.
type stageScan struct {
	etcd.ScanAPI
	stage *stage
	url   string
}

func (s *stageScan) Status(context.Context) (etcd.Status, error) {
	s.stage.mu.Lock()
	defer s.stage.mu.Unlock()
	return s.stage.at(s.url).Status, nil
}

func (s *stage) Defragment(ctx context.Context, url string) error {
	if err := s.call("defragment %s", url); err != nil {
		return err
	}
	if !rest(ctx, s.delay) && s.delay > 0 {
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.at(url)
	m.Status.DBSize = m.Status.DBInUse
	return nil
}

func (s *stage) MoveLeader(_ context.Context, url string, target uint64) error {
	if err := s.call("move_leader %s m%d", url, target); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = target
	return nil
}

func (s *stage) Compact(_ context.Context, url string, revision int64) error {
	if err := s.call("compact %s %d", url, revision); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compacted = revision
	return nil
}

func (s *stage) Delete(context.Context, string, []etcd.KeyValue, bool) ([]bool, int64, error) {
	return nil, 0, errors.New("nobody deletes here")
}

func (s *stage) Disarm(_ context.Context, url string, member uint64) error {
	if err := s.call("disarm %s m%d", url, member); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarms = slices.DeleteFunc(s.alarms, func(a etcd.Alarm) bool { return a.MemberID == member && a.Type == etcd.AlarmNoSpace })
	return nil
}

func (s *stage) TryWrite(context.Context, string) error { return s.call("try_write") }

func (s *stage) Snapshot(ctx context.Context, url string, w io.Writer) error {
	if err := s.call("snapshot %s", url); err != nil {
		return err
	}
	return s.write(ctx, w)
}

func (s *stage) Stable() (time.Time, string)        { return time.Time{}, "" }
func (s *stage) Moved(to uint64)                    { _ = s.call("moved m%d", to) }
func (s *stage) Excuse(uint64) func()               { return func() {} }
func (s *stage) RevisionAt(time.Time) (int64, bool) { return s.old, s.old > 0 }
func (s *stage) FirstSample() (time.Time, int64, bool) {
	return s.first, 1, !s.first.IsZero()
}

func (s *stage) Spent(string, string) []time.Time      { return nil }
func (s *stage) LastSpent(string, string) time.Time    { return time.Time{} }
func (s *stage) Complete() (bool, time.Time)           { return true, time.Time{} }
func (s *stage) Breaker(string, string) (bool, string) { return false, "" }
func (s *stage) Unfinished(string, string) bool        { return false }
func (s *stage) Paused() (time.Time, string)           { return time.Time{}, "" }
func (s *stage) Fit() error                            { return nil }
func (s *stage) LastDelete(string) (int64, time.Time)  { return 0, time.Time{} }
func (s *stage) Snapshots(string, string) []string     { return s.snapshots }

// PutRun and PutStep make it a journal that keeps nothing.
func (s *stage) PutRun(context.Context, *remediate.Run) error                { return nil }
func (s *stage) PutStep(context.Context, string, int, *remediate.Step) error { return nil }

// cluster is a run about to begin.
func (s *stage) cluster(p remediate.Policy) *remediate.Cluster {
	return &remediate.Cluster{
		Name: "prod", Policy: p, Live: s, History: s, Ledger: s, Acting: true, Now: time.Now,
		Run:      &remediate.Run{ID: "1", Cluster: "prod"},
		Progress: func(*remediate.Step, int64, int64) {},
		Log:      slog.New(slog.DiscardHandler),
	}
}

// run carries an action out with the real runner, without guards.
func (s *stage) run(ctx context.Context, t *testing.T, c *remediate.Cluster, a remediate.Action) *remediate.Run {
	t.Helper()
	r := &remediate.Runner{Journal: s, Log: slog.New(slog.DiscardHandler)}
	if err := r.Execute(ctx, c, a); err != nil {
		t.Fatal(err)
	}
	return c.Run
}

func wantOutcome(t *testing.T, run *remediate.Run, want remediate.Outcome, reason string) {
	t.Helper()
	if run.Outcome != want || !strings.Contains(run.Reason, reason) {
		t.Errorf("outcome %s: %s\nwant %s: %s", run.Outcome, run.Reason, want, reason)
	}
}

func wantCalls(t *testing.T, s *stage, want ...string) {
	t.Helper()
	if !slices.Equal(s.calls, want) {
		t.Errorf("calls:\n%s\nwant:\n%s", strings.Join(s.calls, "\n"), strings.Join(want, "\n"))
	}
}
