// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/etcdops/etcdops/internal/etcd"
)

// targets are the endpoints that background work may ask, as the newest scrape saw
// them.
type targets struct {
	scanner func(url string) etcd.ScanAPI // nil where the endpoint is not known any more

	mu   sync.Mutex
	seen []seen
}

// seen is an endpoint that answered Status.
type seen struct {
	url    string
	status etcd.Status
}

func (s seen) leads() bool { return s.status.Leader != 0 && s.status.Leader == s.status.MemberID }

// target is an endpoint to ask.
type target struct {
	seen
	api etcd.ScanAPI
}

// learn takes the endpoints over from a scrape, those of the largest cluster. Where
// none answers, what was seen before stays: the next one may have no better luck.
func (t *targets) learn(ctx context.Context, view *etcd.View) {
	var all []seen
	for _, c := range furthest(ctx, view) {
		all = append(all, seen{c.endpoint.URL, c.status})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(all) > 0 {
		t.seen = all
	}
}

// lag is by how many revisions a member may be behind the furthest one and still be
// asked before the leader: Status comes from each at another instant.
const lag = 1000

// inOrder gives the endpoints to ask, the best first: a voter that follows, then
// learners, then the leader, which has the most to do, and last who lags behind.
func (t *targets) inOrder() []target {
	t.mu.Lock()
	ordered := slices.Clone(t.seen)
	t.mu.Unlock()
	var head int64
	for _, s := range ordered {
		head = max(head, s.status.Revision)
	}
	rank := func(s seen) int {
		switch {
		case head-s.status.Revision > lag: // it would tell of yesterday
			return 3
		case s.leads():
			return 2
		case s.status.Learner:
			return 1
		default:
			return 0
		}
	}
	slices.SortStableFunc(ordered, func(a, b seen) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.url, b.url))
	})
	var all []target
	if t.scanner == nil { // unit tests that ask nothing in the background
		return nil
	}
	for _, s := range ordered {
		if api := t.scanner(s.url); api != nil {
			all = append(all, target{s, api})
		}
	}
	return all
}
