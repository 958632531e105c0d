// SPDX-License-Identifier: Apache-2.0

package kubernetes_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes/kubernetestest"
)

var (
	first = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	last  = first.Add(time.Hour)
)

// wanted is an event as the older recorder makes it.
func wanted() kubernetes.Event {
	return kubernetes.Event{
		Namespace: "shop", Name: "web-0.17c", Type: "Warning", Reason: "BackOff", Component: "kubelet", Host: "worker-1",
		InvolvedObject: kubernetes.Object{Kind: "Pod", Namespace: "shop", Name: "web-0"}, Count: 7,
		FirstSeen: first, LastSeen: last, Created: first,
	}
}

func stored(t testing.TB, e kubernetes.Event) []byte {
	t.Helper()
	value, err := kubernetestest.Event(e)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// encode stores any object that has a protobuf form.
func encode(t testing.TB, apiVersion, kind string, object interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	raw, err := object.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	value, err := kubernetestest.Envelope(apiVersion, kind, raw)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestDecodeEvent(t *testing.T) {
	// Made by hand: no encoder that shares the decoder's faults.
	bytes := "k8s\x00" + "\x0a\x0b" + "\x0a\x02v1" + "\x12\x05Event" + // TypeMeta
		"\x12\x1c" + // raw, 28 bytes
		"\x0a\x0a" + "\x0a\x03e-1" + "\x1a\x03dev" + // metadata: name, namespace
		"\x12\x06" + "\x0a\x04Node" + // involvedObject: kind
		"\x1a\x06Rotten" + // reason
		"\x1a\x00\x22\x00"
	json := `{"kind":"Event","apiVersion":"v1","metadata":{"name":"web-0.17c","namespace":"shop","creationTimestamp":"2026-11-01T12:00:00Z"},` +
		`"involvedObject":{"kind":"Pod","namespace":"shop","name":"web-0"},"reason":"BackOff","type":"Warning","count":7,` +
		`"source":{"component":"kubelet","host":"worker-1"},"firstTimestamp":"2026-11-01T12:00:00Z","lastTimestamp":"2026-11-01T13:00:00Z"}`
	newer := encode(t, "v1", "Event", &corev1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: "shop", Name: "n"},
		EventTime:           metav1.NewMicroTime(first),
		Series:              &corev1.EventSeries{Count: 3, LastObservedTime: metav1.NewMicroTime(last)},
		ReportingController: "default-scheduler", ReportingInstance: "master-1",
	})
	odd := wanted()
	odd.FirstSeen, odd.LastSeen, odd.Created = time.Unix(-5, 0), time.Unix(1<<55, 0), time.Time{}
	for name, test := range map[string]struct {
		value []byte
		want  kubernetes.Event
	}{
		"protobuf": {stored(t, wanted()), wanted()},
		"by hand": {[]byte(bytes), kubernetes.Event{
			Namespace: "dev", Name: "e-1", Reason: "Rotten", InvolvedObject: kubernetes.Object{Kind: "Node"}, Count: 1,
		}},
		"JSON": {[]byte(json), wanted()},
		"newer recorder": {newer, kubernetes.Event{
			Namespace: "shop", Name: "n", Component: "default-scheduler", Host: "master-1", Count: 3, FirstSeen: first, LastSeen: last,
		}},
		"times that cannot be": {stored(t, odd), func() kubernetes.Event {
			e := wanted()
			e.FirstSeen, e.LastSeen, e.Created = time.Time{}, time.Time{}, time.Time{}
			return e
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := kubernetes.DecodeEvent(test.value)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestDecodeEventRefuses(t *testing.T) {
	good := stored(t, wanted())
	event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "n"}}
	nameless := wanted()
	nameless.Name = ""
	adrift := wanted()
	adrift.Namespace = ""
	raw, err := event.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	asJSON := &runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "Event"}, Raw: raw, ContentType: "application/json"}
	wrapped, err := asJSON.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		value []byte
		want  error
	}{
		"encrypted":           {[]byte("k8s:enc:aescbc:v1:key1:\x01\x02"), kubernetes.ErrEncrypted},
		"large and encrypted": {append([]byte("k8s:enc:kms:v2:p:"), make([]byte, 1<<20)...), kubernetes.ErrEncrypted},
		"empty":               {nil, kubernetes.ErrNotEvent},
		"text":                {[]byte("hello"), kubernetes.ErrNotEvent},
		"only the magic":      {[]byte("k8s\x00"), kubernetes.ErrNotEvent},
		"cut":                 {good[:len(good)/2], kubernetes.ErrNotEvent},
		"too large":           {append(good, make([]byte, 1<<20)...), kubernetes.ErrNotEvent},
		"a pod":               {encode(t, "v1", "Pod", &corev1.Pod{ObjectMeta: event.ObjectMeta}), kubernetes.ErrNotEvent},
		"another kind":        {encode(t, "v1", "event", event), kubernetes.ErrNotEvent},
		"another group":       {encode(t, "events.k8s.io/v1", "Event", event), kubernetes.ErrNotEvent},
		"another version":     {encode(t, "v1beta1", "Event", event), kubernetes.ErrNotEvent},
		"without a name":      {stored(t, nameless), kubernetes.ErrNotEvent},
		"without a namespace": {stored(t, adrift), kubernetes.ErrNotEvent},
		"content type":        {append([]byte("k8s\x00"), wrapped...), kubernetes.ErrNotEvent},
		"JSON secret":         {[]byte(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":"n","namespace":"shop"}}`), kubernetes.ErrNotEvent},
		"JSON in capitals":    {[]byte(`{"KIND":"Event","APIVERSION":"v1","metadata":{"name":"n","namespace":"shop"}}`), kubernetes.ErrNotEvent},
		"JSON and more":       {[]byte(`{"kind":"Event","apiVersion":"v1","metadata":{"name":"n","namespace":"shop"}} {}`), kubernetes.ErrNotEvent},
		"deep JSON":           {[]byte(strings.Repeat(`{"a":`, 100_000)), kubernetes.ErrNotEvent},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := kubernetes.DecodeEvent(test.value)
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if got != (kubernetes.Event{}) {
				t.Errorf("there is an event beside the error: %+v", got)
			}
			if len(err.Error()) > 500 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func FuzzDecodeEvent(f *testing.F) {
	good := stored(f, wanted())
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add([]byte("k8s\x00\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("k8s:enc:secretbox:v1:k:"))
	f.Add([]byte(`{"kind":"Event","apiVersion":"v1","metadata":{"name":"n","namespace":"m"},"count":-1}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := kubernetes.DecodeEvent(value)
		switch {
		case err == nil:
			if e.Name == "" || e.Namespace == "" || e.Count < 1 {
				t.Fatalf("an event without a name, a namespace or a count: %+v", e)
			}
			escaped := strings.ContainsRune(string(value), '\\') // JSON may spell it otherwise
			if !escaped && !strings.Contains(string(value), "Event") || !escaped && !strings.Contains(string(value), "v1") {
				t.Fatalf("%q says nowhere that it is an event", value)
			}
		case !errors.Is(err, kubernetes.ErrNotEvent) && !errors.Is(err, kubernetes.ErrEncrypted):
			t.Fatalf("an error of no kind: %v", err)
		case len(err.Error()) > 1000:
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
	})
}

func BenchmarkDecodeEvent(b *testing.B) {
	value := stored(b, wanted())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := kubernetes.DecodeEvent(value); err != nil {
			b.Fatal(err)
		}
	}
}
