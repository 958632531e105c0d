// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counted is an API that counts its questions and answers each by a function.
type counted struct {
	mu     sync.Mutex
	asked  map[string]int
	hangs  map[string]bool
	list   MemberList
	status Status
	err    error
}

func (c *counted) ask(ctx context.Context, name string) error {
	c.mu.Lock()
	if c.asked == nil {
		c.asked = map[string]int{}
	}
	c.asked[name]++
	hangs := c.hangs[name]
	c.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return wrap(name, ctx.Err())
	}
	return c.err
}

func (c *counted) Status(ctx context.Context) (Status, error) {
	return c.status, c.ask(ctx, "Status")
}

func (c *counted) MemberList(ctx context.Context) (MemberList, error) {
	return c.list, c.ask(ctx, "MemberList")
}

func (c *counted) Read(ctx context.Context, r Read) error {
	return c.ask(ctx, fmt.Sprintf("Read %v %d", r.Linearizable, r.Revision))
}

func (c *counted) AlarmList(ctx context.Context) ([]Alarm, error) {
	return nil, c.ask(ctx, "AlarmList")
}
func (c *counted) Quota(ctx context.Context) (int64, error) { return 5, c.ask(ctx, "Quota") }
func (c *counted) ServerTime(ctx context.Context) (ServerTime, error) {
	return ServerTime{}, c.ask(ctx, "ServerTime")
}

func (c *counted) Flags(ctx context.Context) (map[string]string, error) {
	return nil, c.ask(ctx, "Flags")
}

func (c *counted) ServerCertificates(ctx context.Context) ([]*x509.Certificate, error) {
	return nil, c.ask(ctx, "certificates")
}

func viewOf(ctx context.Context, apis ...*counted) *View {
	var endpoints []Endpoint
	byEndpoint := map[Endpoint]API{}
	for i, api := range apis {
		e := Endpoint{URL: fmt.Sprintf("http://10.0.0.%d:2379", i+1)}
		endpoints, byEndpoint[e] = append(endpoints, e), api
	}
	return NewView(ctx, endpoints, byEndpoint, NewMemory())
}

func TestViewAsksEachQuestionOnce(t *testing.T) {
	api := &counted{}
	v := viewOf(t.Context(), api)
	e := v.Endpoints()[0]
	Each(make([]int, 30), func(int) struct{} {
		ctx := t.Context()
		_, _ = v.Status(ctx, e)
		_, _ = v.MemberList(ctx, e)
		_, _ = v.Check(ctx, e, true)
		_, _ = v.Check(ctx, e, false)
		_, _ = v.ServerCertificates(ctx, e)
		_, _ = v.Members(t.Context())
		v.Statuses(t.Context())
		if q := v.Quota(ctx, e); q != 5 {
			t.Errorf("quota %d", q)
		}
		return struct{}{}
	})
	if want := "map[MemberList:1 Quota:1 Read false 0:1 Read true 0:1 Status:1 certificates:1]"; fmt.Sprint(api.asked) != want {
		t.Errorf("asked %v, want %s", api.asked, want)
	}
}

// Who waits for a shorter time does not cut the question short for the others.
func TestViewWaiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		round, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		api := &counted{hangs: map[string]bool{"MemberList": true}}
		v := viewOf(round, api)
		short, cancelShort := context.WithTimeout(t.Context(), time.Second)
		defer cancelShort()
		if _, err := v.MemberList(short, v.Endpoints()[0]); Classify(err) != ReasonTimeout {
			t.Errorf("MemberList = %v", err)
		}
		if v.finished(v.Endpoints()[0], "MemberList") != nil {
			t.Error("the question ended with the one who waited")
		}
		<-round.Done()
		synctest.Wait()
		if v.finished(v.Endpoints()[0], "MemberList") == nil || api.asked["MemberList"] != 1 {
			t.Errorf("asked %v", api.asked)
		}
	})
}

