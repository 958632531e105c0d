// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

const reclaim = `  policies:
    - {name: reclaim, matchers: ['alertname="EtcdFragmented"'], clusters: [lab], action: defrag, stable_for: 1s, accept_unknown_disk: true, cooldown: 1h, max_runs_per_day: 50, defrag: {min_reclaimable: 1MiB, settle: 3s}}
`

// done lists the steps of a run that came to their end without a fault.
func done(r Run, action string) (urls []string) {
	for _, s := range r.Steps {
		if s.Action == action && s.FinishedAt != "" && s.Error == "" {
			urls = append(urls, s.URL)
		}
	}
	return urls
}

// TestKilledBetweenMembers: the run is recorded as interrupted and counts, its intent
// stays, and what was done is not done again.
func TestKilledBetweenMembers(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 3)
	fragment(t, l, 16)
	config := writeConfig(t, l, reclaim)
	s := serve(t, config, "--mode=enforce", open)
	s.watched("defrag")
	s.Fire("alertname", "EtcdFragmented")
	s.until(30*time.Second, "a member is done", func(r Run) bool { return len(done(r, "defrag")) > 0 })
	s.Kill()

	s = serve(t, config, "--mode=enforce", open)
	cut := s.first()
	before := done(cut, "defrag")
	if len(before) == 0 || len(before) == 3 {
		t.Fatalf("it was not cut short between members: %+v", cut)
	}
	if !strings.Contains(s.Log(), "was interrupted") || !strings.Contains(s.Log(), cut.ID) {
		t.Error("the log does not tell of the run")
	}
	s.watched("defrag")
	s.again(20*time.Second, "the cool-down counts from the run that was cut short", refused("cooldown"))

	amend(t, config, "cooldown: 1h", "cooldown: 0s")
	if status, body := s.Do(http.MethodPost, "/-/reload", "{}"); status != http.StatusOK {
		t.Fatalf("/-/reload answers %d: %s", status, body)
	}
	rest := s.again(30*time.Second, "the rest is done", ended("succeeded"))
	for _, url := range done(rest, "defrag") {
		if slices.Contains(before, url) {
			t.Errorf("%s was defragmented twice", url)
		}
	}
	if n := len(before) + len(done(rest, "defrag")); n != 3 {
		t.Errorf("%d members were defragmented: %v, then %+v", n, before, rest.Steps)
	}
	toldToStop(t, l, config, s)
}

// toldToStop: SIGTERM between two members; the present one was brought to its end,
// and the next is not begun.
func toldToStop(t *testing.T, l *lab.Lab, config string, s *Server) {
	t.Helper()
	fragment(t, l, 8)
	s.Fire("alertname", "EtcdFragmented")
	s.until(30*time.Second, "a member is done", func(r Run) bool { return r.Outcome == "" && len(done(r, "defrag")) > 0 })
	begun, id := time.Now(), s.Runs()[0].ID
	s.terminate()
	if status := s.gone(10 * time.Second); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %s to end, as if it had waited for the next member", took)
	}
	for _, line := range []string{"the present transaction or member is brought to its end", "stopped: no run is under way", "outcome=interrupted"} {
		if !strings.Contains(s.Log(), line) {
			t.Errorf("the log does not say %q", line)
		}
	}
	s = serve(t, config, "--mode=enforce", open)
	if run := s.interrupted(id); len(run.Steps) != len(done(run, "defrag")) {
		t.Errorf("after SIGTERM: %+v", run)
	}
	s.watched("defrag")
	s.again(30*time.Second, "the rest is done", ended("succeeded"))
}

const prune = `  policies:
    - {name: flood, matchers: ['alertname="EtcdEventsFlood"'], clusters: [lab], action: prune_events, ` + small + eager + `, require_snapshot: "off", prune_events: {prefix: /registry/events/, keys_per_second: 500}}
`

// TestKilledInAPrune: the next process deletes the rest, and leaves alone what was
// written again under the name of a key that had gone.
func TestKilledInAPrune(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 1)
	keys := flood(t, l, 1500, "BackOff")
	for _, key := range []string{"/registry/events", "/registry/eventsx/a/b", "/registry/pods/a/b"} {
		put(t, l, key, oldEvent(t, "a", "b", "Outside"))
	}
	config := writeConfig(t, l, prune)
	s := serve(t, config, "--mode=enforce", open)
	s.watched("prune_events")
	s.Fire("alertname", "EtcdEventsFlood")
	awaitPruned(t, l, len(keys)-200)
	s.Kill()
	left := keysBelow(t, l, events)
	if left == 0 {
		t.Fatal("it was killed too late")
	}
	again := writeAgain(t, l, keys, 40)

	s = serve(t, config, "--mode=enforce", open)
	cut := s.first()
	if last := cut.Steps[len(cut.Steps)-1]; last.Error != "interrupted" {
		t.Errorf("the step that was cut short: %+v", last)
	}
	s.watched("prune_events")
	run := s.again(30*time.Second, "the rest is deleted", ended("succeeded"))
	if n := keysBelow(t, l, events); n != len(again) {
		t.Errorf("%d events are left, and %d were written again", n, len(again))
	}
	var deleted int64
	for _, step := range run.Steps {
		deleted += step.Keys
	}
	if deleted != int64(left) {
		t.Errorf("%d keys were left by the first run, and the second says that it deleted %d", left, deleted)
	}
	if n := keysBelow(t, l, "/registry/") - keysBelow(t, l, events); n != 3 {
		t.Errorf("%d keys outside are left", n)
	}
	s.Stop()
	toldToStopPruning(t, l)
}

