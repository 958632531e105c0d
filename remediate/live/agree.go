// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// disagreements says in one line each where endpoints do not tell the same story.
// Learners refuse member lists and lag behind by design: of them only the member
// that they name counts. A voter that answers and knows no leader disagrees too.
func disagreements(agreed etcd.Membership, voices []*voice) []string {
	var said []string
	add := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	listed := map[uint64]bool{}
	for _, m := range agreed.Members {
		listed[m.ID] = true
	}
	fingerprint := agreed.Fingerprint()
	var first *voice // voter that answers: the others are held against it
	for _, v := range voices {
		url := v.endpoint.URL
		if v.up() && len(listed) > 0 && !listed[v.status.MemberID] {
			add("%s names the member %s, which is not in the member list", url, etcd.FormatID(v.status.MemberID))
		}
		if v.up() && v.status.Learner {
			continue
		}
		switch {
		case v.list != nil && agreed.Current && v.list.Fingerprint() != fingerprint:
			add("%s has another member list than most", url)
		case v.list == nil && v.up():
			add("%s does not give its member list: %v", url, v.listErr)
		}
		if !v.up() {
			continue
		}
		if v.status.Leader == 0 {
			add("%s knows no leader", url)
		}
		if first == nil {
			first = v
			continue
		}
		a, b := first.status, v.status
		switch {
		case a.ClusterID != b.ClusterID:
			add("%s belongs to the cluster %s, %s to %s", first.endpoint.URL, etcd.FormatID(a.ClusterID), url, etcd.FormatID(b.ClusterID))
		case a.Leader != b.Leader && a.Leader != 0 && b.Leader != 0:
			add("%s has the leader %s, %s has %s", first.endpoint.URL, etcd.FormatID(a.Leader), url, etcd.FormatID(b.Leader))
		case a.RaftTerm != b.RaftTerm:
			add("%s is in the raft term %d, %s in %d", first.endpoint.URL, a.RaftTerm, url, b.RaftTerm)
		}
	}
	return said
}

// alarmListPause is the least time between two AlarmLists for the sake of a text that
// is not understood: each writes a raft entry.
const alarmListPause = time.Minute

// explained is what AlarmList said about a text that is not understood.
type explained struct {
	text   string
	at     time.Time
	alarms []etcd.Alarm
}

// alarms gives the alarms that any Status tells of, and those of AlarmList, which is
// asked where the caller wants it, or where a text is not understood.
func (l *Live) alarms(ctx context.Context, voices []*voice, list bool) ([]etcd.Alarm, error) {
	active := map[etcd.Alarm]bool{}
	var all []etcd.Alarm
	add := func(alarms []etcd.Alarm) {
		for _, a := range alarms {
			if !active[a] {
				active[a] = true
				all = append(all, a)
			}
		}
	}
	strange, answered := "", false
	for _, v := range voices {
		if !v.up() {
			continue
		}
		answered = true
		known, unknown := etcd.ParseAlarms(v.status.Errors)
		add(known)
		if len(unknown) > 0 && strange == "" {
			strange = unknown[0]
		}
	}
	switch {
	case !answered:
		return nil, errors.New("no endpoint answers")
	case !list && strange == "":
		return all, nil
	}
	more, err := l.alarmList(ctx, voices, strange, list)
	add(more)
	return all, err
}

// alarmList asks one voter that answers, and where that fails another one.
func (l *Live) alarmList(ctx context.Context, voices []*voice, strange string, fresh bool) ([]etcd.Alarm, error) {
	l.mu.Lock()
	known := l.explained
	l.mu.Unlock()
	if !fresh && known.text == strange && time.Since(known.at) < alarmListPause {
		return known.alarms, nil
	}
	var errs []error
	for _, v := range voices {
		scanner := l.cluster.Scanner(v.endpoint.URL)
		if !v.up() || v.status.Learner || v.readErr != nil || scanner == nil || len(errs) == 2 {
			continue
		}
		some, cancel := context.WithTimeout(ctx, alarmTime/2)
		alarms, err := scanner.AlarmList(some)
		cancel()
		if err == nil {
			l.mu.Lock()
			l.explained = explained{strange, time.Now(), alarms}
			l.mu.Unlock()
			return alarms, nil
		}
		errs = append(errs, fmt.Errorf("ask %s for the alarms: %w", v.endpoint.URL, err))
	}
	return nil, errors.Join(append(errs, errors.New("no voter gives the list of alarms"))...)
}
