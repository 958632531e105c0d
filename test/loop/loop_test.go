// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/stack"
)

// TestLoop: six causes on one stack that nobody touches between cause and cure. The
// first three do not get into each other's way, and one takes a minute to be told of.
func TestLoop(t *testing.T) {
	began, s := time.Now(), startStack(t)
	t.Run("at a time", func(t *testing.T) {
		t.Run("fragmentation", func(t *testing.T) { t.Parallel(); fragmentation(t, s) })
		t.Run("others", func(t *testing.T) {
			t.Parallel()
			t.Run("stale backup", func(t *testing.T) { staleBackup(t, s) })
			t.Run("event flood", func(t *testing.T) { eventFlood(t, s) })
		})
	})
	t.Run("no space", func(t *testing.T) { noSpace(t, s) })
	t.Run("blocked", func(t *testing.T) { blocked(t, s) })
	t.Run("webhook unreachable", func(t *testing.T) { webhookUnreachable(t, s) })
	t.Run("dashboards", func(t *testing.T) { dashboards(t, s, began) })
	for _, n := range s.People.Heard(time.Time{}) {
		if n.Name() == "EtcdRemediationHeartbeat" {
			t.Fatalf("people on %s were told of the heartbeat", n.To)
		}
	}
}

// flood is how many events are written, a few more than the alert allows.
const flood = 6000

func staleBackup(t *testing.T, s *stack.Stack) {
	c := begin(t, s, func(context.Context) error { return s.AgeBackups(3 * time.Hour) })
	c.fires("EtcdBackupTooOld")
	c.people("warning", "firing", "EtcdBackupTooOld")
	if run := c.run("backup", "succeeded"); run.Action != "snapshot" {
		t.Errorf("the run: %+v", run)
	}
	c.cured("warning", "EtcdBackupTooOld")
}

func eventFlood(t *testing.T, s *stack.Stack) {
	c := begin(t, s, func(ctx context.Context) error { return s.Flood(ctx, flood) })
	c.fires("EtcdEventsFlood")
	c.people("warning", "firing", "EtcdEventsFlood")
	c.run("flood", "succeeded")
	if left, err := s.Events(t.Context()); err != nil || left != 0 {
		t.Errorf("%d of %d events are left (%v)", left, flood, err)
	}
	c.cured("warning", "EtcdEventsFlood")
}

func fragmentation(t *testing.T, s *stack.Stack) {
	c := begin(t, s, func(ctx context.Context) error { return s.Fragment(ctx, 24) })
	c.fires("EtcdFragmented")
	c.people("warning", "firing", "EtcdFragmented")
	c.smaller(c.run("reclaim", "succeeded"))
	c.cured("warning", "EtcdFragmented")
}

// smaller wants every member to be smaller after a run.
func (s *scene) smaller(run stack.Run) {
	s.t.Helper()
	seen := map[string]bool{}
	for _, step := range run.Steps {
		if step.Action == "defrag" && step.AfterBytes < step.BeforeBytes/2 {
			seen[step.URL] = true
		}
	}
	if len(seen) != len(s.Lab.Members()) {
		s.t.Errorf("not every member was defragmented: %+v", run.Steps)
	}
}

func noSpace(t *testing.T, s *stack.Stack) {
	c := begin(t, s, s.Fill)
	if err := s.Write(t.Context()); err == nil {
		t.Fatal("etcd takes writes: it is not full")
	}
	c.fires("EtcdAlarmNoSpace")
	c.people("critical", "firing", "EtcdAlarmNoSpace")
	c.run("full", "succeeded")
	c.after("etcd takes writes again", func() error { return s.Write(t.Context()) })
	c.cured("critical", "EtcdAlarmNoSpace")
}

// blocked: a guard refuses for as long as a member is down, people hear of it, and once
// the member is back the intent acts by itself.
func blocked(t *testing.T, s *stack.Stack) {
	member := s.Lab.Member(0)
	c := begin(t, s, func(ctx context.Context) error {
		return errors.Join(member.Stop(ctx), s.Flood(ctx, flood))
	})
	c.fires("EtcdEventsFlood")
	if run := c.run("flood", "refused"); !slices.Contains(run.RefusedBy(), "health") {
		t.Errorf("refused by %v: %s", run.RefusedBy(), run.Reason)
	}
	c.fires("EtcdRemediationBlocked")
	c.people("warning", "firing", "EtcdRemediationBlocked")
	must(t, member.Restart(t.Context()))
	t.Logf("%5.1f s  the member is back", time.Since(c.began).Seconds())
	c.run("flood", "succeeded")
	c.resolved("EtcdEventsFlood")
	c.cured("warning", "EtcdRemediationBlocked")
}

// webhookUnreachable: the chain is broken where no other alert can see it.
func webhookUnreachable(t *testing.T, s *stack.Stack) {
	c := begin(t, s, func(ctx context.Context) error { return s.RouteWebhook(ctx, "http://127.0.0.1:1") })
	c.fires("EtcdRemediationHeartbeatMissing")
	c.people("warning", "firing", "EtcdRemediationHeartbeatMissing")
	must(t, s.RouteWebhook(t.Context(), s.Remediator.URL))
	c.cured("warning", "EtcdRemediationHeartbeatMissing")
}
