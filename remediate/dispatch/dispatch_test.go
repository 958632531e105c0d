// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/journal"
	"github.com/etcdops/etcdops/remediate/webhook"
)

// TestOneIntent: however often and by whomever an alert is delivered, one run.
func TestOneIntent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, remediate.ModeEnforce, 1, "a")
		w.took = time.Minute
		w.run(t, func(ctx context.Context) {
			for i := range 10 {
				if err := w.Accept(ctx, []webhook.Hit{hit("a", fmt.Sprint(i%2), webhook.Firing)}); err != nil {
					t.Fatal(err)
				}
				settle(time.Second)
			}
			settle(2 * time.Minute)
		})
		if n := w.applied.Load(); n != 1 {
			t.Errorf("%d runs", n)
		}
		if left := w.journal.Intents(); len(left) != 0 {
			t.Errorf("intents after the run: %+v", left)
		}
	})
}

// TestTriedAgain: a refusal is tried again, later and later, until it passes; a
// resolved alert ends it.
func TestTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, remediate.ModeEnforce, 1, "a")
		w.refuse.Store(&remediate.Blocked{Reason: "ill"})
		w.run(t, func(ctx context.Context) {
			if err := w.Accept(ctx, []webhook.Hit{hit("a", "1", webhook.Firing)}); err != nil {
				t.Fatal(err)
			}
			settle(30 * time.Minute)
			tries := len(w.outcomes())
			if tries < 4 || tries > 7 { // after 1, 2, 4, 8 and 10 minutes
				t.Errorf("%d tries in half an hour", tries)
			}
			if !w.Firing("p", "a") {
				t.Error("the alert does not count as firing")
			}
			w.refuse.Store(nil)
			settle(11 * time.Minute)
			if n := w.applied.Load(); n != 1 {
				t.Errorf("%d runs once the guard allows", n)
			}
			w.refuse.Store(&remediate.Blocked{Reason: "ill"})
			for _, status := range []string{webhook.Firing, webhook.Resolved} {
				if err := w.Accept(ctx, []webhook.Hit{hit("a", "1", status)}); err != nil {
					t.Fatal(err)
				}
				settle(5 * time.Second)
			}
			tries = len(w.outcomes())
			settle(time.Hour)
			if now := len(w.outcomes()); now != tries {
				t.Errorf("a resolved alert was tried %d times more", now-tries)
			}
			if w.Firing("p", "a") {
				t.Error("a resolved alert counts as firing")
			}
		})
	})
}

// TestManyAlerts: what is remembered of alerts that fire has a bound, and those of which
// nothing was heard for hours make room.
func TestManyAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, remediate.ModePlan, 1, "a")
		w.run(t, func(ctx context.Context) {
			for round := range 3 {
				var hits []webhook.Hit
				for i := range 2 * maxFiring {
					hits = append(hits, hit("a", fmt.Sprint(round, i), webhook.Firing))
				}
				if err := w.Accept(ctx, hits); err != nil {
					t.Fatal(err)
				}
				if n := len(w.firing[intentKey{"p", "a"}]); n != maxFiring {
					t.Errorf("%d alerts are remembered", n)
				}
				if _, fresh := w.firing[intentKey{"p", "a"}][fmt.Sprint(round, 0)]; !fresh {
					t.Errorf("round %d: the alerts of hours ago leave no room", round)
				}
				settle(intentAge)
			}
		})
	})
}

// TestSixHours: then nobody tries any more.
func TestSixHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, remediate.ModeEnforce, 1, "a")
		w.refuse.Store(&remediate.Blocked{Reason: "ill"})
		w.run(t, func(ctx context.Context) {
			if err := w.Accept(ctx, []webhook.Hit{hit("a", "1", webhook.Firing)}); err != nil {
				t.Fatal(err)
			}
			settle(6*time.Hour + time.Minute)
			closed := w.journal.ClosedIntents()
			if len(w.journal.Intents()) != 0 || len(closed) != 1 || closed[0].ClosedWhy != journal.ClosedExpired {
				t.Errorf("open %+v, closed %+v", w.journal.Intents(), closed)
			}
		})
	})
}

// TestFailureEndsIt: the first failure of a run that did something is the last.
func TestFailureEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, remediate.ModeEnforce, 1, "a")
		w.stepErr = errors.New("broken")
		w.run(t, func(ctx context.Context) {
			if err := w.Accept(ctx, []webhook.Hit{hit("a", "1", webhook.Firing)}); err != nil {
				t.Fatal(err)
			}
			settle(time.Hour)
		})
		if got := w.outcomes(); !slices.Equal(got, []remediate.Outcome{remediate.Failed}) {
			t.Errorf("outcomes %v", got)
		}
	})
}

