// SPDX-License-Identifier: Apache-2.0

package action_test

import (
	"slices"
	"testing"

	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/test/lab"
)

var defragPolicy = remediate.Policy{Defrag: remediate.Defrag{MinReclaimable: mib, MinFragmentation: 0.45, MoveLeader: true}}

// TestDefrag: followers first, then the leadership moves, then the old leader; a plan
// shows just that and changes nothing, and a second run finds nothing.
func TestDefrag(t *testing.T) {
	r := start(t, lab.Options{Members: 3})
	r.fragment(t)
	before := r.live.Observe(t.Context(), false)
	leader, ok := before.Leader()
	if !ok {
		t.Fatal("no leader")
	}
	// A learner is never touched: etcd itself would refuse.
	if _, err := r.lab.AddLearner(t.Context()); err != nil {
		t.Fatal(err)
	}
	planned := r.plan(t, defragPolicy, remediate.ActionDefrag)
	wantOutcome(t, planned, remediate.Planned, "4 steps")
	for _, m := range r.live.Observe(t.Context(), false).Voters() {
		if old, _ := before.Member(m.ID); m.Status.DBSize < old.Status.DBSize {
			t.Errorf("the plan made %s smaller", m.Name)
		}
	}

	run := r.run(t, defragPolicy, remediate.ActionDefrag)
	wantOutcome(t, run, remediate.Succeeded, "")
	order := steps(run)
	var followers []string
	for _, m := range before.Voters() {
		if m.ID != leader.ID {
			followers = append(followers, "defrag "+m.Name)
		}
	}
	first := slices.Sorted(slices.Values(order[:2]))
	if !slices.Equal(first, followers) && !slices.Equal(first, []string{followers[1], followers[0]}) ||
		!slices.Equal(order[2:], []string{"move_leader " + leader.Name, "defrag " + leader.Name}) {
		t.Errorf("steps %q; %s led", order, leader.Name)
	}
	after := r.live.Observe(t.Context(), false)
	now, ok := after.Leader()
	if !ok || now.ID == leader.ID || !slices.Equal(r.moved, []uint64{now.ID}) {
		t.Errorf("%s leads, %t; moved to %x", now.Name, ok, r.moved)
	}
	for _, m := range after.Voters() {
		if m.Status.DBSize > 5*mib {
			t.Errorf("%s has still %d bytes", m.Name, m.Status.DBSize)
		}
	}
	if run.Reclaimed() < 30*mib || run.Reclaimed() < run.Estimated()*9/10 {
		t.Errorf("reclaimed %d of %d bytes", run.Reclaimed(), run.Estimated())
	}
	wantOutcome(t, r.run(t, defragPolicy, remediate.ActionDefrag), remediate.NothingToDo, "")
}
