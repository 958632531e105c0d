// SPDX-License-Identifier: Apache-2.0

//go:build slow

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/stack"
)

const spaceExceeded = "database space exceeded"

// TestAPIServerNoSpace: objects that are updated again and again fill etcd's database. The API
// server may write nothing; it lists and watches still. The remediator makes room while it
// runs, and it writes again, without a restart and without a watcher that begins anew.
func TestAPIServerNoSpace(t *testing.T) {
	w := newWorldWith(t, lab.Options{Members: 3, Version: "3.6.16", QuotaBytes: 48 << 20})
	a := newAPIServer(t, w)
	i := install(t, w, map[string]any{
		"matchers": []any{`alertname="EtcdAlarmNoSpace"`}, "action": "recover_space",
		"compact": map[string]any{"keep": "10s"}, "defrag": map[string]any{"settle": "1s"},
	})
	a.writeEvent(t)
	updates, err := a.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	must(t, err)
	t.Cleanup(updates.Stop)
	notes := notesOf(updates)

	n := a.fill(t)
	must(t, stack.Await(t.Context(), time.Minute, "the exporter tells of the alarm", func() error {
		if alarms := i.alarms(); alarms == 0 {
			return errors.New("no alarm")
		}
		return nil
	}))
	t.Logf("full after %d updates of 700 KiB: the API server may not write; the exporter tells of %d alarms", n, i.alarms())
	list, err := a.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	must(t, err)
	head, err := strconv.ParseInt(list.ResourceVersion, 10, 64)
	must(t, err)
	i.plans(2*time.Minute, "recover_space", func(plan remediation) bool {
		return plan.Steps[0].Action == "compact" && plan.Steps[0].Revision >= head-1
	})
	run := i.acts("EtcdAlarmNoSpace")
	t.Logf("recovered in %s: %s", run.FinishedAt.Sub(run.StartedAt).Round(time.Millisecond), run)

	must(t, a.update(t.Context(), 0, "room again"))
	isTold(t, notes, "room again")
	a.makeNamespace(t, "after")
	a.writeEvent(t)
	if i.alarms() != 0 {
		t.Errorf("the exporter tells of %d alarms still", i.alarms())
	}
	for endpoint, size := range i.series("endpoint_db_size_bytes") {
		if size > 24<<20 {
			t.Errorf("%s has %.0f bytes still", endpoint, size)
		}
	}
	a.isWell(t)
}

// alarms is how many alarms the exporter tells of.
func (i *installed) alarms() (n int) {
	i.t.Helper()
	for labels, active := range i.series("alarm_active") {
		if strings.Contains(labels, `alarm="NOSPACE"`) {
			n += int(active)
		}
	}
	return n
}

// writeEvent writes an event, which takes a lease.
func (a *apiServer) writeEvent(t testing.TB) {
	t.Helper()
	_, err := a.CoreV1().Events("default").Create(t.Context(), &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-"}, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web"},
		Reason: "BackOff", FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now(),
	}, metav1.CreateOptions{})
	must(t, err)
}

// update writes one of five large objects.
func (a *apiServer) update(ctx context.Context, n int, note string) error {
	objects := a.CoreV1().ConfigMaps("default")
	value := make([]byte, 700<<10)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(value)
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("large-%d", n%5)},
		Data:       map[string]string{"note": note}, BinaryData: map[string][]byte{"value": value},
	}
	_, err := objects.Update(ctx, object, metav1.UpdateOptions{})
	if err != nil && strings.Contains(err.Error(), "not found") {
		_, err = objects.Create(ctx, object, metav1.CreateOptions{})
	}
	return err
}

// fill updates until etcd has no space, and says how often.
func (a *apiServer) fill(t testing.TB) int {
	t.Helper()
	for n := 0; ; n++ {
		if err := a.update(t.Context(), n, ""); err != nil {
			if !strings.Contains(err.Error(), spaceExceeded) {
				t.Fatal(err)
			}
			return n
		}
	}
}

// notesOf reads a watch, since one that is not read is ended by the API server, and gives
// the notes of the objects.
func notesOf(updates watch.Interface) <-chan string {
	notes := make(chan string, 1000)
	go func() {
		defer close(notes)
		for update := range updates.ResultChan() {
			if object, is := update.Object.(*corev1.ConfigMap); is && object.Data["note"] != "" {
				notes <- object.Data["note"]
			}
		}
	}()
	return notes
}

// isTold wants a watch, open since before, to tell of an update.
func isTold(t testing.TB, notes <-chan string, want string) {
	t.Helper()
	select {
	case note, open := <-notes:
		if note != want {
			t.Errorf("the watcher is told %q (the watch is open: %t)", note, open)
		}
	case <-time.After(time.Minute):
		t.Errorf("the watcher is not told %q", want)
	}
}