func TestFailureTellsDefragmentation(t *testing.T) {
	for _, test := range []struct {
		name  string
		hangs []string
		want  Reason
	}{
		{"all hang", []string{"Status", "MemberList", "ServerTime"}, ReasonTimeout},
		{"the member list answers", []string{"Status", "ServerTime"}, ReasonDefragmenting},
		{"HTTP answers", []string{"Status", "MemberList"}, ReasonDefragmenting},
	} {
		synctest.Test(t, func(t *testing.T) {
			round, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			api := &counted{hangs: map[string]bool{}}
			for _, name := range test.hangs {
				api.hangs[name] = true
			}
			v := viewOf(round, api)
			go func() {
				time.Sleep(5*time.Second - time.Millisecond)
				if n := api.count("MemberList") + api.count("ServerTime"); n != 0 {
					t.Errorf("%s: asked before half time", test.name)
				}
			}()
			_, err := v.Status(t.Context(), v.Endpoints()[0])
			synctest.Wait()
			if got := v.Failure(v.Endpoints()[0], err); got != test.want {
				t.Errorf("%s: %s, want %s (%v)", test.name, got, test.want, err)
			}
			if api.count("MemberList") != 1 || api.count("ServerTime") != 1 {
				t.Errorf("%s: asked %v", test.name, api.asked)
			}
		})
	}
	// Nothing more is asked of an endpoint that answers or fails at once.
	synctest.Test(t, func(t *testing.T) {
		round, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		good, bad := &counted{}, &counted{err: errors.New("broken")}
		v := viewOf(round, good, bad)
		v.Statuses(t.Context())
		<-round.Done()
		synctest.Wait()
		if len(good.asked) != 1 || len(bad.asked) != 1 {
			t.Errorf("asked %v and %v", good.asked, bad.asked)
		}
	})
}

func (c *counted) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[name]
}

// A hanging endpoint holds up what is gathered from all for half of the round.
func TestMembersWithHangingEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		round, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		list := MemberList{ClusterID: 1, Members: []Member{{ID: 1, Name: "a"}}}
		hung := &counted{hangs: map[string]bool{"Status": true, "MemberList": true, "ServerTime": true}}
		v := viewOf(round, hung, &counted{list: list})
		start := time.Now()
		membership, err := v.Members(t.Context())
		if err != nil || !membership.Current || membership.ClusterID != 1 {
			t.Errorf("Members = %+v, %v", membership, err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Members took %s", took)
		}
		if s := v.Statuses(t.Context()); s[0] != nil || s[1] == nil {
			t.Errorf("Statuses = %v", s)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("what is known already took until %s", took)
		}
		<-round.Done() // the questions end with the round
		synctest.Wait()
	})
}

func TestMembersChoosesTheMajority(t *testing.T) {
	list := func(id uint64, names ...string) (l MemberList) {
		l.ClusterID = id
		for i, name := range names {
			l.Members = append(l.Members, Member{ID: uint64(i), Name: name, ClientURLs: []string{"b", "a"}})
		}
		return l
	}
	at := func(l MemberList, index uint64) *counted {
		return &counted{list: l, status: Status{RaftAppliedIndex: index}}
	}
	reversed := list(1, "a", "b")
	reversed.Members[0], reversed.Members[1] = reversed.Members[1], reversed.Members[0]
	reversed.Members[0].ClientURLs = []string{"a", "b"}
	dead := &counted{err: errors.New("dead")}
	for name, test := range map[string]struct {
		apis []*counted
		want uint64
	}{
		"majority":              {[]*counted{at(list(9, "x"), 100), at(list(1, "a", "b"), 1), at(reversed, 1)}, 1},
		"tie: the furthest":     {[]*counted{at(list(9, "x"), 1), at(list(1, "a", "b"), 2)}, 1},
		"only one answers":      {[]*counted{dead, at(list(1, "a"), 1)}, 1},
		"order does not matter": {[]*counted{at(list(1, "a", "b"), 1), at(list(9, "x"), 100), at(reversed, 1)}, 1},
	} {
		membership, err := viewOf(t.Context(), test.apis...).Members(t.Context())
		if err != nil || membership.ClusterID != test.want || !membership.Current {
			t.Errorf("%s: %+v, %v", name, membership, err)
		}
	}
	v := viewOf(t.Context(), dead)
	if _, err := v.Members(t.Context()); !errors.Is(err, ErrNoMemberList) {
		t.Errorf("nobody ever answered: %v", err)
	}
	v.memory.keepList(list(3, "a"))
	if membership, err := v.Members(t.Context()); err != nil || membership.Current || membership.ClusterID != 3 {
		t.Errorf("nobody answers any more: %+v, %v", membership, err)
	}
}

