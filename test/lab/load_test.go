// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"os"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/lab"
)

func TestLoadWritesAsManyKeysAsAsked(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Members: 1})
	ctx := patient(t)
	must(t, l.Load(ctx, lab.LoadOptions{Keys: 1234, Events: 567, Seed: 7}))
	client, err := l.Client()
	must(t, err)
	for prefix, want := range map[string]int64{"/registry/": 1801, "/registry/events/": 567} {
		got, err := client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		must(t, err)
		if got.Count != want {
			t.Errorf("%d keys below %s, want %d", got.Count, prefix, want)
		}
	}
	for _, prefix := range []string{
		"/registry/pods/team-000/", "/registry/services/specs/", "/registry/configmaps/",
		"/registry/secrets/", "/registry/minions/", "/registry/leases/", "/registry/events/team-000/",
	} {
		got, err := client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithLimit(1))
		must(t, err)
		if got.Count == 0 || !strings.HasPrefix(string(got.Kvs[0].Value), "k8s\x00") {
			t.Errorf("below %s: %v", prefix, got.Kvs)
		}
	}
}

func TestLoadIsRepeatable(t *testing.T) {
	t.Parallel()
	var texts [2][]string
	for i := range texts {
		l := start(t, lab.Options{Members: 1, TLS: lab.Plain})
		ctx := patient(t)
		must(t, l.Load(ctx, lab.LoadOptions{Keys: 100, Events: 100, ValueBytes: 64}))
		client, err := l.Client()
		must(t, err)
		got, err := client.Get(ctx, "/registry/", clientv3.WithPrefix())
		must(t, err)
		for _, kv := range got.Kvs {
			texts[i] = append(texts[i], string(kv.Key)+"="+string(kv.Value))
		}
	}
	if strings.Join(texts[0], "\n") != strings.Join(texts[1], "\n") {
		t.Error("two loads of the same options differ")
	}
}

func TestWriteConfig(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Members: 1, Member: map[int]lab.MemberOptions{0: {GRPCOnly: true}}})
	name, err := l.WriteConfig(&lab.User{Name: "reader", Password: "secret", Prefix: "/registry/"})
	must(t, err)
	text, err := os.ReadFile(name)
	must(t, err)
	for _, want := range []string{
		"  - name: lab\n", "      - " + l.Member(0).ClientURL() + "\n", "key_file:", "username: \"reader\"\n",
		"probe_key: \"/registry/health\"\n", "metrics_urls:\n", "data_dirs:\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "secret\"") {
		t.Error("the password is in the configuration itself")
	}
}
