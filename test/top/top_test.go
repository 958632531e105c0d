// SPDX-License-Identifier: Apache-2.0

// Package top runs "who is filling my etcd?" against real members under a load
// whose shape is known.
package top

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/app/exporter/top"
	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes/kubernetestest"
	"github.com/etcdops/etcdops/test/lab"
)

// patience bounds what a test waits for in sum.
const patience = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T) (context.Context, *lab.Lab) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	l, err := lab.Start(ctx, lab.Options{TLS: lab.Plain})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return ctx, l
}

func clusterOf(t *testing.T, c etcd.Config) *etcd.Cluster {
	t.Helper()
	cluster, err := etcd.NewCluster(c)
	must(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

// writer puts the same ten keys round after round, until the test ends: six
// renewals of one lease, two events, a large node status, and a delete that has
// something to delete every other time. Each put is a revision of its own.
type writer struct {
	written atomic.Int64 // since the start, the deletes that found something too
	stop    func()
}

func startWriter(ctx context.Context, t *testing.T, l *lab.Lab, pause time.Duration) *writer {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	ctx, cancel := context.WithCancel(ctx)
	w := &writer{}
	ended := make(chan struct{})
	w.stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(w.stop)
	go func() {
		defer close(ended)
		for round := 0; ctx.Err() == nil; round++ {
			w.round(ctx, t, client, round)
			time.Sleep(pause) // the rate of the load
		}
	}()
	return w
}

func (w *writer) round(ctx context.Context, t *testing.T, client *clientv3.Client, round int) {
	put := func(key string, value []byte) {
		for ctx.Err() == nil { // a member may be killed at any time
			if _, err := client.Put(ctx, key, string(value)); err == nil {
				w.written.Add(1)
				return
			}
		}
	}
	for range 6 {
		put("/registry/leases/kube-node-lease/worker-1", make([]byte, 300))
	}
	for i, reason := range []string{"BackOff", "Scheduled"} {
		value, err := kubernetestest.Event(kubernetes.Event{
			Namespace: "shop", Name: fmt.Sprintf("web-%d.%d", i, round), Type: []string{"Warning", "Normal"}[i],
			Reason: reason, Component: []string{"kubelet", "default-scheduler"}[i], Count: 1, Created: time.Now(),
			InvolvedObject: kubernetes.Object{Kind: "Pod", Namespace: "shop", Name: fmt.Sprintf("web-%d", i)},
		})
		if err != nil {
			t.Error(err)
			return
		}
		put(fmt.Sprintf("/registry/events/shop/web-%d.%d", i, round), value)
	}
	put("/registry/minions/worker-1", make([]byte, 20_000))
	if round%2 == 0 {
		put("/registry/cert-manager.io/certificates/shop/tls", []byte("{}"))
	} else if _, err := client.Delete(ctx, "/registry/cert-manager.io/certificates/shop/tls"); err == nil {
		w.written.Add(1)
	}
}

// await waits until so much was written in all.
func (w *writer) await(ctx context.Context, t *testing.T, written int64) {
	t.Helper()
	for w.written.Load() < written {
		select {
		case <-ctx.Done():
			t.Fatalf("only %d of %d writes were made", w.written.Load(), written)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// near allows for a load that is cut within a round.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < want*0.75 || got > want*1.25 {
		t.Errorf("%s: %.1f, want about %.1f", what, got, want)
	}
}

func TestLoad(t *testing.T) {
	ctx, l := start(t)
	w := startWriter(ctx, t, l, 5*time.Millisecond)
	cluster := clusterOf(t, etcd.Config{Name: "lab", Endpoints: l.Endpoints()})
	w.await(ctx, t, 20) // every key is there
	// Ended by the number of writes: how many there are in a second is the machine's.
	var out bytes.Buffer
	running, interrupt := context.WithCancel(ctx)
	before, begun := w.written.Load(), time.Now()
	ended := make(chan error, 1)
	go func() {
		ended <- top.Run(running, top.Options{Cluster: cluster, Name: "lab", For: patience, Output: top.JSON}, &out)
	}()
	w.await(ctx, t, before+250)
	interrupt()
	must(t, <-ended)
	written, took := float64(w.written.Load()-before), time.Since(begun).Seconds()
	var r top.Report
	must(t, json.Unmarshal(out.Bytes(), &r))
	if r.Ended != "interrupted" || len(r.Notes) > 0 || len(r.Gaps) > 0 {
		t.Errorf("%s, notes %q, gaps %v", r.Ended, r.Notes, r.Gaps)
	}
	if got, revisions := int64(r.Total.Writes), r.Database.LatestRevision-r.Database.StartRevision; got != revisions || got < 50 {
		t.Errorf("%d writes in %d revisions", got, revisions)
	}
	// What was written before the watch began, or after it ended, lacks.
	if got := float64(r.Total.Writes); got > written+5 || got < written/2 || r.Seconds > took {
		t.Errorf("%.0f writes in %.1f s, of %.0f in %.1f s", got, r.Seconds, written, took)
	}
	near(t, "writes/s", r.Total.WritesPerSecond, float64(r.Total.Writes)/r.Seconds)
	share := func(what string, g top.Group, i int, name string, tenths float64) top.Row {
		t.Helper()
		if len(g.Rows) <= i || g.Rows[i].Name != name {
			t.Fatalf("%s: row %d is not %s: %+v", what, i, name, g.Rows)
		}
		near(t, what+" "+name, g.Rows[i].WritesPerSecond, r.Total.WritesPerSecond*tenths/10)
		return g.Rows[i]
	}
	share("resource", r.Resources, 0, "leases", 6)
	share("resource", r.Resources, 1, "events", 2)
	share("namespace", r.Namespaces, 0, "kube-node-lease", 6)
	share("namespace", r.Namespaces, 1, "shop", 3)
	lease := share("key", r.Keys, 0, "/registry/leases/kube-node-lease/worker-1", 6)
	near(t, "bytes/s of the lease", lease.BytesPerSecond, lease.WritesPerSecond*(300+41))
	share("key by bytes", r.KeysByBytes, 0, "/registry/minions/worker-1", 1)
	if objects := r.Events.InvolvedObjects; len(objects.Rows) != 2 || !strings.HasPrefix(objects.Rows[0].Name, "Pod shop/web-") {
		t.Errorf("involved objects %+v", objects)
	}
	if r.Events.Reasons.Distinct != 2 || r.Events.Sources.Distinct != 2 || r.Events.Types.Distinct != 2 {
		t.Errorf("events %+v", r.Events)
	}
	near(t, "new/s", r.Total.CreatedPerSecond, r.Total.WritesPerSecond*2.5/10)
	near(t, "deletes/s", r.Total.DeletedPerSecond, r.Total.WritesPerSecond*0.5/10)
	if r.Cost.ReceivedBytes < r.Total.Bytes || float64(r.Cost.ReceivedBytes) > 1.2*float64(r.Total.Bytes) {
		t.Errorf("%d bytes received for %d of keys and values", r.Cost.ReceivedBytes, r.Total.Bytes)
	}
	leader, err := l.Leader(ctx)
	must(t, err)
	if len(r.Cost.Endpoints) != 1 || r.Cost.Endpoints[0] == l.Member(leader).ClientURL() {
		t.Errorf("watched %q, the leader is %s", r.Cost.Endpoints, l.Member(leader).ClientURL())
	}
}

// screen is a terminal that a test reads while it is written.
type screen struct {
	mu  sync.Mutex
	out strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *screen) await(ctx context.Context, t *testing.T, what string) {
	t.Helper()
	for !strings.Contains(s.String(), what) {
		select {
		case <-ctx.Done():
			t.Fatalf("%q is never shown:\n%s", what, s)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// TestMemberDies kills the member that is watched, looks on as another takes
// over, and ends early.
func TestMemberDies(t *testing.T) {
	ctx, l := start(t)
	leader, err := l.Leader(ctx)
	must(t, err)
	startWriter(ctx, t, l, 20*time.Millisecond)
	cluster := clusterOf(t, etcd.Config{Name: "lab", Endpoints: l.Endpoints()})
	watched := l.Member((leader + 1) % 3)
	if leader != 0 { // the first follower, as endpoints are ordered
		watched = l.Member(0)
	}
	s := &screen{}
	running, interrupt := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		size := func() (int, int) { return 200, 60 }
		ended <- top.Run(running, top.Options{Cluster: cluster, Name: "lab", For: patience, Size: size}, s)
	}()
	s.await(ctx, t, "kube-node-lease")
	s.await(ctx, t, "one watcher on "+watched.ClientURL())
	must(t, watched.Kill())
	s.await(ctx, t, "going on with")
	s.await(ctx, t, "one watcher on "+watched.ClientURL()+", then http")
	interrupt()
	must(t, <-ended)
	_, final, found := strings.Cut(s.String(), "\x1b[?1049l")
	if !found || strings.Contains(final, "\x1b") || !strings.Contains(final, ", interrupted") || !strings.Contains(final, "BackOff") {
		t.Errorf("what stays on the terminal:\n%s", final)
	}
}

func TestAuth(t *testing.T) {
	ctx, l := start(t)
	must(t, l.EnableAuth(ctx, "the-secret-of-root", lab.User{Name: "reader", Password: "the-secret-of-reader", Prefix: "/registry/"}))
	file := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(file, []byte("the-secret-of-reader"), 0o600))
	reader := etcd.Config{Name: "lab", Endpoints: l.Endpoints(), Username: "reader", PasswordFile: file}
	nobody := etcd.Config{Name: "lab", Endpoints: l.Endpoints()}
	wrong := reader
	wrong.PasswordFile = filepath.Join(t.TempDir(), "wrong")
	must(t, os.WriteFile(wrong.PasswordFile, []byte("guess"), 0o600))
	for name, test := range map[string]struct {
		config etcd.Config
		prefix string
		want   string // of the error; empty: none
	}{
		"all keys":       {reader, "", "user reader may not watch: it needs read permission on all keys"},
		"its own prefix": {reader, "/registry/", ""},
		"another prefix": {reader, "/else/", "on the keys below /else/"},
		"without a user": {nobody, "", "this client may not watch"},
		"wrong password": {wrong, "/registry/", "auth"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			o := top.Options{
				Cluster: clusterOf(t, test.config), Name: "lab", User: test.config.Username,
				Prefix: test.prefix, For: 500 * time.Millisecond,
			}
			err := top.Run(ctx, o, &out)
			switch {
			case test.want == "":
				must(t, err)
				if !strings.Contains(out.String(), "no writes in") {
					t.Errorf("an idle cluster gives\n%s", out.String())
				}
			case err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n"):
				t.Errorf("error %v, want one line with %q", err, test.want)
			case out.Len() > 0:
				t.Errorf("beside the error there is\n%s", out.String())
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	cluster := clusterOf(t, etcd.Config{Name: "lab", Endpoints: []string{"http://127.0.0.1:1"}})
	var out bytes.Buffer
	err := top.Run(t.Context(), top.Options{Cluster: cluster, Name: "lab"}, &out)
	if err == nil || !strings.Contains(err.Error(), "cluster lab: no endpoint can be watched: http://127.0.0.1:1: refused") || out.Len() > 0 {
		t.Errorf("error %v, output %q", err, out.String())
	}
}
