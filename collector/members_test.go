// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// dead makes endpoints refuse every question.
func (w *world) dead(which ...int) {
	for _, i := range which {
		w.fakes[i].change(func() { w.fakes[i].fail[qAll] = deadReasons[etcd.ReasonRefused] })
	}
}

// alive undoes dead.
func (w *world) alive(which ...int) {
	for _, i := range which {
		w.fakes[i].change(func() { delete(w.fakes[i].fail, qAll) })
	}
}

// quorumLost makes linearizable reads fail, as they do when etcd knows no leader.
func (w *world) quorumLost() {
	for _, f := range w.fakes {
		f.status.Leader = 0
		f.status.Errors = []string{"etcdserver: no leader"}
		f.fail[qLinearizable] = &etcd.Error{Method: "Range", Code: "DeadlineExceeded", Err: context.DeadlineExceeded}
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	unstarted := etcd.Member{ID: 0xff, PeerURLs: []string{"https://new:2380"}}
	tests := map[string]struct {
		voters int
		change func(w *world)
		want   series
	}{
		"healthy": {3, func(*world) {}, series{
			`cluster_members{role="voter"}`: 3, `cluster_members{role="learner"}`: 0, "cluster_members_unstarted": 0,
			"cluster_voters_healthy": 3, "cluster_quorum_size": 2, "cluster_failure_tolerance": 1, "cluster_has_leader": 1,
			`cluster_views{of="membership"}`: 1, `cluster_views{of="leader"}`: 1, `cluster_views{of="cluster_id"}`: 1,
			"cluster_endpoints_unlisted": 0, "cluster_members_unmonitored": 0,
			`member_started{member="m0",member_id="a0"}`: 1,
			`member_info{client_urls="https://m0:2379",learner="false",member="m0",member_id="a0",peer_urls="https://m0:2380"}`: 1,
		}},
		"one voter":  {1, func(*world) {}, series{"cluster_quorum_size": 1, "cluster_failure_tolerance": 0}},
		"two voters": {2, func(*world) {}, series{"cluster_quorum_size": 2, "cluster_failure_tolerance": 0}},
		"five voters, two of them dead": {5, func(w *world) { w.dead(3, 4) }, series{
			"cluster_voters_healthy": 3, "cluster_quorum_size": 3, "cluster_failure_tolerance": 0,
			`cluster_members{role="voter"}`: 5, "cluster_has_leader": 1, `cluster_views{of="membership"}`: 1,
		}},
		"no leader": {3, func(w *world) { w.quorumLost() }, series{
			"cluster_has_leader": 0, `cluster_views{of="leader"}`: 0, `cluster_views{of="membership"}`: 1,
			`cluster_views{of="cluster_id"}`: 1, "cluster_voters_healthy": 0, "cluster_failure_tolerance": -2,
		}},
		"one knows no leader": {3, func(w *world) { w.fakes[1].status.Leader = 0 }, series{
			"cluster_has_leader": 1, `cluster_views{of="leader"}`: 1,
		}},
		"quorum lost, two of three dead": {3, func(w *world) { w.quorumLost(); w.dead(1, 2) }, series{
			"cluster_has_leader": 0, "cluster_voters_healthy": 0, "cluster_quorum_size": 2, "cluster_failure_tolerance": -2,
			`cluster_members{role="voter"}`: 3, `cluster_views{of="membership"}`: 1, `cluster_views{of="leader"}`: 0,
			"cluster_members_unmonitored": 0, // they are watched, and down
		}},
		"an unstarted voter raises the quorum": {3, func(w *world) { w.relist(append(slices.Clone(w.fakes[0].list.Members), unstarted)...) }, series{
			`cluster_members{role="voter"}`: 4, "cluster_members_unstarted": 1, "cluster_quorum_size": 3,
			"cluster_voters_healthy": 3, "cluster_failure_tolerance": 0, "cluster_members_unmonitored": 0,
			`member_started{member="",member_id="ff"}`:                                                          0,
			`member_info{client_urls="",learner="false",member="",member_id="ff",peer_urls="https://new:2380"}`: 1,
		}},
		"an unstarted voter takes the quorum of one": {1, func(w *world) {
			w.relist(append(slices.Clone(w.fakes[0].list.Members), unstarted)...)
			w.quorumLost()
		}, series{"cluster_quorum_size": 2, "cluster_voters_healthy": 0, "cluster_failure_tolerance": -2}},
		"an unstarted learner does not": {3, func(w *world) {
			m := unstarted
			m.Learner = true
			w.relist(append(slices.Clone(w.fakes[0].list.Members), m)...)
		}, series{"cluster_quorum_size": 2, "cluster_members_unstarted": 1, `cluster_members{role="learner"}`: 1, "cluster_failure_tolerance": 1}},
		"a learner neither votes nor has a say": {3, func(w *world) {
			learner := w.addLearner()
			learner.status.Leader, learner.status.ClusterID = 0xee, 0xd // lags behind
		}, series{
			`cluster_members{role="voter"}`: 3, `cluster_members{role="learner"}`: 1, "cluster_quorum_size": 2, "cluster_voters_healthy": 3,
			`cluster_views{of="membership"}`: 1, `cluster_views{of="leader"}`: 1, `cluster_views{of="cluster_id"}`: 1,
			"cluster_members_unmonitored": 0, "cluster_endpoints_unlisted": 0,
		}},
		"only a learner is left": {3, func(w *world) { w.addLearner(); w.dead(0, 1, 2) }, series{
			"cluster_has_leader": 0, "cluster_voters_healthy": 0, `cluster_views{of="leader"}`: 0, `cluster_views{of="cluster_id"}`: 0,
		}},
		"different member lists": {3, func(w *world) {
			w.fakes[2].list.Members = append(slices.Clone(w.fakes[2].list.Members), unstarted)
		}, series{
			`cluster_views{of="membership"}`: 2, `cluster_views{of="leader"}`: 1,
			`cluster_members{role="voter"}`: 3, // what most say counts
		}},
		"the order of a list is no difference": {3, func(w *world) {
			other := slices.Clone(w.fakes[2].list.Members)
			slices.Reverse(other)
			w.fakes[2].list.Members = other
		}, series{`cluster_views{of="membership"}`: 1}},
		"different leaders": {3, func(w *world) { w.fakes[2].status.Leader = idOf(2) }, series{
			`cluster_views{of="leader"}`: 2, `cluster_views{of="membership"}`: 1, "cluster_has_leader": 1,
		}},
		"different clusters": {3, func(w *world) {
			f := w.fakes[2]
			f.status.ClusterID, f.status.MemberID, f.status.Leader = 0xd, 0xb2, 0xb2
			f.list = etcd.MemberList{ClusterID: 0xd, Members: []etcd.Member{{ID: 0xb2, Name: "stray", ClientURLs: []string{urlOf(2)}}}}
		}, series{
			`cluster_views{of="cluster_id"}`: 2, `cluster_views{of="leader"}`: 2, `cluster_views{of="membership"}`: 2,
			"cluster_endpoints_unlisted": 1, "cluster_members_unmonitored": 1, "cluster_voters_healthy": 2, "cluster_failure_tolerance": 0,
		}},
		"an endpoint that is not listed": {3, func(w *world) { w.fakes[2].status.MemberID = 0xbad }, series{
			"cluster_endpoints_unlisted": 1, "cluster_members_unmonitored": 1, "cluster_voters_healthy": 2,
		}},
		"a second address of a listed member": {3, func(w *world) {
			f := w.add("https://127.0.0.1:2379")
			f.status, f.list = w.fakes[0].status, w.fakes[0].list
		}, series{"cluster_endpoints_unlisted": 0, "cluster_members_unmonitored": 0, "cluster_voters_healthy": 3}},
		"a member that nobody asks": {3, func(w *world) { w.endpoints, w.fakes = w.endpoints[:2], w.fakes[:2] }, series{
			"cluster_members_unmonitored": 1, "cluster_voters_healthy": 2, "cluster_failure_tolerance": 0, `cluster_members{role="voter"}`: 3,
		}},
		"a user who may not read the probe key": {3, func(w *world) {
			for _, f := range w.fakes {
				f.fail[qLinearizable] = refusal("Range", "PermissionDenied", etcd.ErrPermissionDenied)
			}
		}, series{"cluster_voters_healthy": 3, "cluster_failure_tolerance": 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(tt.voters)
			c := newMembers(w.deps)
			w.must(t, c) // so that there is a member list, should nobody give one
			tt.change(w)
			w.must(t, c).want(t, tt.want)
		})
	}
}

// TestMemberListOfEarlierScrape: it is used when nobody answers any more.
func TestMemberListOfEarlierScrape(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.relist(append(slices.Clone(w.fakes[0].list.Members), etcd.Member{ID: 0xfe}, etcd.Member{ID: 0xff})...)
	c := newMembers(w.deps)
	w.must(t, c)
	w.dead(0, 1, 2)
	w.must(t, c).want(t, series{
		`cluster_members{role="voter"}`: 5, "cluster_members_unstarted": 2, "cluster_quorum_size": 3,
		"cluster_voters_healthy": 0, "cluster_failure_tolerance": -3, "cluster_has_leader": 0,
		`cluster_views{of="membership"}`: 0, `cluster_views{of="leader"}`: 0, `cluster_views{of="cluster_id"}`: 0,
		`member_started{member="m0",member_id="a0"}`: 1, "cluster_members_unmonitored": 0, "cluster_endpoints_unlisted": 0,
	})
}

// TestConfiguredEndpointsStandForVoters: where there never was a member list.
func TestConfiguredEndpointsStandForVoters(t *testing.T) {
	t.Parallel()
	w := newWorld(5)
	for _, f := range w.fakes {
		f.fail[qMemberList] = refusal("MemberList", "PermissionDenied", etcd.ErrPermissionDenied)
	}
	w.dead(4)
	got, err := w.scrape(t.Context(), newMembers(w.deps))
	if err == nil {
		t.Error("endpoints that are up and refuse their list are no error")
	}
	got.want(t, series{
		"cluster_quorum_size": 3, "cluster_voters_healthy": 4, "cluster_failure_tolerance": 1, "cluster_has_leader": 1,
		`cluster_views{of="membership"}`: 0, `cluster_views{of="leader"}`: 1, `cluster_members{role="voter"}`: absent,
	})
}

// TestDownMemberIsMonitored: an endpoint that is down still stands for the member
// that it named last.
func TestDownMemberIsMonitored(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.endpoints[2].URL = "https://10.0.0.3:2379" // not what m2 advertises
	c := newMembers(w.deps)
	w.must(t, c)
	w.dead(2)
	w.must(t, c).want(t, series{"cluster_members_unmonitored": 0, "cluster_voters_healthy": 2})
}

// TestHangingReads: with the quorum lost, reads hang while all else answers.
func TestHangingReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(3)
		for _, f := range w.fakes {
			f.status.Leader, f.hang[qLinearizable] = 0, true
		}
		start := time.Now()
		w.must(t, newMembers(w.deps)).want(t, series{
			"cluster_has_leader": 0, "cluster_failure_tolerance": -2, `cluster_views{of="membership"}`: 1, `cluster_members{role="voter"}`: 3,
		})
		if took := time.Since(start); took != roundTime {
			t.Errorf("it took %v", took)
		}
	})
}
