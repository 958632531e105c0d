// SPDX-License-Identifier: Apache-2.0

package mutate_test

import (
	"testing"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/test/lab"
)

// What was written since it was listed stays, however it was written.
func TestDeleteKeepsWhatChanged(t *testing.T) {
	t.Parallel()
	l, client := start(t, lab.Options{Members: 1, TLS: lab.Plain, Version: version})
	alive, _ := connect(t, l, nil)
	url := l.Endpoints()[0]
	for _, single := range []bool{false, true} {
		listed := put(t, client, names("/registry/events/", 128)...)
		put(t, client, "/registry/events", "/registry/eventsfoo", "/registry/events/0000")
		rewrite := func(name string) {
			if _, err := client.Put(t.Context(), name, "second"); err != nil {
				t.Fatal(err)
			}
		}
		remove := func(name string) {
			if _, err := client.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		rewrite("/registry/events/003")
		remove("/registry/events/005")
		rewrite("/registry/events/005")
		remove("/registry/events/007")
		rewrite("/registry/events/127")
		deleted, revision, err := alive.Delete(t.Context(), url, listed, single)
		if err != nil {
			t.Fatal(err)
		}
		now, err := client.Get(t.Context(), "/registry/events/000")
		if err != nil || len(now.Kvs) != 0 || revision != now.Header.Revision {
			t.Errorf("single %v: the last delete is %d, the head %d, error %v", single, revision, now.Header.Revision, err)
		}
		for i, k := range listed {
			stays, want := false, ""
			switch i {
			case 3, 5, 127:
				stays, want = true, "second"
			case 7:
				stays = true // as far as this call goes: another deleted it
			}
			if deleted[i] == stays {
				t.Errorf("single %v: key %d: deleted %v", single, i, deleted[i])
			}
			if got := value(t, client, string(k.Key)); got != want {
				t.Errorf("single %v: key %d holds %q, want %q", single, i, got, want)
			}
		}
		for _, name := range []string{"/registry/events", "/registry/eventsfoo", "/registry/events/0000"} {
			if value(t, client, name) != "first" {
				t.Errorf("single %v: %s is gone", single, name)
			}
		}
		// A second time there is nothing to do.
		before := now.Header.Revision
		deleted, revision, err = alive.Delete(t.Context(), url, listed, single)
		if err != nil || revision != 0 {
			t.Errorf("single %v: again: revision %d, error %v", single, revision, err)
		}
		for i := range deleted {
			if deleted[i] {
				t.Errorf("single %v: key %d is deleted twice", single, i)
			}
		}
		if now, err = client.Get(t.Context(), "x"); err != nil || now.Header.Revision != before {
			t.Errorf("single %v: something was written: %d, error %v", single, now.Header.Revision, err)
		}
	}
	if _, _, err := alive.Delete(t.Context(), url, make([]etcd.KeyValue, 1), false); err == nil {
		t.Error("a key without a name is deleted")
	}
}
