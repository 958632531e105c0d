// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

func prunePolicy() remediate.Policy {
	return remediate.Policy{
		Action:      remediate.ActionPruneEvents,
		PruneEvents: &remediate.PruneEvents{Prefix: eventsBelow, OlderThan: 30 * time.Minute, MaxKeys: 500_000, KeysPerSecond: 5000},
		Compact:     remediate.Compact{Keep: 10 * time.Minute},
	}
}

func wantSucceeded(t *testing.T, run *remediate.Run) {
	t.Helper()
	if run.Outcome != remediate.Succeeded || len(run.Steps) == 0 {
		t.Fatalf("outcome %s after %d steps: %s", run.Outcome, len(run.Steps), run.Reason)
	}
}

// flood writes n events into three namespaces, and lets them grow old.
func flood(t *testing.T, f *field, n int) (keys []string) {
	t.Helper()
	for i := range n {
		keys = append(keys, f.event(t, fmt.Sprintf("ns-%d", i%3), fmt.Sprintf("web.%06d", i), 0))
	}
	time.Sleep(time.Hour)
	return keys
}

func TestPruneDeletesWhatIsOldAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		old := flood(t, f, 1500)
		stays := []string{
			f.event(t, "ns-0", "new", 2*time.Hour), // its own times do not count: the clock knows better
			"/registry/pods/shop/web", "/registry/event", "/registry/eventsfoo/a/b", "/registry/events0",
			eventsBelow + "ns-1/web.000301-pod", eventsBelow + "ns-1/web.000601-opaque", eventsBelow + "ns-2/web.000902-misnamed",
		}
		f.put(stays[1], podValue(t))
		f.put(stays[2], eventValue(t, "a", "b", time.Time{}))
		f.put(stays[3], eventValue(t, "a", "b", time.Time{}))
		f.put(stays[4], []byte("x"))
		f.put(stays[5], podValue(t))
		f.put(stays[6], []byte("k8s:enc:x"))
		f.put(stays[7], eventValue(t, "ns-2", "web", time.Time{}))
		time.Sleep(time.Hour)
		f.event(t, "ns-0", "new", 2*time.Hour)
		before := maps.Clone(f.keys)

		c := f.cluster(prunePolicy())
		run := f.run(t.Context(), t, c, newPruneEvents())
		wantSucceeded(t, run)
		wantKeys(t, "left", f.left(), stays...)
		wantKeys(t, "deleted", f.deleted, old...)
		for _, key := range stays {
			if f.keys[key].ModRevision != before[key].ModRevision {
				t.Errorf("%s was changed", key)
			}
		}
		if run.Pruned() != int64(len(old)) {
			t.Errorf("the run says that %d went, and %d did", run.Pruned(), len(old))
		}
		for _, span := range f.spans {
			if !strings.HasPrefix(string(span.From), eventsBelow) || string(span.To) > "/registry/events0" {
				t.Errorf("values were asked for from %q to %q", span.From, span.To)
			}
		}
		s := run.Steps[0]
		if s.Sample == nil || s.Sample.Events != sampledEvents || s.Sample.Reasons["BackOff"] != sampledEvents || len(s.Sample.Namespaces) != 3 {
			t.Errorf("sample %+v", s.Sample)
		}
		if s.Kept != 4 || s.Revision != f.revision {
			t.Errorf("%d kept, last delete at %d of %d", s.Kept, s.Revision, f.revision)
		}
		for _, key := range stays[5:] {
			delete(f.keys, key)
		}
		again := f.run(t.Context(), t, f.cluster(prunePolicy()), newPruneEvents())
		wantOutcome(t, again, remediate.NothingToDo, "")
	})
}

func TestPruneBeforeTheClocksFirstSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		old := f.event(t, "shop", "old", time.Hour)
		recent := f.event(t, "shop", "recent", time.Minute)
		f.forget()
		time.Sleep(time.Minute)
		later := f.event(t, "shop", "later", time.Hour)
		run := f.run(t.Context(), t, f.cluster(prunePolicy()), newPruneEvents())
		wantSucceeded(t, run)
		wantKeys(t, "deleted", f.deleted, old)
		wantKeys(t, "left", f.left(), recent, later)
	})
}

func TestPruneKeepsWhatIsWrittenMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		keys := flood(t, f, 300)
		rewritten := []string{keys[3], keys[150], keys[299]}
		f.onDelete = func() {
			for _, key := range rewritten {
				f.put(key, eventValue(t, "x", "y", time.Now()))
			}
			f.onDelete = nil
		}
		c := f.cluster(prunePolicy())
		run := f.run(t.Context(), t, c, newPruneEvents())
		wantSucceeded(t, run)
		wantKeys(t, "left", f.left(), rewritten...)
		if run.Pruned() != 297 || run.Steps[0].Kept != 3 || run.Steps[0].Sample.Events != 297 {
			t.Errorf("%d deleted, %d kept, sampled %d", run.Pruned(), run.Steps[0].Kept, run.Steps[0].Sample.Events)
		}
	})
}

func TestPruneObeysMaxKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		flood(t, f, 1200)
		p := prunePolicy()
		p.PruneEvents.MaxKeys = 777
		run := f.run(t.Context(), t, f.cluster(p), newPruneEvents())
		wantSucceeded(t, run)
		if len(f.deleted) != 777 || run.Pruned() != 777 {
			t.Errorf("%d keys went, and the run says %d", len(f.deleted), run.Pruned())
		}
	})
}

func TestPruneRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		edit  func(t *testing.T, f *field, p *remediate.Policy)
		guard string
	}{
		"no parameters":     {func(_ *testing.T, _ *field, p *remediate.Policy) { p.PruneEvents = nil }, refusedPlan},
		"pods":              {func(_ *testing.T, _ *field, p *remediate.Policy) { p.PruneEvents.Prefix = "/registry/pods/" }, refusedPlan},
		"everything":        {func(_ *testing.T, _ *field, p *remediate.Policy) { p.PruneEvents.Prefix = "/registry/" }, refusedPlan},
		"an empty prefix":   {func(_ *testing.T, _ *field, p *remediate.Policy) { p.PruneEvents.Prefix = "" }, refusedPlan},
		"no age":            {func(_ *testing.T, _ *field, p *remediate.Policy) { p.PruneEvents.OlderThan = 0 }, refusedPlan},
		"no bound":          {func(_ *testing.T, _ *field, p *remediate.Policy) { p.PruneEvents.MaxKeys = 0 }, refusedPlan},
		"no rate":           {func(_ *testing.T, _ *field, p *remediate.Policy) { p.PruneEvents.KeysPerSecond = -1 }, refusedPlan},
		"no clock":          {func(_ *testing.T, f *field, _ *remediate.Policy) { f.clock = nil }, refusedKeep},
		"a restored state":  {func(_ *testing.T, f *field, _ *remediate.Policy) { f.clock = []tick{{time.Now(), 9999}} }, refusedKeep},
		"nobody answers":    {func(_ *testing.T, f *field, _ *remediate.Policy) { f.edit = deaf }, refusedPlan},
		"opaque from start": {func(_ *testing.T, f *field, _ *remediate.Policy) { encrypt(f) }, refusedValues},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newField()
				flood(t, f, 30)
				p := prunePolicy()
				test.edit(t, f, &p)
				run := f.run(t.Context(), t, f.cluster(p), newPruneEvents())
				wantOutcome(t, run, remediate.Refused, test.guard+": ")
				if len(f.batches) > 0 {
					t.Errorf("%d keys were to be deleted", len(f.deleted))
				}
			})
		})
	}
}

func deaf(o *remediate.Observation) {
	for i := range o.Members {
		o.Members[i].ReadErr = errors.New("refused")
	}
}

// encrypt makes all values unreadable, at their old revisions.
func encrypt(f *field) {
	for key, kv := range f.keys {
		kv.Value = []byte("k8s:enc:aescbc:v1:k:" + key)
		f.keys[key] = kv
	}
}

func TestPruneOfAcceptedOpaqueValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		old := flood(t, f, 100)
		pod, recent := eventsBelow+"ns-1/pod", eventsBelow+"ns-1/recent"
		f.put(pod, podValue(t))
		time.Sleep(time.Hour)
		f.put(recent, nil)
		encrypt(f)
		f.keys[pod] = etcd.KeyValue{Key: []byte(pod), Value: podValue(t), ModRevision: f.keys[pod].ModRevision}
		p := prunePolicy()
		p.PruneEvents.AcceptOpaqueValues = true
		run := f.run(t.Context(), t, f.cluster(p), newPruneEvents())
		wantSucceeded(t, run)
		wantKeys(t, "left", f.left(), pod, recent)
		wantKeys(t, "deleted", f.deleted, old...)
		if run.Steps[0].Sample != nil {
			t.Errorf("sample %+v of what nobody can read", run.Steps[0].Sample)
		}
	})
}

func TestPruneStopsAfterTheTransactionUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		flood(t, f, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		txns := 0
		f.onDelete = func() {
			if txns++; txns == 3 {
				cancel() // in the middle of a transaction
			}
		}
		run := f.run(ctx, t, f.cluster(prunePolicy()), newPruneEvents())
		wantOutcome(t, run, remediate.Interrupted, "")
		if s := run.Steps[0]; len(f.batches) != 3 || s.Keys != int64(len(f.deleted)) || s.Keys == 0 || s.Revision != f.revision || s.Sample == nil {
			t.Errorf("%d transactions, %d deleted; the step says %d, revision %d of %d", txns, len(f.deleted), s.Keys, s.Revision, f.revision)
		}
	})
}

func TestPruneStopsAtAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		flood(t, f, 900)
		p := prunePolicy()
		p.PruneEvents.KeysPerSecond = 50
		f.onDelete = func() {
			if len(f.deleted) > 100 && len(f.alarms) == 0 {
				f.full()
			}
		}
		run := f.run(t.Context(), t, f.cluster(p), newPruneEvents())
		wantOutcome(t, run, remediate.Refused, refusedPressure+": ")
		if n := len(f.deleted); n == 0 || n > 500 {
			t.Errorf("%d keys went before it stopped", n)
		}
		if run.Pruned() != int64(len(f.deleted)) {
			t.Errorf("the run says %d of %d", run.Pruned(), len(f.deleted))
		}
	})
}

func TestPruneKeyByKeyWhereTransactionsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		keys := flood(t, f, 200)
		f.noTxn = true
		f.full()
		run := f.run(t.Context(), t, f.cluster(prunePolicy()), newPruneEvents())
		wantSucceeded(t, run)
		wantKeys(t, "deleted", f.deleted, keys...)
		if f.singles != 200 {
			t.Errorf("%d keys one by one", f.singles)
		}
	})
}

func TestPruneSeesThatNothingWent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		flood(t, f, 100)
		f.lies = true
		run := f.run(t.Context(), t, f.cluster(prunePolicy()), newPruneEvents())
		wantOutcome(t, run, remediate.Failed, "still has a key")
	})
}

func TestPruneCrossesWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		keys := flood(t, f, 1800)
		p := newPruneEvents()
		p.prefix, _ = parseEventsPrefix(eventsBelow)
		for _, edge := range []string{"", "ns-0/web.000300", "ns-0/web.0009", "ns-1/", "ns-1/web.0015", "ns-2/", "ns-2/x", "ns-7/"} {
			p.edges = append(p.edges, []byte(eventsBelow+edge))
		}
		p.next = p.edges[0]
		run := f.run(t.Context(), t, f.cluster(prunePolicy()), p)
		wantSucceeded(t, run)
		wantKeys(t, "deleted", f.deleted, keys...)
	})
}

// A key may begin with the whole name of another, also of the last one of a page.
func TestPruneLeavesOutNoKeyBetweenPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField()
		keys := []string{f.event(t, "shop", "!", 0)}
		for i := range pageKeys {
			name := fmt.Sprintf("%06d", i)
			keys = append(keys, f.event(t, "shop", name, 0), f.event(t, "shop", name+"x", 0))
		}
		time.Sleep(time.Hour)
		wantSucceeded(t, f.run(t.Context(), t, f.cluster(prunePolicy()), newPruneEvents()))
		wantKeys(t, "deleted", f.deleted, keys...)
	})
}
