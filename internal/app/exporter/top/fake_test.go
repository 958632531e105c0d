// SPDX-License-Identifier: Apache-2.0

package top

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag" //nolint:depguard // of a test, not of a program
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes/kubernetestest"
)

var update = flag.Bool("update", false, "write the golden files")

// fakeCluster is a source whose members do what a test says.
type fakeCluster struct{ members []*fakeMember }

func (c *fakeCluster) statuses(ctx context.Context) []answer {
	var all []answer
	for _, m := range c.members {
		status, err := m.Status(ctx)
		a := answer{url: m.url, status: status, err: err}
		if err != nil {
			a.reason = etcd.Classify(err)
		}
		all = append(all, a)
	}
	return all
}

func (c *fakeCluster) scanner(url string) etcd.ScanAPI {
	for _, m := range c.members {
		if m.url == url {
			return m
		}
	}
	return nil
}

// fakeMember is one of them. watch is called for each watch, with the number of
// those before.
type fakeMember struct {
	etcd.ScanAPI
	url   string
	watch func(ctx context.Context, n int, from int64, f func(etcd.WatchBatch) error) error

	mu      sync.Mutex
	status  etcd.Status
	down    error
	watches []int64 // the revisions they began at
	spans   []etcd.Span
}

func (m *fakeMember) Status(context.Context) (etcd.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status, m.down
}

func (m *fakeMember) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *fakeMember) Watch(ctx context.Context, s etcd.Span, from int64, f func(etcd.WatchBatch) error) error {
	m.mu.Lock()
	n := len(m.watches)
	m.watches = append(m.watches, from)
	m.spans = append(m.spans, s)
	m.mu.Unlock()
	if m.watch == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return m.watch(ctx, n, from, f)
}

func (m *fakeMember) watched() []int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]int64(nil), m.watches...)
}

// three are a leader and two followers at revision 100.
func three() *fakeCluster {
	c := &fakeCluster{}
	for i := range 3 {
		c.members = append(c.members, &fakeMember{
			url: fmt.Sprintf("https://10.0.0.%d:2379", i+1),
			status: etcd.Status{
				ClusterID: 7, MemberID: uint64(i + 1), Leader: 1, RaftAppliedIndex: 5000, Revision: 100,
				DBSize: 64 << 20, DBInUse: 40 << 20, DBQuota: 2 << 30,
			},
		})
	}
	return c
}

// silent waits for the end.
func silent(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func put(key string, value []byte, created bool) etcd.KeyValue {
	return etcd.KeyValue{Key: []byte(key), Value: value, Created: created}
}

// batch numbers changes from a revision on; its size is that of keys and values.
func batch(revision int64, all ...etcd.KeyValue) etcd.WatchBatch {
	b := etcd.WatchBatch{Bytes: 20}
	for i := range all {
		all[i].ModRevision = revision + int64(i)
		b.Bytes += len(all[i].Key) + len(all[i].Value) + 12
	}
	b.Keys, b.Revision = all, revision+int64(len(all))-1
	return b
}

func event(t testing.TB, namespace, name, kind, reason, component string) etcd.KeyValue {
	t.Helper()
	value, err := kubernetestest.Event(kubernetes.Event{
		Namespace: namespace, Name: name, Type: kind, Reason: reason, Component: component, Count: 1,
		InvolvedObject: kubernetes.Object{Kind: "Pod", Namespace: namespace, Name: name[:5]},
		Created:        time.Unix(1_790_000_000, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	return put("/registry/events/"+namespace+"/"+name, value, true)
}

// watchAll runs with a report as JSON.
func watchAll(ctx context.Context, t testing.TB, c *fakeCluster, o Options) (Report, error) {
	t.Helper()
	var out bytes.Buffer
	o.Output = JSON
	resolved, err := o.resolve()
	if err != nil {
		t.Fatal(err)
	}
	err = run(ctx, c, resolved, &out)
	var r Report
	if out.Len() == 0 {
		return r, err
	}
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if failed := decoder.Decode(&r); failed != nil {
		t.Fatalf("%v in\n%s", failed, out.String())
	}
	if decoder.More() {
		t.Error("more than one document")
	}
	return r, err
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(file, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", file, got)
	}
}
