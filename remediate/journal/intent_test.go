// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestIntents(t *testing.T) {
	r := newRig(t, Options{})
	ctx := t.Context()
	alert := func(policy, fingerprint string) Intent {
		return Intent{Policy: policy, Cluster: "prod", Alert: "A", Fingerprint: fingerprint}
	}
	r.ok(r.Accept(ctx, alert("p", "1"), alert("q", "1")))
	r.clock.Add(time.Minute)
	for range 3 { // two Alertmanagers, and each repeats
		r.ok(r.Accept(ctx, alert("p", "1"), alert("p", "2")))
	}
	r.restart()
	got := r.Intents()
	if len(got) != 2 || got[0].Policy != "p" || got[1].Policy != "q" {
		t.Fatalf("intents %+v", got)
	}
	if p := got[0]; !slices.Equal(p.Firing, []string{"1", "2"}) || p.Fingerprint != "1" || !p.AcceptedAt.Equal(start) {
		t.Errorf("intent %+v", p)
	}

	p := got[0]
	p.Tries, p.NextTry, p.LastReason, p.Firing = 3, start.Add(time.Hour), "not stable", nil
	r.ok(r.UpdateIntent(ctx, p))
	r.ok(r.Resolve(ctx, "1", "unknown"))
	r.restart()
	got = r.Intents()
	if len(got) != 1 || got[0].Tries != 3 || got[0].LastReason != "not stable" || !got[0].NextTry.Equal(p.NextTry) {
		t.Fatalf("one of two alerts is resolved: %+v", got)
	}
	r.ok(r.Accept(ctx, alert("p", "1"))) // it fires again
	r.ok(r.Resolve(ctx, "2"))
	if len(r.Intents()) != 1 {
		t.Fatal("closed while an alert fires")
	}
	r.ok(r.Resolve(ctx, "1"))
	closed := r.ClosedIntents()
	if len(r.Intents()) != 0 || len(closed) != 2 || closed[0].Policy != "p" || closed[0].ClosedWhy != ClosedResolved || !closed[0].Closed {
		t.Errorf("closed: %+v", closed)
	}
	r.restart()
}

// TestIntentClosed shows that a run that ends late does not touch a newer intent.
func TestIntentClosed(t *testing.T) {
	r := newRig(t, Options{})
	r.ok(r.accept("p"))
	old := r.Intents()[0]
	r.ok(r.Resolve(t.Context(), "p"))
	r.ok(r.accept("p"))
	old.Closed, old.ClosedWhy, old.Tries = true, ClosedDone, 7
	r.ok(r.UpdateIntent(t.Context(), old))
	now := r.Intents()
	if len(now) != 1 || now[0].Tries != 0 || now[0].ID == old.ID {
		t.Fatalf("intents %+v", now)
	}
	now[0].Closed, now[0].ClosedWhy, now[0].LastReason = true, ClosedDone, "3 steps are done"
	r.ok(r.UpdateIntent(t.Context(), now[0]))
	if c := r.ClosedIntents(); len(r.Intents()) != 0 || c[0].ClosedWhy != ClosedDone || c[0].LastReason != "3 steps are done" {
		t.Errorf("closed %+v", c)
	}
}

// TestRepeatsAreFree shows that a repeated delivery writes nothing, and that it is told
// to be accepted.
func TestRepeatsAreFree(t *testing.T) {
	f := newFragile()
	r := newRig(t, Options{disk: f.on})
	r.ok(r.accept("p"))
	before := f.syncs
	r.ok(r.accept("p"))
	r.ok(r.Resolve(t.Context(), "unknown"))
	if f.syncs != before {
		t.Errorf("%d fsyncs", f.syncs-before)
	}
}

// TestIntentBounds shows that no flood of alerts makes the state large.
func TestIntentBounds(t *testing.T) {
	r := newRig(t, Options{disk: newFragile().on})
	var flood []Intent
	for i := range 2 * maxFingerprints {
		flood = append(flood, Intent{Policy: "p", Cluster: "prod", Fingerprint: strconv.Itoa(i)})
	}
	r.ok(r.Accept(t.Context(), flood...))
	if n := len(r.Intents()[0].Firing); n != maxFingerprints {
		t.Errorf("%d fingerprints", n)
	}
	for i := range maxClosed + 10 {
		name := fmt.Sprint("q", i)
		r.ok(r.accept(name))
		r.ok(r.Resolve(t.Context(), name))
	}
	if closed := r.ClosedIntents(); len(closed) != maxClosed || closed[0].Policy != fmt.Sprint("q", maxClosed+9) {
		t.Errorf("%d closed", len(closed))
	}
}
