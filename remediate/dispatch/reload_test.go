// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/journal"
	"github.com/etcdops/etcdops/remediate/webhook"
)

// TestReloadBeforeItsTurn: what is in force when the turn comes counts, not what was
// when the alert came.
func TestReloadBeforeItsTurn(t *testing.T) {
	policy := func(mode string, clusters ...string) []remediate.Policy {
		return []remediate.Policy{{Name: "p", Mode: mode, Action: remediate.ActionCompact, Clusters: clusters}}
	}
	for name, test := range map[string]struct {
		change func(ctx context.Context, w *world) error
		want   int64
	}{
		"nothing changed": {func(context.Context, *world) error { return nil }, 2},
		"it only plans now": {func(_ context.Context, w *world) error {
			w.Replace(w.now().targets, policy(remediate.ModePlan, "a", "b"), w.now().guards)
			return nil
		}, 1},
		"the cluster is not allowed any more": {func(_ context.Context, w *world) error {
			w.Replace(w.now().targets, policy(remediate.ModeEnforce, "a"), w.now().guards)
			return nil
		}, 1},
		"the policy is gone": {func(_ context.Context, w *world) error {
			w.Replace(w.now().targets, nil, w.now().guards)
			return nil
		}, 1},
		"the alert was resolved": {func(ctx context.Context, w *world) error {
			return w.Accept(ctx, []webhook.Hit{hit("b", "2", webhook.Resolved)})
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, remediate.ModeEnforce, 1, "a", "b")
				w.took = time.Minute
				w.run(t, func(ctx context.Context) {
					for _, h := range []webhook.Hit{hit("a", "1", webhook.Firing), hit("b", "2", webhook.Firing)} {
						if err := w.Accept(ctx, []webhook.Hit{h}); err != nil {
							t.Fatal(err)
						}
						settle(5 * time.Second)
					}
					if err := test.change(ctx, w); err != nil {
						t.Fatal(err)
					}
					settle(5 * time.Minute)
				})
				if n := w.applied.Load(); n != test.want {
					t.Errorf("%d runs acted, want %d", n, test.want)
				}
			})
		})
	}
}

// TestNotAllowedAnyMore: an intent of a cluster that the policy lost, and an approval
// of a run whose policy does something else now.
func TestNotAllowedAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, remediate.ModeApprove, 1, "a")
		w.run(t, func(ctx context.Context) {
			if err := w.Accept(ctx, []webhook.Hit{hit("a", "1", webhook.Firing)}); err != nil {
				t.Fatal(err)
			}
			settle(5 * time.Second)
			waiting := w.journal.Awaiting()
			if len(waiting) != 1 {
				t.Fatalf("%d runs wait", len(waiting))
			}
			changed := w.now().policies[0]
			changed.Action = remediate.ActionDefrag
			w.Replace(w.now().targets, []remediate.Policy{changed}, w.now().guards)
			if _, err := w.Approve(ctx, waiting[0].ID, "ann", How{}); !isUsage(err) {
				t.Errorf("a run of another action was approved: %v", err)
			}
			changed.Clusters = nil
			w.Replace(w.now().targets, []remediate.Policy{changed}, w.now().guards)
			settle(5 * time.Second)
			if open := w.journal.Intents(); len(open) != 0 {
				t.Errorf("open intents %+v", open)
			}
		})
		if n := w.applied.Load(); n != 0 {
			t.Errorf("%d runs acted", n)
		}
	})
}

// TestApprovedTooLate: a run whose policy was changed after its approval, while it
// waited for its turn, has ended, and does not seem to go on.
func TestApprovedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, remediate.ModeApprove, 1, "a", "b")
		w.took = time.Hour
		w.run(t, func(ctx context.Context) {
			if err := w.Accept(ctx, []webhook.Hit{hit("a", "1", webhook.Firing)}); err != nil {
				t.Fatal(err)
			}
			settle(5 * time.Second)
			go func() { _, _ = w.ByHand(ctx, Request{Action: remediate.ActionCompact, Cluster: "b"}, How{}) }()
			settle(time.Second)
			id := w.journal.Awaiting()[0].ID
			if err := w.ApproveSoon(ctx, id, "ann"); err != nil {
				t.Fatal(err)
			}
			changed := w.now().policies[0]
			changed.Clusters = []string{"b"}
			w.Replace(w.now().targets, []remediate.Policy{changed}, w.now().guards)
			settle(2 * time.Hour)
			run, _ := w.journal.Run(id)
			if run.Outcome != remediate.Refused || !strings.Contains(run.Reason, "does not allow") || run.FinishedAt.IsZero() {
				t.Errorf("%+v", run)
			}
		})
		if n := w.applied.Load(); n != 1 { // the one by hand
			t.Errorf("%d runs acted", n)
		}
	})
}

// TestApprovedInTime: a run that was approved does not expire while it waits for its
// turn.
func TestApprovedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, remediate.ModeApprove, 1, "a", "b")
		w.took = time.Hour
		w.run(t, func(ctx context.Context) {
			if err := w.Accept(ctx, []webhook.Hit{hit("a", "1", webhook.Firing)}); err != nil {
				t.Fatal(err)
			}
			settle(29 * time.Minute)
			go func() { _, _ = w.ByHand(ctx, Request{Action: remediate.ActionCompact, Cluster: "b"}, How{}) }()
			settle(time.Second)
			if err := w.ApproveSoon(ctx, w.journal.Awaiting()[0].ID, "ann"); err != nil {
				t.Fatal(err)
			}
			settle(3 * time.Hour)
		})
		if n := w.applied.Load(); n != 2 {
			t.Errorf("%d runs acted", n)
		}
		for _, outcome := range w.outcomes() {
			if outcome == remediate.Expired {
				t.Error("an approved run expired")
			}
		}
		if left := w.journal.ClosedIntents(); len(left) != 1 || left[0].ClosedWhy != journal.ClosedDone {
			t.Errorf("intents %+v", left)
		}
	})
}
