// SPDX-License-Identifier: Apache-2.0

package action

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes/kubernetestest"
	"github.com/etcdops/etcdops/remediate"
)

func podValue(t *testing.T) []byte {
	t.Helper()
	raw, err := (&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	value, err := kubernetestest.Envelope("v1", "Pod", raw)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestWhatGoes(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	oldEvent, newEvent := eventValue(t, "shop", "web", now.Add(-time.Hour)), eventValue(t, "shop", "web", now.Add(-time.Minute))
	timeless := eventValue(t, "shop", "web", time.Time{})
	renewed, err := kubernetestest.Event(kubernetes.Event{
		Namespace: "shop", Name: "web", FirstSeen: now.Add(-time.Hour), Created: now.Add(-time.Hour), LastSeen: now.Add(-time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	encrypted, noise := []byte("k8s:enc:aescbc:v1:k:xyz"), []byte("k8s\x00\xff\xff\xff")
	const key = "/registry/events/shop/web"
	for name, test := range map[string]struct {
		key    string
		value  []byte
		mod    int64
		known  int64 // the clock's word; 0: it does not reach that far
		opaque bool
		want   bool
	}{
		"old by the clock":                          {key, newEvent, 50, 50, false, true},
		"young by the clock":                        {key, newEvent, 51, 50, false, false},
		"young by the clock, its own times are old": {key, oldEvent, 81, 50, false, false},
		"before the clock, own times old":           {key, oldEvent, 80, 0, false, true},
		"before the clock, own times young":         {key, newEvent, 80, 0, false, false},
		"before the clock, seen again lately":       {key, renewed, 80, 0, false, false},
		"before the clock, without a time":          {key, timeless, 80, 0, false, false},
		"changed since the clock began":             {key, oldEvent, 81, 0, false, false},
		"without a revision":                        {key, oldEvent, 0, 50, false, false},
		"another's key":                             {"/registry/events/shop/db", oldEvent, 50, 50, false, false},
		"outside":                                   {"/registry/pods/shop/web", oldEvent, 50, 50, true, false},
		"encrypted":                                 {key, encrypted, 50, 50, false, false},
		"encrypted, accepted":                       {key, encrypted, 50, 50, true, true},
		"encrypted, accepted, young":                {key, encrypted, 51, 50, true, false},
		"encrypted, accepted, before the clock":     {key, encrypted, 80, 0, true, false},
		"noise, accepted":                           {key, noise, 50, 50, true, true},
		"empty, accepted":                           {key, nil, 50, 50, true, true},
		"a pod, whatever is accepted":               {key, podValue(t), 50, 50, true, false},
		"another's JSON, whatever is accepted":      {key, []byte(`{"kind":"Secret"}`), 50, 50, true, false},
	} {
		prefix, err := parseEventsPrefix("/registry/events/")
		if err != nil {
			t.Fatal(err)
		}
		j := judge{prefix, ages{cutoff: now.Add(-30 * time.Minute), known: test.known, dark: 80}, test.opaque}
		if got, _, _ := j.goes(etcd.KeyValue{Key: []byte(test.key), Value: test.value, ModRevision: test.mod}); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestOpaqueValuesStayBelowWhatMayBeAResource(t *testing.T) {
	prefix, err := parseEventsPrefix("/registry/pods/events/")
	if err != nil {
		t.Fatal(err)
	}
	j := judge{prefix, ages{known: 100}, true}
	page := []etcd.KeyValue{{Key: []byte("/registry/pods/events/web"), Value: []byte("k8s:enc:x"), ModRevision: 1}}
	if goes, _, _ := j.goes(page[0]); goes {
		t.Error("a pod in the namespace called events would go")
	}
	if b, ok := remediate.AsBlocked(j.checkSample(page)); !ok || b.Guard != refusedValues {
		t.Errorf("the sample passes: %v", b)
	}
}

func TestSampledValues(t *testing.T) {
	prefix, err := parseEventsPrefix("/registry/events/")
	if err != nil {
		t.Fatal(err)
	}
	good, bad := etcd.KeyValue{Value: eventValue(t, "shop", "web", time.Now())}, etcd.KeyValue{Key: []byte("/registry/events/secret-name"), Value: []byte("k8s:enc:x")}
	pod := etcd.KeyValue{Value: podValue(t)}
	for name, test := range map[string]struct {
		page   []etcd.KeyValue
		opaque bool
		want   string // part of the reason; empty: allowed
	}{
		"none":                {nil, false, ""},
		"events":              {[]etcd.KeyValue{good, good, good, good}, false, ""},
		"first":               {[]etcd.KeyValue{bad, good, good, good}, false, "of 4 values below /registry/events/, 1 are encrypted at rest and 0 are no"},
		"middle":              {[]etcd.KeyValue{good, good, pod, good}, false, "0 are encrypted at rest and 1 are no"},
		"last":                {[]etcd.KeyValue{good, bad, good, pod}, false, "1 are encrypted at rest and 1 are no"},
		"beyond the sample":   {[]etcd.KeyValue{good, bad, good, good, good}, false, ""},
		"opaque and accepted": {[]etcd.KeyValue{bad, bad}, true, ""},
	} {
		err := judge{prefix: prefix, opaque: test.opaque}.checkSample(test.page)
		b, ok := remediate.AsBlocked(err)
		switch {
		case test.want == "" && err != nil, test.want != "" && !ok:
			t.Errorf("%s: %v", name, err)
		case ok && (b.Guard != refusedValues || !strings.Contains(b.Reason, test.want) || strings.Contains(b.Reason, "secret-name")):
			t.Errorf("%s: %v", name, b)
		}
	}
}

func eventOf(t *testing.T, value []byte) kubernetes.Event {
	t.Helper()
	e, err := kubernetes.DecodeEvent(value)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
