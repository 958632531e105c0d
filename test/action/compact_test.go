// SPDX-License-Identifier: Apache-2.0

package action_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/test/lab"
)

// TestCompact: to a revision that is old enough, not further, and only once.
func TestCompact(t *testing.T) {
	r := start(t, lab.Options{Members: 3})
	for i := range 100 {
		if _, err := r.client.Put(t.Context(), "/key", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	policy := remediate.Policy{Compact: remediate.Compact{Keep: 10 * time.Minute}}
	wantOutcome(t, r.run(t, policy, remediate.ActionCompact), remediate.Refused, "no revision has been seen yet")
	r.saw(r.now().Add(-time.Minute), r.head(t))
	wantOutcome(t, r.run(t, policy, remediate.ActionCompact), remediate.Refused, "watched for 1m")

	to := r.head(t) - 40
	r.saw(r.now().Add(-11*time.Minute), to)
	wantOutcome(t, r.plan(t, policy, remediate.ActionCompact), remediate.Planned, "1 step")
	readable(t, r, 2, true)
	run := r.run(t, policy, remediate.ActionCompact)
	wantOutcome(t, run, remediate.Succeeded, "")
	if s := run.Steps[0]; s.Revision != to || s.BeforeBytes == 0 || s.AfterBytes == 0 {
		t.Errorf("%+v", s)
	}
	readable(t, r, to-1, false)
	readable(t, r, to, true)
	wantOutcome(t, r.run(t, policy, remediate.ActionCompact), remediate.NothingToDo, "")

	// Nothing was written for long: the head itself stays all the same.
	r.saw(r.now().Add(-11*time.Minute), r.head(t))
	planned := r.plan(t, policy, remediate.ActionCompact)
	wantOutcome(t, planned, remediate.Planned, "1 step")
	if s := planned.Steps[0]; s.Revision != r.head(t)-1 {
		t.Errorf("to be compacted to %d, the head is %d", s.Revision, r.head(t))
	}
}

func readable(t *testing.T, r *rig, revision int64, want bool) {
	t.Helper()
	_, err := r.client.Get(t.Context(), "/key", clientv3.WithRev(revision))
	if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		t.Fatal(err)
	}
	if (err == nil) != want {
		t.Errorf("revision %d: %v", revision, err)
	}
}
