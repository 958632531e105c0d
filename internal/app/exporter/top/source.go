// SPDX-License-Identifier: Apache-2.0

package top

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

const (
	// lookTime bounds the Status of all endpoints, answerTime what is waited for:
	// the rest tells a defragmentation from a dead member.
	lookTime   = 4 * time.Second
	answerTime = 3 * time.Second
	// maxLag is how many entries a healthy member may be behind.
	maxLag = 1000
)

// answer is what an endpoint's Status gave.
type answer struct {
	url    string
	status etcd.Status
	err    error
	reason etcd.Reason // of err
}

// source is the cluster, as far as it is asked here.
type source interface {
	statuses(ctx context.Context) []answer
	scanner(url string) etcd.ScanAPI // nil: not known any more
}

type realSource struct{ cluster *etcd.Cluster }

func (s realSource) statuses(ctx context.Context) []answer {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	view := s.cluster.View(ctx)
	defer view.Close()
	waiting, stop := context.WithTimeout(ctx, answerTime)
	defer stop()
	return etcd.Each(view.Endpoints(), func(e etcd.Endpoint) answer {
		status, err := view.Status(waiting, e)
		a := answer{url: e.URL, status: status, err: err}
		if err != nil {
			a.reason = view.Failure(e, err)
		}
		return a
	})
}

func (s realSource) scanner(url string) etcd.ScanAPI {
	if one := s.cluster.Scanner(url); one != nil {
		return one
	}
	return nil // not a nil *etcd.Scanner in an interface
}

// choose picks the member to watch: one that is up to date and has a leader,
// rather one that did not fail before, rather not the leader. failures counts by
// URL; clusterID is 0 where none is known yet.
func choose(answers []answer, failures map[string]int, clusterID uint64) (answer, error) {
	var fit []answer
	var furthest uint64
	for _, a := range answers {
		if a.err == nil {
			furthest = max(furthest, a.status.RaftAppliedIndex)
		}
	}
	leaderless := false
	for _, a := range answers {
		s := a.status
		switch {
		case a.err != nil, s.Learner, clusterID != 0 && s.ClusterID != clusterID:
		case s.Leader == 0:
			leaderless = true
		default:
			fit = append(fit, a)
		}
	}
	if len(fit) == 0 {
		return answer{}, nobody(answers, leaderless)
	}
	slices.SortStableFunc(fit, func(a, b answer) int {
		return cmp.Or(
			cmp.Compare(failures[a.url], failures[b.url]),
			cmp.Compare(rank(lags(a.status, furthest)), rank(lags(b.status, furthest))),
			cmp.Compare(rank(leads(a.status)), rank(leads(b.status))),
		)
	})
	return fit[0], nil
}

func lags(s etcd.Status, furthest uint64) bool { return s.RaftAppliedIndex+maxLag < furthest }
func leads(s etcd.Status) bool                 { return s.Leader == s.MemberID }

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// nobody says in one line why no endpoint can be watched.
func nobody(answers []answer, leaderless bool) error {
	if leaderless {
		return errors.New("no member has a leader, so nothing can be written")
	}
	var why []string
	for _, a := range answers {
		switch {
		case len(why) == 3:
			return fmt.Errorf("no endpoint can be watched: %s and %d more", strings.Join(why, "; "), len(answers)-3)
		case a.err != nil:
			why = append(why, fmt.Sprintf("%s: %s (%s)", printable(a.url), a.reason, oneLine(a.err)))
		case a.status.Learner:
			why = append(why, printable(a.url)+" is a learner")
		default:
			why = append(why, printable(a.url)+" belongs to another cluster")
		}
	}
	return fmt.Errorf("no endpoint can be watched: %s", strings.Join(why, "; "))
}

// oneLine is an error's text without what a server may have put into it.
func oneLine(err error) string { return cut(printable(err.Error()), 200) }