func TestCheckAndCounts(t *testing.T) {
	for _, test := range []struct {
		err         error
		ok, counted bool
	}{
		{nil, true, false},
		{&Error{Method: "Range", Code: "PermissionDenied", Err: errors.New("x"), kind: ErrPermissionDenied}, true, false},
		{&Error{Method: "Range", Code: "FailedPrecondition", Err: errors.New("x"), kind: ErrLearner}, false, false},
		{&Error{Method: "Range", Code: "OutOfRange", Err: errors.New("x"), kind: ErrCompacted}, false, false},
		{wrap("Range", context.Canceled), false, false},
		{wrap("Range", context.DeadlineExceeded), false, true},
		{wrap("Status", &Error{Method: "Authenticate", Code: "InvalidArgument", Err: errors.New("x")}), false, true},
	} {
		v := viewOf(t.Context(), &counted{err: test.err})
		_, err := v.Check(t.Context(), v.Endpoints()[0], true)
		if (err == nil) != test.ok || len(v.Errors()) > 0 != test.counted {
			t.Errorf("%v: Check = %v, counted %v", test.err, err, v.Errors())
		}
	}
}

func TestEach(t *testing.T) {
	if got := fmt.Sprint(Each([]int{3, 1, 2}, func(i int) int { return i * i })); got != "[9 1 4]" {
		t.Errorf("Each = %s", got)
	}
	defer func() {
		if r := recover(); r != "two" {
			t.Errorf("recovered %v", r)
		}
	}()
	Each([]int{1, 2}, func(i int) int {
		if i == 2 {
			panic("two")
		}
		return i
	})
}

// A new Cluster that discovers sees the whole cluster in its first round, though
// one configured endpoint hangs; ups and downs are told once.
func TestClusterFirstRound(t *testing.T) {
	server, other := startFake(t, nil), startFake(t, nil)
	g := startGate(t, server.address)
	g.freeze()
	other.members = append(other.members, member(1, "a", "http://"+other.address), member(2, "b", "http://"+server.address))
	var mu sync.Mutex
	var downs []Reason
	c := clusterAt(t, Config{Discover: true, OnDown: func(r Reason) {
		mu.Lock()
		defer mu.Unlock()
		downs = append(downs, r)
	}}, "http://"+g.address, "http://"+other.address)
	for range 2 {
		if reason, err := scrape(t, c, time.Second); reason != ReasonTimeout { // half of it goes to the one that hangs
			t.Errorf("%q, %v", reason, err)
		}
	}
	if got := len(c.Endpoints()); got != 3 || server.called("Status") != 2 {
		t.Errorf("%d endpoints, the discovered one asked %d times", got, server.called("Status"))
	}
	eventually(t, "the hanging one is told", func() bool { mu.Lock(); defer mu.Unlock(); return len(downs) > 0 })
	g.thaw()
	if reason, err := scrape(t, c, 2*time.Second); err != nil {
		t.Errorf("%s, %v", reason, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(downs) != 1 || downs[0] != ReasonTimeout {
		t.Errorf("downs: %v", downs)
	}
}

// Views, rotation and discovery at one time: for the race detector.
func TestClusterConcurrently(t *testing.T) {
	server := startFake(t, nil)
	c := clusterAt(t, Config{Discover: true}, "http://"+server.address)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 5 {
				_, _ = scrape(t, c, time.Second)
				c.discover(MemberList{Members: []Member{{ID: 1, ClientURLs: []string{fmt.Sprintf("http://127.0.0.1:%d", i+1)}}}}, map[string]uint64{"http://127.0.0.1:1": 1})
				c.memory.retain(nil)
			}
		})
	}
	all.Wait()
}
