// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

const (
	urlA, urlB, urlC = "https://a:2379", "https://b:2379", "https://c:2379"
	cluster          = 7
)

func list() etcd.MemberList {
	return etcd.MemberList{ClusterID: cluster, Members: []etcd.Member{
		{ID: 1, Name: "a", ClientURLs: []string{urlA}},
		{ID: 2, Name: "b", ClientURLs: []string{urlB + "/"}},
		{ID: 3, Name: "c", ClientURLs: []string{urlC}, Learner: true},
	}}
}

// three are two voters and a learner that agree.
func three() []*voice {
	var all []*voice
	for i, url := range []string{urlA, urlB, urlC} {
		l := list()
		all = append(all, &voice{
			endpoint: etcd.Endpoint{URL: url}, list: &l,
			status: etcd.Status{ClusterID: cluster, MemberID: uint64(i + 1), Leader: 1, RaftTerm: 5, Learner: i == 2},
		})
	}
	all[2].list, all[2].listErr = nil, etcd.ErrLearner
	return all
}

func TestDisagreements(t *testing.T) {
	another := list()
	another.Members = another.Members[:2]
	for name, k := range map[string]struct {
		change func(v []*voice)
		want   string // part of the one line; empty: they agree
	}{
		"all agree":                       {func([]*voice) {}, ""},
		"another list":                    {func(v []*voice) { v[1].list = &another }, urlB + " has another member list"},
		"another cluster":                 {func(v []*voice) { v[1].status.ClusterID = 8 }, "belongs to the cluster 7"},
		"another leader":                  {func(v []*voice) { v[1].status.Leader = 2 }, "has the leader 1"},
		"no leader":                       {func(v []*voice) { v[1].status.Leader = 0 }, urlB + " knows no leader"},
		"another term":                    {func(v []*voice) { v[1].status.RaftTerm = 6 }, "raft term 5"},
		"a voter without a list":          {func(v []*voice) { v[0].list, v[0].listErr = nil, errors.New("no") }, urlA + " does not give its member list"},
		"a stranger":                      {func(v []*voice) { v[1].status.MemberID = 9 }, "names the member 9"},
		"a learner that is a stranger":    {func(v []*voice) { v[2].status.MemberID = 9 }, "names the member 9"},
		"a learner lags":                  {func(v []*voice) { v[2].status.Leader, v[2].status.RaftTerm = 2, 4 }, ""},
		"one that is down says nothing":   {func(v []*voice) { v[1].statusErr, v[1].status = errors.New("down"), etcd.Status{} }, ""},
		"one that hangs still has a list": {func(v []*voice) { v[1].statusErr, v[1].list = errors.New("hangs"), &another }, urlB + " has another"},
	} {
		voices := three()
		k.change(voices)
		got := disagreements(etcd.Membership{MemberList: list(), Current: true}, voices)
		switch {
		case k.want == "" && len(got) > 0, k.want != "" && (len(got) != 1 || !strings.Contains(got[0], k.want)):
			t.Errorf("%s: %q, want %q", name, got, k.want)
		}
	}
}

func TestMembers(t *testing.T) {
	voices := three()
	voices[0].endpoint.Discovered = true
	voices[1].statusErr = errors.New("timeout")
	voices[1].vitalsErr = errors.New("none")
	vip := &voice{endpoint: etcd.Endpoint{URL: "https://vip:2379"}, status: etcd.Status{MemberID: 1, RaftIndex: 77}, quota: 5}
	stale := &voice{endpoint: etcd.Endpoint{URL: "https://old:2379"}, statusErr: errors.New("refused")}
	voices = append(voices, stale, vip)
	rows := slices.Concat(list().Members, []etcd.Member{{ID: 4}, {ID: 5, Name: "e"}})
	slices.Reverse(rows)
	got := members(rows, voices, map[string]uint64{"https://old:2379": 1})
	if len(got) != 5 {
		t.Fatalf("%d members", len(got))
	}
	if m := got[0]; m.ID != 1 || m.URL != "https://vip:2379" || m.Status.RaftIndex != 77 || m.Quota != 5 || !m.Answers() {
		t.Errorf("the configured endpoint that answers does not speak: %+v", m)
	}
	if m := got[1]; m.URL != urlB || m.StatusErr == nil || m.Answers() || m.VitalsErr == nil {
		t.Errorf("a silent member is told by the endpoint that it advertises: %+v", m)
	}
	if m := got[2]; !m.Answers() || m.ReadErr != nil {
		t.Errorf("the learner: %+v", m)
	}
	if m := got[3]; m.URL != "" || !errors.Is(m.StatusErr, errUnstarted) || m.ReadErr == nil || m.SkewErr == nil || m.VitalsErr == nil {
		t.Errorf("the unstarted one: %+v", m)
	}
	if m := got[4]; m.URL != "" || !errors.Is(m.StatusErr, errUnnamed) || m.Answers() {
		t.Errorf("the one that nobody names: %+v", m)
	}
	if got := members(nil, voices, nil); len(got) != 0 {
		t.Errorf("members without a list: %+v", got)
	}
}

func TestMostNamed(t *testing.T) {
	voices := three()
	voices[0].status.ClusterID = 8
	voices = append(voices, three()[0])
	if id := mostNamed(voices); id != cluster {
		t.Errorf("cluster %d", id)
	}
	if id := mostNamed(nil); id != 0 {
		t.Errorf("cluster %d of nobody", id)
	}
}

// clock answers with a Date.
type clock struct {
	etcd.API
	at  etcd.ServerTime
	err error
}

func (c clock) ServerTime(context.Context) (etcd.ServerTime, error) { return c.at, c.err }

func TestSkew(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 400e6, time.UTC)
	at := etcd.ServerTime{Sent: now, Received: now.Add(10 * time.Millisecond)}
	for name, k := range map[string]struct {
		date     string
		min, max time.Duration
		bad      bool
	}{
		"right":    {"Sun, 01 Mar 2026 12:00:00 GMT", -410 * time.Millisecond, 600 * time.Millisecond, false},
		"ahead":    {"Sun, 01 Mar 2026 12:00:30 GMT", 29590 * time.Millisecond, 30600 * time.Millisecond, false},
		"nonsense": {"yesterday", 0, 0, true},
		"empty":    {"", 0, 0, true},
	} {
		at.Date = k.date
		s := readSkew(t.Context(), clock{at: at})
		if s.min != k.min || s.max != k.max || (s.err != nil) != k.bad {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if s := readSkew(t.Context(), clock{err: errors.New("no")}); s.err == nil {
		t.Error("a clock that cannot be read is known")
	}
}
