// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

const (
	// observeTime bounds an observation, a hanging endpoint included.
	observeTime = 5 * time.Second
	// alarmTime bounds the AlarmList that may follow.
	alarmTime = 2 * time.Second
)

var (
	errUnstarted = errors.New("the member has never started")
	errUnnamed   = errors.New("no endpoint answers for the member")
)

// voice is what one endpoint says.
type voice struct {
	endpoint  etcd.Endpoint
	status    etcd.Status
	statusErr error
	list      *etcd.MemberList
	listErr   error
	readErr   error
	readTook  time.Duration
	quota     int64
	vitals    remediate.Vitals
	vitalsErr error
	clock     skew
}

// skew bounds a member's clock minus ours.
type skew struct {
	min, max time.Duration
	err      error
}

// up says whether the endpoint answered its Status; it then speaks for a member.
func (v *voice) up() bool { return v.statusErr == nil }

// Observe asks every endpoint for everything, side by side. It takes as long as the
// slowest, five seconds at most, and two more where AlarmList is asked.
func (l *Live) Observe(ctx context.Context, alarms bool) *remediate.Observation {
	o := &remediate.Observation{At: time.Now()}
	round, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	view := l.cluster.View(round)
	defer view.Close()
	voices := etcd.Each(view.Endpoints(), func(e etcd.Endpoint) *voice { return l.listen(round, view, e) })
	membership, err := view.Members(round)
	switch {
	case err != nil:
		o.ListErr = err
	case !membership.Current:
		o.ListErr = errors.New("no endpoint gives a member list now; this is the last one that was seen")
	}
	o.ClusterID = mostNamed(voices)
	o.Members = members(membership.Members, voices, view.NamedBy())
	o.Disagreements = disagreements(membership, voices)
	o.Alarms, o.AlarmsErr = l.alarms(ctx, voices, alarms)
	return o
}

// listen asks one endpoint everything at once.
func (l *Live) listen(ctx context.Context, view *etcd.View, e etcd.Endpoint) *voice {
	v := &voice{endpoint: e}
	var all sync.WaitGroup
	all.Go(func() { v.status, v.statusErr = view.Status(ctx, e) })
	all.Go(func() {
		if list, err := view.MemberList(ctx, e); err == nil {
			v.list = &list
		} else {
			v.listErr = err
		}
	})
	all.Go(func() { v.readTook, v.readErr = view.Check(ctx, e, true) })
	all.Go(func() { v.quota = view.Quota(ctx, e) })
	all.Go(func() { v.vitals, v.vitalsErr = readVitals(ctx, l.cluster.Client(e.URL)) })
	all.Go(func() { v.clock = readSkew(ctx, view.API(e)) })
	all.Wait()
	if v.statusErr != nil {
		v.statusErr = fmt.Errorf("%s: %w", view.Failure(e, v.statusErr), v.statusErr)
	}
	return v
}

// readSkew takes one Date header: the server wrote it in the second that it names,
// between our sending and receiving.
func readSkew(ctx context.Context, api etcd.API) skew {
	at, err := api.ServerTime(ctx)
	if err != nil {
		return skew{err: err}
	}
	date, err := http.ParseTime(at.Date)
	if err != nil {
		return skew{err: fmt.Errorf("the Date header %.60q is no time", at.Date)}
	}
	return skew{min: date.Sub(at.Received), max: date.Add(time.Second).Sub(at.Sent)}
}

// members joins the member list with what was said. Of several endpoints of one
// member a configured one that answers speaks for it.
func members(list []etcd.Member, voices []*voice, namedBy map[string]uint64) []remediate.Member {
	all := make([]remediate.Member, 0, len(list))
	for _, m := range list {
		one := remediate.Member{Member: m}
		v := speaker(m, voices, namedBy)
		switch {
		case v != nil:
			one.URL = v.endpoint.URL
			one.Status, one.StatusErr = v.status, v.statusErr
			one.Quota = v.quota
			one.Vitals, one.VitalsErr = v.vitals, v.vitalsErr
			one.SkewMin, one.SkewMax, one.SkewErr = v.clock.min, v.clock.max, v.clock.err
			if !m.Learner {
				one.ReadErr, one.ReadTook = v.readErr, v.readTook
			}
		case !m.Started():
			silence(&one, errUnstarted)
		default:
			silence(&one, errUnnamed)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b remediate.Member) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// speaker chooses the endpoint that speaks for a member: one whose Status names it,
// a configured one first; else the one that named it last or that it advertises, to
// tell why it is silent.
func speaker(m etcd.Member, voices []*voice, namedBy map[string]uint64) *voice {
	var quiet *voice
	var loud []*voice
	for _, v := range voices {
		switch {
		case v.up() && v.status.MemberID == m.ID:
			loud = append(loud, v)
		case !v.up() && quiet == nil && (namedBy[v.endpoint.URL] == m.ID || advertises(m, v.endpoint.URL)):
			quiet = v
		}
	}
	for _, v := range loud {
		if !v.endpoint.Discovered {
			return v
		}
	}
	if len(loud) > 0 {
		return loud[0]
	}
	return quiet
}

func advertises(m etcd.Member, url string) bool {
	return slices.ContainsFunc(m.ClientURLs, func(u string) bool { return strings.EqualFold(strings.TrimSuffix(u, "/"), url) })
}

// mostNamed is the cluster id that most of the answering voters name.
func mostNamed(voices []*voice) uint64 {
	count := map[uint64]int{}
	var most uint64
	for _, v := range voices {
		if !v.up() || v.status.Learner {
			continue
		}
		id := v.status.ClusterID
		if count[id]++; count[id] > count[most] {
			most = id
		}
	}
	return most
}

// silence fills in for a member that nobody speaks for.
func silence(m *remediate.Member, err error) {
	m.StatusErr, m.VitalsErr, m.SkewErr = err, err, err
	if !m.Learner {
		m.ReadErr = err
	}
}
