// SPDX-License-Identifier: Apache-2.0

package action_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes/kubernetestest"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/test/lab"
)

const events = "/registry/events/"

func prunePolicy() remediate.Policy {
	return remediate.Policy{PruneEvents: &remediate.PruneEvents{
		Prefix: events, OlderThan: 30 * time.Minute, MaxKeys: 500_000, KeysPerSecond: 3000,
	}}
}

func eventAt(t *testing.T, namespace, name, reason string) string {
	t.Helper()
	value, err := kubernetestest.Event(kubernetes.Event{
		Namespace: namespace, Name: name, Reason: reason, Component: "kubelet", Count: 1, Created: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// flood writes events until it has written n, or there is no space left.
func (r *rig) flood(t *testing.T, n int, reason string) (keys []string, full bool) {
	t.Helper()
	var batch []clientv3.Op
	for i := range n {
		namespace, name := fmt.Sprintf("team-%02d", i%7), fmt.Sprintf("web-%07d.17c%08x", i, rand.Uint32())
		key := events + namespace + "/" + name
		keys = append(keys, key)
		if batch = append(batch, clientv3.OpPut(key, eventAt(t, namespace, name, reason))); len(batch) < 100 && i < n-1 {
			continue
		}
		_, err := r.client.Txn(t.Context()).Then(batch...).Commit()
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return keys[:len(keys)-len(batch)], true
		}
		if err != nil {
			t.Fatal(err)
		}
		batch = nil
	}
	return keys, false
}

func (r *rig) put(t *testing.T, key, value string) {
	t.Helper()
	if _, err := r.client.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

// keysBelow lists the keys of a prefix.
func (r *rig) keysBelow(t *testing.T, prefix string) map[string]string {
	t.Helper()
	got, err := r.client.Get(t.Context(), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, kv := range got.Kvs {
		all[string(kv.Key)] = string(kv.Value)
	}
	return all
}

// outside is a hash of all that does not lie below the events' prefix: keys, values,
// revisions and versions.
func (r *rig) outside(t *testing.T) string {
	t.Helper()
	got, err := r.client.Get(t.Context(), "\x00", clientv3.WithFromKey())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for _, kv := range got.Kvs {
		if !bytes.HasPrefix(kv.Key, []byte(events)) {
			fmt.Fprintf(sum, "%q %q %d %d %d %d\n", kv.Key, kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// TestPrune: old events go, and nothing else does: neither what is young, nor what is
// written meanwhile, nor anything outside.
func TestPrune(t *testing.T) {
	t.Parallel()
	r := start(t, lab.Options{Members: 3})
	if err := r.lab.Load(t.Context(), lab.LoadOptions{Keys: 300}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"/registry/events", "/registry/eventsx/a/b", "/registry/events0", "/registry/event/a"} {
		r.put(t, key, eventAt(t, "a", "b", "Outside"))
	}
	old, _ := r.flood(t, 4000, "BackOff")
	r.saw(time.Now().Add(-time.Hour), r.head(t))
	young := events + "team-03/young"
	r.put(t, young, eventAt(t, "team-03", "young", "Started"))
	outside := r.outside(t)

	plan := r.plan(t, prunePolicy(), remediate.ActionPruneEvents)
	wantOutcome(t, plan, remediate.Planned, "")
	if n := len(r.keysBelow(t, events)); n != len(old)+1 {
		t.Fatalf("the plan left %d keys", n)
	}

	kept := map[string]string{young: r.keysBelow(t, young)[young]}
	again := eventAt(t, "team-00", "again", "WrittenAgain")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	written := make(chan map[string]string)
	go func() {
		all := map[string]string{}
		for _, i := range rand.Perm(len(old))[:200] {
			if _, err := r.client.Put(ctx, old[i], again); err != nil {
				break
			}
			all[old[i]] = again
			time.Sleep(5 * time.Millisecond)
		}
		written <- all
	}()
	run := r.run(t, prunePolicy(), remediate.ActionPruneEvents)
	wantOutcome(t, run, remediate.Succeeded, "")
	maps.Copy(kept, <-written)
	left := r.keysBelow(t, events)
	for key, value := range kept {
		if left[key] != value {
			t.Errorf("%s has %.40q, want %.40q", key, left[key], value)
		}
	}
	if len(left) != len(kept) {
		t.Errorf("%d keys are left, want %d", len(left), len(kept))
	}
	if r.outside(t) != outside {
		t.Error("something outside the prefix has changed")
	}
	// Some were written again before they were looked at, or deleted before.
	if n := run.Pruned(); n < int64(len(old))-200 || n > int64(len(old)) {
		t.Errorf("the run says that %d of %d went", n, len(old))
	}
	if s := run.Steps[0].Sample; s == nil || s.Reasons["BackOff"] == 0 || s.Sources["kubelet"] == 0 || len(s.Namespaces) != 7 {
		t.Errorf("sample %+v", s)
	}
}

// TestPruneKeepsWhatIsNoEvent: a value of somebody else stays where it lies, among events
// whose sample shows that this is the place for them.
func TestPruneKeepsWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	r := start(t, lab.Options{Members: 1})
	old, _ := r.flood(t, 21, "BackOff")
	foreign := events + "team-00/web-x" // the fourth of 22: not first, in the middle or last
	r.put(t, foreign, "somebody else's")
	r.saw(time.Now().Add(-time.Hour), r.head(t))
	run := r.run(t, prunePolicy(), remediate.ActionPruneEvents)
	wantOutcome(t, run, remediate.Succeeded, "")
	if left := r.keysBelow(t, events); len(left) != 1 || left[foreign] != "somebody else's" || run.Pruned() != int64(len(old)) {
		t.Errorf("left are %q, and the run says that %d went", left, run.Pruned())
	}
}

// TestPruneOfOpaqueValues: what nobody can read is refused, unless the policy accepts it.
func TestPruneOfOpaqueValues(t *testing.T) {
	t.Parallel()
	r := start(t, lab.Options{Members: 1})
	for i := range 600 {
		r.put(t, fmt.Sprintf("%steam/%04d", events, i), "k8s:enc:aescbc:v1:key1:"+strings.Repeat("x", 50))
	}
	r.saw(time.Now().Add(-time.Hour), r.head(t))
	policy := prunePolicy()
	wantOutcome(t, r.run(t, policy, remediate.ActionPruneEvents), remediate.Refused, "500 are encrypted at rest")
	if n := len(r.keysBelow(t, events)); n != 600 {
		t.Errorf("%d keys are left", n)
	}
	policy.PruneEvents.AcceptOpaqueValues, policy.PruneEvents.MaxKeys = true, 550
	run := r.run(t, policy, remediate.ActionPruneEvents)
	wantOutcome(t, run, remediate.Succeeded, "")
	if n := len(r.keysBelow(t, events)); n != 50 || run.Pruned() != 550 {
		t.Errorf("%d keys are left, the run says that %d went", n, run.Pruned())
	}
}
