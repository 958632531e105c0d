// SPDX-License-Identifier: Apache-2.0

// Package drilltest gives the drill's tests snapshots of real members.
package drilltest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/lab"
)

// What Snapshot leaves in the key space.
const (
	Keys     = 304 // more than three pages of the member's reading
	Revision = 309
)

// Snapshot starts a member of the version, fills it, lets more be done to it, and
// gives the file name of its snapshot.
func Snapshot(t *testing.T, version string, more func(ctx context.Context, l *lab.Lab, client *clientv3.Client) error) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := lab.Start(ctx, lab.Options{Members: 1, TLS: lab.Plain, Version: version})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := l.Client()
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(ctx, client); err != nil {
		t.Fatal(err)
	}
	if more != nil {
		if err := more(ctx, l, client); err != nil {
			t.Fatal(err)
		}
	}
	if client, err = l.Client(); err != nil { // more may have changed who we are
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "etcd.db")
	if err := save(ctx, client, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// fill makes Keys keys in Revision revisions: one each, one rewritten and two deleted
// of them, and some of the oldest revisions compacted away. The first key is the
// smallest there can be.
func fill(ctx context.Context, client *clientv3.Client) error {
	for i := range Keys + 2 {
		key := fmt.Sprintf("/registry/pods/default/pod-%04d", i)
		if i == 0 {
			key = "\x00"
		}
		if _, err := client.Put(ctx, key, "k8s\x00 a secret"); err != nil {
			return err
		}
	}
	for _, op := range []clientv3.Op{
		clientv3.OpPut("/registry/pods/default/pod-0001", "again"),
		clientv3.OpDelete("/registry/pods/default/pod-0002", clientv3.WithRange("/registry/pods/default/pod-0004")),
	} {
		if _, err := client.Do(ctx, op); err != nil {
			return err
		}
	}
	_, err := client.Compact(ctx, 100)
	return err
}

func save(ctx context.Context, client *clientv3.Client, name string) error {
	stream, err := client.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(file, stream)
	return err
}
