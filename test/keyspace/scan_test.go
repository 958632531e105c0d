// SPDX-License-Identifier: Apache-2.0

// Package keyspace_test counts on real etcd and holds the counts against a listing.
package keyspace_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace"
	"github.com/etcdops/etcdops/test/lab"
)

const (
	prefix  = "/registry/events/"
	maxWalk = 20_000
)

// watched notes what the server's answers say, and what is asked for.
type watched struct {
	etcd.ScanAPI
	largest int64
	ranges  int
}

func (w *watched) Range(ctx context.Context, q etcd.RangeQuestion) (etcd.RangeAnswer, error) {
	a, err := w.ScanAPI.Range(ctx, q)
	w.largest, w.ranges = max(w.largest, a.Count), w.ranges+1
	return a, err
}

func start(t *testing.T) (*clientv3.Client, etcd.ScanAPI) {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Options{Members: 1, TLS: lab.Plain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	client, err := l.Client()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := etcd.NewCluster(etcd.Config{Name: "lab", Endpoints: l.Endpoints(), ProbeKey: "health"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return client, cluster.Scanner(l.Endpoints()[0])
}

// load writes events of 50 namespaces, one of which has half of them.
func load(t *testing.T, client *clientv3.Client, n int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 1))
	var batch []clientv3.Op
	for range n {
		share := random.Float64() * random.Float64()
		if random.IntN(2) == 0 {
			share = 0.3
		}
		key := fmt.Sprintf("%sns-%02d/pod-%d.%016x", prefix, int(share*50), random.IntN(1000), random.Uint64())
		if batch = append(batch, clientv3.OpPut(key, strings.Repeat("v", 100))); len(batch) == 100 {
			if _, err := client.Txn(t.Context()).Then(batch...).Commit(); err != nil {
				t.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}

// truth lists all keys.
func truth(t *testing.T, client *clientv3.Client) map[string]int64 {
	t.Helper()
	got, err := client.Get(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, kv := range got.Kvs {
		group, _, _ := strings.Cut(string(kv.Key[len(prefix):]), "/")
		counts[group]++
	}
	return counts
}

func scan(t *testing.T, c *keyspace.Counter, api etcd.ScanAPI) (keyspace.Result, map[string]int64) {
	t.Helper()
	w := &watched{ScanAPI: api}
	begun := time.Now()
	r, err := c.Scan(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d keys with %d requests of %v in %v, %d walked at most", r.Keys, r.Requests, r.Asked, time.Since(begun), r.Largest)
	if r.Largest > maxWalk || r.Largest != w.largest || r.Requests != w.ranges {
		t.Errorf("%d requests walk %d keys at most, and the result says %d and %d", w.ranges, w.largest, r.Requests, r.Largest)
	}
	counts := map[string]int64{}
	for _, g := range r.Groups {
		counts[string(g.Name)] = g.Keys
	}
	return r, counts
}

func TestCountsOfEvents(t *testing.T) {
	client, api := start(t)
	load(t, client, 100_000)
	c := keyspace.New(keyspace.Options{Prefix: prefix, MaxGroups: 100})
	for _, name := range []string{"cold", "warm"} {
		t.Run(name, func(t *testing.T) {
			want := truth(t, client)
			r, got := scan(t, c, api)
			if !maps.Equal(got, want) || r.Other != 0 || r.Leaf != 0 {
				t.Errorf("counted %v, want %v; %d others, %d leaves", got, want, r.Other, r.Leaf)
			}
			if name == "warm" && r.Requests > 200 {
				t.Errorf("%d requests", r.Requests)
			}
			if _, err := client.Put(t.Context(), prefix+"new/a", "v"); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Delete(t.Context(), prefix+"ns-15/pod-1", clientv3.WithPrefix()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestFirstScanBehindOtherWrites: the newest revisions tell nothing of the prefix.
func TestFirstScanBehindOtherWrites(t *testing.T) {
	client, api := start(t)
	load(t, client, 60_000)
	for i := range 100 {
		if _, err := client.Put(t.Context(), fmt.Sprintf("/registry/leases/node-%d", i%50), "v"); err != nil {
			t.Fatal(err)
		}
	}
	want := truth(t, client)
	if _, got := scan(t, keyspace.New(keyspace.Options{Prefix: prefix, MaxGroups: 100}), api); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}
