// SPDX-License-Identifier: Apache-2.0

// Package mutate_test changes real etcd, and looks what became of it.
package mutate_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate/live"
	"github.com/etcdops/etcdops/test/lab"
)

const version = "3.6.16"

// start starts a lab, and gives a client that is not ours.
func start(t *testing.T, options lab.Options) (*lab.Lab, *clientv3.Client) {
	t.Helper()
	l, err := lab.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	client, err := l.Client()
	if err != nil {
		t.Fatal(err)
	}
	return l, client
}

// connect makes what the remediator has of a cluster.
func connect(t *testing.T, l *lab.Lab, change func(*etcd.Config)) (*live.Live, *etcd.Cluster) {
	t.Helper()
	cfg := etcd.Config{Name: "lab", Endpoints: l.Endpoints(), ProbeKey: "health"}
	if l.Endpoints()[0][:5] == "https" {
		cfg.CAFile, cfg.CertFile, cfg.KeyFile = l.CAFile(), l.ClientCert(), l.ClientKey()
	}
	if change != nil {
		change(&cfg)
	}
	cluster, err := etcd.NewCluster(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return live.New(cluster), cluster
}

// put writes keys and gives them as a listing would.
func put(t *testing.T, client *clientv3.Client, names ...string) []etcd.KeyValue {
	t.Helper()
	var listed []etcd.KeyValue
	for _, name := range names {
		r, err := client.Put(t.Context(), name, "first")
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, etcd.KeyValue{Key: []byte(name), ModRevision: r.Header.Revision})
	}
	return listed
}

// value is what a key holds; empty: there is none.
func value(t *testing.T, client *clientv3.Client, name string) string {
	t.Helper()
	r, err := client.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Kvs) == 0 {
		return ""
	}
	return string(r.Kvs[0].Value)
}

// await waits until a condition holds.
func await(t *testing.T, what string, within time.Duration, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for !f() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s", what, within)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func names(prefix string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s%03d", prefix, i))
	}
	return all
}
