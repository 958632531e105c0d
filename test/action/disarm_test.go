// SPDX-License-Identifier: Apache-2.0

package action_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/test/lab"
)

// TestDisarm: not while a database is full; afterwards each alarm on its own, and
// writes are taken again.
func TestDisarm(t *testing.T) {
	r := start(t, lab.Options{Members: 3, QuotaBytes: 16 * mib})
	wantOutcome(t, r.run(t, remediate.Policy{}, remediate.ActionDisarm), remediate.NothingToDo, "")
	if err := r.lab.FillToNoSpace(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, r.run(t, remediate.Policy{}, remediate.ActionDisarm), remediate.Refused, "of the quota of 16.0 MiB")
	if o := r.live.Observe(t.Context(), true); !o.HasAlarm(etcd.AlarmNoSpace) {
		t.Fatal("the alarm is gone")
	}

	deleted, err := r.client.Delete(t.Context(), "/lab/fill/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Compact(t.Context(), deleted.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	// Two of three have room again: that is not enough.
	for i, m := range r.lab.Members() {
		if i == len(r.lab.Members())-1 {
			wantOutcome(t, r.run(t, remediate.Policy{}, remediate.ActionDisarm), remediate.Refused, "the database of "+m.Name())
		}
		if _, err := r.client.Defragment(t.Context(), m.ClientURL()); err != nil {
			t.Fatal(err)
		}
	}
	alarms := len(r.live.Observe(t.Context(), true).Alarms)
	run := r.run(t, remediate.Policy{}, remediate.ActionDisarm)
	wantOutcome(t, run, remediate.Succeeded, "")
	if len(run.Steps) != alarms || alarms == 0 {
		t.Errorf("%d steps for %d alarms", len(run.Steps), alarms)
	}
	if _, err := r.client.Put(t.Context(), "/key", "v"); err != nil {
		t.Errorf("put: %v", err)
	}
	wantOutcome(t, r.run(t, remediate.Policy{}, remediate.ActionDisarm), remediate.NothingToDo, "")
}