// TestOneAtATime: across all clusters no more than configured, on one cluster one.
func TestOneAtATime(t *testing.T) {
	for _, concurrent := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, remediate.ModeEnforce, concurrent, "a", "b", "c")
			w.took = time.Minute
			w.run(t, func(ctx context.Context) {
				hits := []webhook.Hit{hit("a", "1", webhook.Firing), hit("b", "2", webhook.Firing), hit("c", "3", webhook.Firing)}
				if err := w.Accept(ctx, hits); err != nil {
					t.Fatal(err)
				}
				var hands sync.WaitGroup
				for range 3 {
					hands.Go(func() {
						if _, err := w.ByHand(ctx, Request{Action: remediate.ActionCompact, Cluster: "a"}, How{}); err != nil {
							t.Error(err)
						}
					})
				}
				settle(10 * time.Second)
				if n := w.Queued(); n != 6-concurrent {
					t.Errorf("%d are queued", n)
				}
				hands.Wait()
				settle(10 * time.Minute)
			})
			if most := w.most.Load(); most != int64(concurrent) || w.applied.Load() != 6 {
				t.Errorf("%d at one time, want %d; %d runs", most, concurrent, w.applied.Load())
			}
		})
	}
}

// TestApproval: a run of mode approve waits for its person, once, for half an hour.
func TestApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, remediate.ModeApprove, 1, "a")
		w.run(t, func(ctx context.Context) {
			accept := func() *remediate.Run {
				if err := w.Accept(ctx, []webhook.Hit{hit("a", "1", webhook.Firing)}); err != nil {
					t.Fatal(err)
				}
				settle(5 * time.Minute)
				waiting := w.journal.Awaiting()
				if len(waiting) != 1 {
					t.Fatalf("%d runs wait for an approval", len(waiting))
				}
				return waiting[0]
			}
			first := accept()
			if len(first.Steps) != 1 || w.applied.Load() != 0 {
				t.Fatalf("%d steps planned, %d done before the approval", len(first.Steps), w.applied.Load())
			}
			run, err := w.Approve(ctx, first.ID, "ann", How{})
			if err != nil || run.Outcome != remediate.Succeeded || w.applied.Load() != 1 {
				t.Fatalf("%v, %+v", err, run)
			}
			if _, err = w.Approve(ctx, first.ID, "bob", How{}); !errors.Is(err, ErrNotAwaiting) {
				t.Errorf("a second approval: %v", err)
			}
			if _, err = w.Approve(ctx, "none", "bob", How{}); !errors.Is(err, ErrUnknownRun) {
				t.Errorf("of an unknown run: %v", err)
			}
			second := accept()
			settle(31 * time.Minute)
			if _, err = w.Approve(ctx, second.ID, "ann", How{}); !errors.Is(err, ErrExpired) {
				t.Errorf("too late: %v", err)
			}
		})
	})
}

// TestStop: what waits its turn is not begun, what is under way is finished, and the
// intent is there at the next start.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, remediate.ModeEnforce, 1, "a", "b")
		w.took = time.Minute
		w.run(t, func(ctx context.Context) {
			if err := w.Accept(ctx, []webhook.Hit{hit("a", "1", webhook.Firing), hit("b", "2", webhook.Firing)}); err != nil {
				t.Fatal(err)
			}
			settle(10 * time.Second)
		})
		if n := w.applied.Load(); n != 1 {
			t.Errorf("%d steps", n)
		}
		if err := w.Accept(t.Context(), []webhook.Hit{hit("a", "1", webhook.Firing)}); !errors.Is(err, webhook.ErrUnavailable) {
			t.Errorf("an alert after the end: %v", err)
		}
		if n := len(w.journal.Intents()); n != 2 {
			t.Errorf("%d intents are left", n)
		}
	})
}

func TestBackOff(t *testing.T) {
	var got []time.Duration
	for tries := 1; tries < 7; tries++ {
		got = append(got, backOff(tries)/time.Minute)
	}
	if want := []time.Duration{1, 2, 4, 8, 10, 10}; !slices.Equal(got, want) {
		t.Errorf("%v minutes, want %v", got, want)
	}
}

// TestUsage: a request by hand that does not fit the configuration.
func TestUsage(t *testing.T) {
	w := newWorld(t, remediate.ModePlan, 1, "a")
	defer w.journal.Close()
	for name, q := range map[string]Request{
		"unknown cluster":         {Action: remediate.ActionCompact, Cluster: "z"},
		"unknown policy":          {Action: remediate.ActionCompact, Cluster: "a", Policy: "z"},
		"policy of another":       {Action: remediate.ActionDefrag, Cluster: "a", Policy: "p"},
		"no policy, no parameter": {Action: remediate.ActionPruneEvents, Cluster: "a"},
	} {
		if _, err := w.ByHand(t.Context(), q, How{}); !isUsage(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func isUsage(err error) bool {
	_, ok := errors.AsType[*UsageError](err)
	return ok
}
