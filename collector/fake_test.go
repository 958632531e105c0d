// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// The questions that a fake can be told to fail, to answer slowly or to never
// answer, and that it counts.
const (
	qStatus       = "Status"
	qMemberList   = "MemberList"
	qLinearizable = "linearizable read"
	qSerializable = "serializable read"
	qReadAt       = "read at a revision"
	qAlarmList    = "AlarmList"
	qQuota        = "Quota"
	qServerTime   = "ServerTime"
	qFlags        = "Flags"
	qCertificates = "ServerCertificates"
	qAll          = "all"
)

// fakeAPI is one endpoint. Its fields may be changed between two scrapes; see
// change.
type fakeAPI struct {
	status etcd.Status
	list   etcd.MemberList
	alarms []etcd.Alarm
	quota  int64
	flags  map[string]string
	chain  []*x509.Certificate
	skew   time.Duration // of its clock
	date   func(ctx context.Context) (etcd.ServerTime, error)

	keys      []string    // that Range knows
	denied    string      // the prefix that Range refuses
	hash      etcd.KVHash // its ids are filled in
	behind    uint64      // the member that answers HashKV, where it is another
	compacted int64       // reads below fail so, and reads above the revision otherwise

	fail map[string]error
	took map[string]time.Duration
	hang map[string]bool // answers when the context ends, not before

	mu    sync.Mutex
	calls map[string]int
}

func newFake() *fakeAPI {
	return &fakeAPI{fail: map[string]error{}, took: map[string]time.Duration{}, hang: map[string]bool{}, calls: map[string]int{}}
}

// asked says how often a question was put, all of them without an argument.
func (f *fakeAPI) asked(questions ...string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for q, count := range f.calls {
		if len(questions) == 0 && !strings.HasPrefix(q, scanned) || slices.Contains(questions, q) {
			n += count
		}
	}
	return n
}

func (f *fakeAPI) forgetCalls() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.calls)
}

// enter counts a question and makes it fail, wait or hang as was asked for.
func (f *fakeAPI) enter(ctx context.Context, question, method string) error {
	f.mu.Lock()
	f.calls[question]++
	hangs, took := f.hang[question] || f.hang[qAll], max(f.took[question], f.took[qAll])
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
	} else if took > 0 {
		wait(ctx, took)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		return &etcd.Error{Method: method, Code: "DeadlineExceeded", Err: err}
	case err != nil:
		return &etcd.Error{Method: method, Code: "Canceled", Err: err}
	case f.fail[question] != nil:
		return f.fail[question]
	default:
		return f.fail[qAll]
	}
}

// change is for what is changed while a background question may be under way.
func (f *fakeAPI) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

func (f *fakeAPI) Status(ctx context.Context) (etcd.Status, error) {
	if err := f.enter(ctx, qStatus, "Status"); err != nil {
		return etcd.Status{}, err
	}
	return f.status, nil
}

func (f *fakeAPI) MemberList(ctx context.Context) (etcd.MemberList, error) {
	if err := f.enter(ctx, qMemberList, "MemberList"); err != nil {
		return etcd.MemberList{}, err
	}
	return f.list, nil
}

func (f *fakeAPI) Read(ctx context.Context, r etcd.Read) error {
	question := qSerializable
	switch {
	case r.Revision != 0:
		question = qReadAt
	case r.Linearizable:
		question = qLinearizable
	}
	if err := f.enter(ctx, question, "Range"); err != nil {
		return err
	}
	switch {
	case r.Revision != 0 && r.Revision < f.compacted:
		return refusal("Range", "OutOfRange", etcd.ErrCompacted)
	case r.Revision > f.status.Revision:
		return refusal("Range", "OutOfRange", etcd.ErrFutureRevision)
	default:
		return nil
	}
}

func (f *fakeAPI) AlarmList(ctx context.Context) ([]etcd.Alarm, error) {
	return f.alarms, f.enter(ctx, qAlarmList, "Alarm")
}

func (f *fakeAPI) Quota(ctx context.Context) (int64, error) {
	return f.quota, f.enter(ctx, qQuota, "")
}

func (f *fakeAPI) ServerTime(ctx context.Context) (etcd.ServerTime, error) {
	f.mu.Lock()
	skew, date := f.skew, f.date
	if date != nil {
		f.calls[qServerTime]++
	}
	f.mu.Unlock()
	if date != nil {
		return date(ctx)
	}
	sent := time.Now()
	if err := f.enter(ctx, qServerTime, ""); err != nil {
		return etcd.ServerTime{}, err
	}
	now := time.Now()
	server := sent.Add(now.Sub(sent) / 2).Add(skew)
	return etcd.ServerTime{Sent: sent, Received: now, Date: server.UTC().Format(http.TimeFormat), Source: etcd.SourceClient}, nil
}

