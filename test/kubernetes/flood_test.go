// SPDX-License-Identifier: Apache-2.0

//go:build slow

package kubernetes

import (
	"fmt"
	"maps"
	"math/bits"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/stack"
)

const (
	oldEvents   = 6000
	youngEvents = 300
	teams       = 12
)

// eventNamespace is where the i-th event is: half of them in the first namespace, half of
// the rest in the second.
func eventNamespace(i int) string {
	return fmt.Sprintf("team-%02d", bits.TrailingZeros(uint(i+1))%teams)
}

// writeEvents writes events from the number first on, as controllers of both of
// Kubernetes' kinds do.
func (a *apiServer) writeEvents(t testing.TB, first, n int) {
	t.Helper()
	var all errgroup.Group
	all.SetLimit(16)
	for i := first; i < first+n; i++ {
		namespace := eventNamespace(i)
		name := metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("web-%05d", i)}
		about := corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: "web"}
		all.Go(func() error {
			if i%2 == 0 {
				_, err := a.CoreV1().Events(namespace).Create(t.Context(), &corev1.Event{
					ObjectMeta: name, InvolvedObject: about, Reason: "BackOff", Type: "Warning", Message: "Back-off restarting failed container",
					Source: corev1.EventSource{Component: "kubelet", Host: "node-1"}, FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now(), Count: 1,
				}, metav1.CreateOptions{})
				return err
			}
			_, err := a.EventsV1().Events(namespace).Create(t.Context(), &eventsv1.Event{
				ObjectMeta: name, Regarding: about, Reason: "FailedScheduling", Action: "Scheduling", Type: "Warning", Note: "0/3 nodes are available",
				ReportingController: "default-scheduler", ReportingInstance: "scheduler-1", EventTime: metav1.NowMicro(),
			}, metav1.CreateOptions{})
			return err
		})
	}
	must(t, all.Wait())
}

// events counts what the API lists, by namespace, page by page.
func (a *apiServer) events(t testing.TB, from string) map[string]int {
	t.Helper()
	all := map[string]int{}
	for {
		page, err := a.CoreV1().Events("").List(t.Context(), metav1.ListOptions{Limit: 500, Continue: from})
		must(t, err)
		for _, event := range page.Items {
			all[event.Namespace]++
		}
		if from = page.Continue; from == "" {
			return all
		}
	}
}

func sum(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}

// TestAPIServerEvents: thousands of events are written through the API. The exporter counts in
// each namespace what the API lists; the remediator prunes the old ones, while clients
// write, watch and list; and nobody but the events misses anything.
func TestAPIServerEvents(t *testing.T) {
	w := newWorldWith(t, lab.Options{Members: 3, Version: "3.6.16"})
	a := newAPIServer(t, w)
	for i := range teams {
		a.makeNamespace(t, fmt.Sprintf("team-%02d", i))
	}
	i := install(t, w, map[string]any{
		"matchers": []any{`alertname="EtcdEventsFlood"`}, "action": "prune_events",
		"prune_events": map[string]any{"prefix": "/registry/events/", "older_than": "1m", "keys_per_second": 10000},
	})
	began := time.Now()
	a.writeEvents(t, 0, oldEvents)
	t.Logf("%d events written through the API in %s", oldEvents, time.Since(began).Round(time.Millisecond))
	i.agrees(t, a)

	traffic := a.newTraffic(t)
	first, err := a.CoreV1().Events("").List(t.Context(), metav1.ListOptions{Limit: 500})
	must(t, err)
	i.plans(3*time.Minute, "prune_events", func(plan remediation) bool {
		return len(plan.Steps) == 1 && plan.Steps[0].Keys == oldEvents
	})
	a.writeEvents(t, oldEvents, youngEvents)
	pruned := map[string]int{}
	for n := range oldEvents {
		pruned[eventNamespace(n)]++
	}
	run := i.acts("EtcdEventsFlood")
	t.Logf("pruned in %s: %s", run.FinishedAt.Sub(run.StartedAt).Round(time.Millisecond), run)

	if left := a.events(t, ""); sum(left) != youngEvents {
		t.Errorf("%d events are left, want the %d young ones: %v", sum(left), youngEvents, left)
	}
	i.agrees(t, a)
	if rest := sum(a.events(t, first.Continue)); rest != oldEvents-len(first.Items) {
		t.Errorf("a list that began before the prune goes on with %d events, want %d", rest, oldEvents-len(first.Items))
	}
	traffic.saw(t, pruned)
	a.writeEvents(t, oldEvents+youngEvents, 1)
	traffic.end(t)
	a.isWell(t)
}

// agrees waits until the exporter counts in each namespace what the API lists.
func (i *installed) agrees(t testing.TB, a *apiServer) {
	t.Helper()
	listed := a.events(t, "")
	namespaces, err := a.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	must(t, stack.Await(t.Context(), time.Minute, "the exporter counts what the API lists", func() error {
		if counted := i.counted("/registry/events/"); !maps.Equal(counted, listed) {
			return fmt.Errorf("counted %v, listed %v", counted, listed)
		}
		if counted := i.counted("/registry/"); counted["namespaces"] != len(namespaces.Items) || counted["events"] != sum(listed) {
			return fmt.Errorf("counted %v, listed %d namespaces", counted, len(namespaces.Items))
		}
		return nil
	}))
	t.Logf("counted by the exporter, equal to what the API lists: %d events, %v", sum(listed), listed)
}
