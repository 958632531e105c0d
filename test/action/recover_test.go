// SPDX-License-Identifier: Apache-2.0

package action_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/test/lab"
)

const keep = 3 * time.Second

func recoverPolicy() remediate.Policy {
	return remediate.Policy{
		Compact: remediate.Compact{Keep: keep},
		Defrag:  remediate.Defrag{MinReclaimable: 1 << 30, MinFragmentation: 0.9, MoveLeader: true},
	}
}

// watch keeps the revision clock while the test runs.
func (r *rig) watch(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if got, err := r.client.Get(ctx, "health"); err == nil {
				r.saw(time.Now(), got.Header.Revision)
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
}

// settled waits until all alarms are known, and the clock reaches back over the last write.
func (r *rig) settled(t *testing.T, age time.Duration) {
	t.Helper()
	head := r.head(t)
	for {
		revision, ok := r.RevisionAt(time.Now().Add(-age))
		if ok && revision >= head && r.live.Observe(t.Context(), true).HasAlarm(etcd.AlarmNoSpace) {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("no alarm")
		}
	}
}

func (r *rig) wantRecovered(t *testing.T) {
	t.Helper()
	o := r.live.Observe(t.Context(), true)
	for _, m := range o.Members {
		if m.Status.DBSize > 14*mib {
			t.Errorf("%s has %d bytes", m.Name, m.Status.DBSize)
		}
	}
	if len(o.Alarms) > 0 || o.AlarmsErr != nil {
		t.Errorf("alarms %v, %v", o.Alarms, o.AlarmsErr)
	}
	if _, err := r.client.Put(t.Context(), "/after", "v"); err != nil {
		t.Errorf("puts are refused still: %v", err)
	}
}

func kinds(run *remediate.Run) string {
	var all []string
	for _, s := range run.Steps {
		all = append(all, s.Action)
	}
	return strings.Join(slices.Compact(all), " ")
}

// TestRecoverFromHistory: keys that are written again and again fill the database.
func TestRecoverFromHistory(t *testing.T) {
	t.Parallel()
	r := start(t, lab.Options{Members: 3, QuotaBytes: 16 * mib})
	r.watch(t)
	value := strings.Repeat("v", 100<<10)
	for i := 0; ; i++ {
		_, err := r.client.Put(t.Context(), fmt.Sprintf("/registry/leases/%d", i%5), value)
		if errors.Is(err, rpctypes.ErrNoSpace) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r.settled(t, keep)
	plan := r.plan(t, recoverPolicy(), remediate.ActionRecoverSpace)
	wantOutcome(t, plan, remediate.Planned, "")
	if !plan.Has(remediate.StepCompact, "") {
		t.Errorf("planned: %s", kinds(plan))
	}
	run := r.run(t, recoverPolicy(), remediate.ActionRecoverSpace)
	wantOutcome(t, run, remediate.Succeeded, "")
	if got := kinds(run); got != "compact defrag move_leader defrag disarm" {
		t.Errorf("steps: %s", got)
	}
	r.wantRecovered(t)
	if got := r.keysBelow(t, "/registry/leases/"); len(got) != 5 {
		t.Errorf("%d keys are left", len(got))
	}
}

// TestRecoverFromEvents: events alone fill the database; they are pruned, and nothing
// is gained until a compaction may go past the last delete.
func TestRecoverFromEvents(t *testing.T) {
	t.Parallel()
	r := start(t, lab.Options{Members: 3, QuotaBytes: 16 * mib})
	r.watch(t)
	if err := r.lab.Load(t.Context(), lab.LoadOptions{Keys: 100}); err != nil {
		t.Fatal(err)
	}
	if _, full := r.flood(t, 1_000_000, strings.Repeat("BackOff", 200)); !full {
		t.Fatal("it is not full")
	}
	r.settled(t, keep)
	old := r.keysBelow(t, events) // the put that finds the database full is applied or not
	outside := r.outside(t)

	policy := recoverPolicy()
	policy.PruneEvents = &remediate.PruneEvents{Prefix: events, OlderThan: time.Second, MaxKeys: 1_000_000, KeysPerSecond: 10_000}
	run := r.run(t, policy, remediate.ActionRecoverSpace)
	wantOutcome(t, run, remediate.Succeeded, "")
	if got := kinds(run); !strings.HasSuffix(got, "prune_events wait compact defrag move_leader defrag disarm") {
		t.Errorf("steps: %s", got)
	}
	r.wantRecovered(t)
	if n := len(r.keysBelow(t, events)); n != 0 || run.Pruned() != int64(len(old)) {
		t.Errorf("%d events are left, the run says that %d of %d went", n, run.Pruned(), len(old))
	}
	if _, err := r.client.Delete(t.Context(), "/after"); err != nil || r.outside(t) != outside {
		t.Errorf("something outside the prefix has changed, or: %v", err)
	}
	i := slices.IndexFunc(run.Steps, func(s *remediate.Step) bool { return s.Action == remediate.StepWait })
	first, past, last := run.Steps[i+1], run.Steps[i+2], run.Steps[i-1]
	if past.Revision < last.Revision || first.StartedAt.Before(last.FinishedAt.Add(keep)) {
		t.Errorf("compacted to %d %s after the last delete %d", past.Revision, first.StartedAt.Sub(last.FinishedAt), last.Revision)
	}
}
