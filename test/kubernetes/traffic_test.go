// SPDX-License-Identifier: Apache-2.0

//go:build slow

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/etcdops/etcdops/test/stack"
)

// traffic is what goes on at an API server: a controller writes, another one lists, an
// informer has all events, a watcher is told of each. No request may fail, and no watch
// may end.
type traffic struct {
	a        *apiServer
	cancel   context.CancelFunc
	all      *errgroup.Group
	informer cache.SharedIndexInformer
	asked    atomic.Int64 // lists and watches of the informer
	lists    atomic.Int64
	ready    int64 // asked, when the informer had all

	mu        sync.Mutex
	deleted   map[string]int  // by namespace, as the watcher is told
	last      string          // event that the watcher was told of
	durations []time.Duration // of the writes
}

func (a *apiServer) newTraffic(t testing.TB) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	f := &traffic{a: a, cancel: cancel, all: &errgroup.Group{}, deleted: map[string]int{}}
	events := a.CoreV1().Events("")
	f.informer = cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			f.asked.Add(1)
			return events.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			f.asked.Add(1)
			return events.Watch(ctx, options)
		},
	}, &corev1.Event{}, 0, nil)
	f.all.Go(func() error { f.informer.RunWithContext(ctx); return nil })
	if !cache.WaitForCacheSync(ctx.Done(), f.informer.HasSynced) {
		t.Fatal("the informer has not all events")
	}
	f.ready = f.asked.Load()

	now, err := events.List(ctx, metav1.ListOptions{Limit: 1})
	must(t, err)
	updates, err := events.Watch(ctx, metav1.ListOptions{ResourceVersion: now.ResourceVersion})
	must(t, err)
	f.all.Go(func() error { return f.watches(ctx, updates) })
	f.all.Go(func() error { return f.writes(ctx) })
	f.all.Go(func() error { return f.listsAll(ctx) })
	return f
}

func (f *traffic) watches(ctx context.Context, updates watch.Interface) error {
	for update := range updates.ResultChan() {
		if event, is := update.Object.(*corev1.Event); is {
			f.told(event, update.Type == watch.Deleted)
		} else if ctx.Err() == nil {
			return fmt.Errorf("the watcher is told %s %v", update.Type, update.Object)
		}
	}
	if ctx.Err() == nil {
		return errors.New("the watch has ended")
	}
	return nil
}

func (f *traffic) told(event *corev1.Event, deleted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = event.Name
	if deleted {
		f.deleted[event.Namespace]++
	}
}

// writes updates an object fifty times a second.
func (f *traffic) writes(ctx context.Context) error {
	objects := f.a.CoreV1().ConfigMaps("default")
	object, err := objects.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "steady-"}}, metav1.CreateOptions{})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; err == nil; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		began := time.Now()
		object.Data = map[string]string{"n": fmt.Sprint(n)}
		var updated *corev1.ConfigMap
		if updated, err = objects.Update(ctx, object, metav1.UpdateOptions{}); err != nil {
			break
		}
		object = updated
		f.mu.Lock()
		f.durations = append(f.durations, time.Since(began))
		f.mu.Unlock()
	}
	if ctx.Err() == nil {
		return fmt.Errorf("a write failed: %w", err)
	}
	return nil
}

// listsAll lists all events, page by page, over and over.
func (f *traffic) listsAll(ctx context.Context) error {
	options := metav1.ListOptions{Limit: 500}
	for ctx.Err() == nil {
		page, err := f.a.CoreV1().Events("").List(ctx, options)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("a list failed: %w", err)
		}
		if options.Continue = page.Continue; options.Continue == "" {
			f.lists.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// saw waits until the watcher was told of these deletes, and the informer has what is left.
func (f *traffic) saw(t testing.TB, deleted map[string]int) {
	t.Helper()
	must(t, stack.Await(t.Context(), time.Minute, "the watchers are told", func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !maps.Equal(f.deleted, deleted) {
			return fmt.Errorf("the watcher was told of %v, want %v", f.deleted, deleted)
		}
		return nil
	}))
	left := sum(f.a.events(t, ""))
	must(t, stack.Await(t.Context(), time.Minute, "the informer has what is left", func() error {
		if has := len(f.informer.GetStore().ListKeys()); has != left {
			return fmt.Errorf("it has %d, the API %d", has, left)
		}
		return nil
	}))
	t.Logf("the watcher was told of %d deletes, the informer has the %d events that are left", sum(deleted), left)
}

// end ends it all. Nothing may have failed, the informer may not have begun anew, and the
// watcher is told of what is written last.
func (f *traffic) end(t testing.TB) {
	t.Helper()
	list, err := f.a.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
	must(t, err)
	newest := slices.MaxFunc(list.Items, func(a, b corev1.Event) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) }).Name
	must(t, stack.Await(t.Context(), 30*time.Second, "the watcher is told of a new event", func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.last != newest {
			return fmt.Errorf("the last one was %s, not %s", f.last, newest)
		}
		return nil
	}))
	asked := f.asked.Load()
	f.cancel()
	must(t, f.all.Wait())
	if asked != f.ready {
		t.Errorf("the informer has listed or watched %d times anew", asked-f.ready)
	}
	slices.Sort(f.durations)
	n := len(f.durations)
	t.Logf("meanwhile %d writes, p99 %s, the slowest %s, and %d lists of all events; none failed, no watch ended",
		n, f.durations[n*99/100].Round(time.Millisecond), f.durations[n-1].Round(time.Millisecond), f.lists.Load())
}