func awaitPruned(t *testing.T, l *lab.Lab, left int) {
	t.Helper()
	await(t, 30*time.Second, "the prune is under way", func() error {
		if n := keysBelow(t, l, events); n > left {
			return fmt.Errorf("%d events are left", n)
		}
		return nil
	})
}

// writeAgain writes n of the keys that have gone, with values as old as before.
func writeAgain(t *testing.T, l *lab.Lab, keys []string, n int) (again []string) {
	t.Helper()
	for _, key := range keys {
		if len(again) == n {
			return again
		}
		if keysBelow(t, l, key) > 0 {
			continue
		}
		namespace, name, _ := strings.Cut(strings.TrimPrefix(key, events), "/")
		put(t, l, key, oldEvent(t, namespace, name, "Again"))
		again = append(again, key)
	}
	t.Fatalf("only %d keys have gone", len(again))
	return nil
}

// toldToStopPruning: SIGTERM ends a prune after its transaction, and the record
// tells to the key what was deleted.
func toldToStopPruning(t *testing.T, l *lab.Lab) {
	t.Helper()
	all := len(flood(t, l, 1500, "BackOff"))
	config := writeConfig(t, l, prune) // another journal, whose clock begins after these writes
	s := serve(t, config, "--mode=enforce", open)
	s.watched("prune_events")
	s.Fire("alertname", "EtcdEventsFlood")
	awaitPruned(t, l, all-200)
	s.terminate()
	if status := s.gone(5 * time.Second); status != 0 {
		t.Errorf("exit status %d", status)
	}
	left := keysBelow(t, l, events)

	s = serve(t, config, "--mode=enforce", open)
	run := s.first()
	var deleted int64
	for _, step := range run.Steps {
		deleted += step.Keys
	}
	if deleted != int64(all-left) || left == 0 {
		t.Errorf("%d of %d keys are left, and the record says that %d were deleted", left, all, deleted)
	}
}

// TestEndsInADefragmentation: one that is under way is waited for after a SIGTERM, and
// not after a second one; a kill in the middle of it counts; and a member whose
// answer nobody heard is not defragmented again.
func TestEndsInADefragmentation(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 1)
	fragment(t, l, 8)
	h := startHoldup(t, l.Member(0), aDefragment)
	config := h.in(t, writeConfig(t, l, strings.Replace(reclaim, "action: defrag, stable_for: 1s, accept_unknown_disk: true, cooldown: 1h, max_runs_per_day: 50", "action: defrag, "+small+eager, 1)))
	s := serve(t, config, "--mode=enforce", open)
	s.watched("defrag")
	s.Fire("alertname", "EtcdFragmented")
	h.await(t)
	s.terminate()
	select {
	case <-s.ended:
		t.Errorf("it did not wait for the member:\n%s", s.Log())
	case <-time.After(time.Second):
	}
	s.terminate()
	if status := s.gone(2 * time.Second); status != 1 {
		t.Errorf("exit status %d after a second SIGTERM", status)
	}
	if !strings.Contains(s.Log(), "ended at once") {
		t.Error("the log does not tell of the second signal")
	}

	s = serve(t, config, "--mode=enforce", open)
	if cut := s.first(); len(cut.Steps) != 1 || cut.Steps[0].Error != "interrupted" {
		t.Errorf("after a second SIGTERM: %+v", cut)
	}
	s.watched("defrag")
	s.again(20*time.Second, "nothing is left to do", ended("nothing_to_do"))

	fragment(t, l, 8)
	s.Fire("alertname", "EtcdFragmented")
	h.await(t)
	id := s.Runs()[0].ID
	s.terminate()
	h.free <- struct{}{}
	if status := s.gone(5 * time.Second); status != 0 {
		t.Errorf("exit status %d after one SIGTERM", status)
	}
	s = serve(t, config, "--mode=enforce", open)
	if run := s.interrupted(id); len(done(run, "defrag")) != 1 {
		t.Errorf("the member was waited for, and the record says %+v", run)
	}
	if len(h.begun) > 0 {
		t.Error("a member was defragmented twice")
	}
}