func (f *fakeAPI) Flags(ctx context.Context) (map[string]string, error) {
	err := f.enter(ctx, qFlags, "")
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flags, err
}

func (f *fakeAPI) ServerCertificates(ctx context.Context) ([]*x509.Certificate, error) {
	if err := f.enter(ctx, qCertificates, ""); err != nil {
		return nil, err
	}
	return f.chain, nil
}

// refusal is an error that the member itself answers with.
func refusal(method, code string, err error) error {
	return &etcd.Error{Method: method, Code: code, Answered: true, Err: err}
}

// world is a cluster of fakes.
type world struct {
	endpoints []etcd.Endpoint
	fakes     []*fakeAPI
	memory    *etcd.Memory
	deps      Deps
}

// newWorld has voters m0 (the leader), m1, ... with ids 0xa0, 0xa1, ... of
// cluster 0xc, all healthy, at revision 100 and never compacted.
func newWorld(voters int) *world {
	w := &world{memory: etcd.NewMemory()}
	w.deps.Scanner, w.deps.Log = w.scanner, slog.New(slog.DiscardHandler)
	list := etcd.MemberList{ClusterID: 0xc}
	for i := range voters {
		list.Members = append(list.Members, memberOf(i))
	}
	for i := range voters {
		f := w.add(urlOf(i))
		f.list = list
		f.status = etcd.Status{
			ClusterID: 0xc, MemberID: idOf(i), Version: "3.6.16", StorageVersion: "3.6.0",
			DBSize: 2000, DBInUse: 1000, DBQuota: 8000, Leader: idOf(0),
			RaftTerm: 2, RaftIndex: 120, RaftAppliedIndex: 120, Revision: 100,
		}
	}
	return w
}

func idOf(i int) uint64  { return 0xa0 + uint64(i) }
func urlOf(i int) string { return fmt.Sprintf("https://m%d:2379", i) }

func memberOf(i int) etcd.Member {
	return etcd.Member{
		ID: idOf(i), Name: fmt.Sprintf("m%d", i),
		PeerURLs: []string{fmt.Sprintf("https://m%d:2380", i)}, ClientURLs: []string{urlOf(i)},
	}
}

// add appends an endpoint that says nothing of itself yet.
func (w *world) add(url string) *fakeAPI {
	f := newFake()
	w.endpoints = append(w.endpoints, etcd.Endpoint{URL: url})
	w.fakes = append(w.fakes, f)
	return f
}

// addLearner appends a member that refuses what learners refuse, and lists it.
func (w *world) addLearner() *fakeAPI {
	i := len(w.fakes)
	m := memberOf(i)
	m.Learner = true
	f := w.add(urlOf(i))
	f.status = w.fakes[0].status
	f.status.MemberID, f.status.Learner = m.ID, true
	f.fail[qLinearizable] = refusal("Range", "FailedPrecondition", etcd.ErrLearner)
	f.fail[qMemberList] = refusal("MemberList", "FailedPrecondition", etcd.ErrLearner)
	w.relist(append(slices.Clone(w.fakes[0].list.Members), m)...)
	return f
}

// relist changes the member list that everybody gives.
func (w *world) relist(members ...etcd.Member) {
	for _, f := range w.fakes {
		f.list.Members = members
	}
}

func (w *world) view(round context.Context) *etcd.View {
	apis := map[etcd.Endpoint]etcd.API{}
	for i, e := range w.endpoints {
		apis[e] = w.fakes[i]
	}
	return etcd.NewView(round, w.endpoints, apis, w.memory)
}

// calls counts all questions to all endpoints.
func (w *world) calls(questions ...string) int {
	n := 0
	for _, f := range w.fakes {
		n += f.asked(questions...)
	}
	return n
}

// scrape runs one collector within a round of its own.
func (w *world) scrape(ctx context.Context, c Collector) (series, error) {
	metrics, err := c.Collect(ctx, w.view(ctx))
	return seriesOf(c.Metrics(), metrics), err
}

// must is scrape where no error is expected.
func (w *world) must(t *testing.T, c Collector) series {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	got, err := w.scrape(ctx, c)
	if err != nil {
		t.Errorf("collector %s: %v", c.Name(), err)
	}
	return got
}
