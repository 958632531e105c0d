// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/lab"
)

// TestKeyspaceBytes compares estimates with what is stored.
func TestKeyspaceBytes(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain, Version: "3.6.16"})
	must(t, l.Load(patient(t), lab.LoadOptions{Keys: 3000, Events: 500}))
	client, err := l.Client()
	must(t, err)
	member := startWiretap(t, l.Endpoints()[0])
	e := exportKeyspace(t, []string{member.URL}, "keyspaces: [{prefix: /registry/, interval: 1s, sample_bytes: true}]\n", onlyKeyspace()...)
	await(t, soon, "bytes are sampled", func() error {
		if s := e.Scrape("/metrics"); !s.Has("keyspace_group_bytes", "group", "pods") {
			return errors.New("none yet")
		}
		return nil
	})
	must(t, secretsUnread(member.seen()))

	truth := map[string]float64{}
	all, err := client.Get(patient(t), "/registry/", clientv3.WithPrefix())
	must(t, err)
	for _, kv := range all.Kvs {
		group, _, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), "/registry/"), "/")
		truth[group] += float64(len(kv.Key) + len(kv.Value))
	}
	s := e.Scrape("/metrics")
	delete(truth, "secrets")
	for group, want := range truth {
		got := s.Value("keyspace_group_bytes", "prefix", "/registry/", "group", group)
		t.Logf("%s: %.0f bytes, estimated %.0f +- %.0f", group, want, got, s.Value("keyspace_group_bytes_error", "group", group))
		if math.Abs(got-want) > want/10 {
			t.Errorf("%s: %.0f bytes, want %.0f within 10 %%", group, got, want)
		}
	}
	if n := s.Count("keyspace_group_bytes"); n != len(truth) {
		t.Errorf("%d groups with bytes, want %d: %v", n, len(truth), s.Labels("keyspace_group_bytes"))
	}
	check(t, s.WantNone("keyspace_group_bytes", "group", "secrets"), s.Want(450, "keyspace_group_keys", "group", "secrets"))
}

// secretsUnread is an error where a request for values reaches into the secrets.
func secretsUnread(all []ranged) error {
	const from, to = "/registry/secrets/", "/registry/secrets0"
	values := 0
	for _, r := range all {
		if !r.values {
			continue
		}
		values++
		if r.from < to && max(r.to, r.from+"\x00") > from {
			return fmt.Errorf("values from %q to %q were read", r.from, r.to)
		}
	}
	if values == 0 {
		return errors.New("no value was read: the wiretap has missed it")
	}
	return nil
}

// TestKeyspaceFlood counts 60,000 keys of one namespace, of which nothing is known.
func TestKeyspaceFlood(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain, Version: "3.6.16"})
	const flood = 60_000
	must(t, l.Load(patient(t), lab.LoadOptions{Keys: 200, Events: flood, Namespaces: 1, ValueBytes: 40}))
	member := startWiretap(t, l.Endpoints()[0])
	e := exportKeyspace(t, []string{member.URL}, everySecond, onlyKeyspace()...)
	want := map[string]int{"team-000": flood, "__leaf__": 0, "__other__": 0}
	await(t, time.Minute, "the flood is counted", func() error { return counted(e.Scrape("/metrics"), eventsPrefix, want) })
	await(t, time.Minute, "all is counted", func() error { return e.Scrape("/metrics").Want(flood+200, "keyspace_keys", "prefix", "/registry/") })
	largest, sum := int64(0), int64(0)
	for _, r := range member.seen() {
		if r.leader {
			t.Errorf("a scan asked for a linearizable read of %q to %q", r.from, r.to)
		}
		largest, sum = max(largest, r.count), sum+r.count
	}
	t.Logf("the largest answer counted %d keys, all together %d", largest, sum)
	if largest > mostOneRequest || sum < 2*flood {
		t.Errorf("the largest answer counts %d keys (all %d), want at most %d", largest, sum, mostOneRequest)
	}
}

// TestKeyspaceEndsAtOnce reloads and stops in the middle of scans: of a large key
// space, and of one whose member fell silent.
func TestKeyspaceEndsAtOnce(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain, Version: "3.6.16"})
	must(t, l.Load(patient(t), lab.LoadOptions{Events: 200_000, Namespaces: 3, ValueBytes: 10}))
	member := startProxy(t, l.Endpoints()[0])
	dir := t.TempDir()
	file := filepath.Join(dir, "etcdops.yml")
	reload := func(e *Exporter, more string) {
		writeConfig(t, file, []string{member.URL}, more)
		if a := e.Do("POST", "/-/reload"); a.Status != 200 || a.Took > stopTime {
			t.Errorf("the reload answers %d after %s", a.Status, a.Took)
		}
	}
	cut := 0
	for i, delay := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
		writeConfig(t, file, []string{member.URL}, everySecond)
		e := startExporter(t, "--config.file="+file, "--log.level=debug")
		e.Scrape("/metrics")
		pause(t, delay) // into the scan
		before := logged(e, "key space counted")
		if i%2 == 0 {
			reload(e, fmt.Sprintf("probe_key: other%d\n", i)+everySecond)
			e.Scrape("/metrics")
		}
		e.Stop()
		if before < 2 && logged(e, "key space counted") < 2 {
			cut++
		}
	}
	if cut == 0 {
		t.Error("no scan was cut short: nothing was shown")
	}

	writeConfig(t, file, []string{member.URL}, everySecond)
	e := startExporter(t, "--config.file="+file, "--log.level=debug", "--scrape.timeout=1s")
	e.Scrape("/metrics")
	member.Lose() // the scan's connection, or that of the next one
	pause(t, time.Second)
	reload(e, "probe_key: other\n"+everySecond)
	await(t, soon, "the new configuration works", func() error { return e.Scrape("/metrics").Up(member.URL) })
	member.Lose()
	pause(t, time.Second)
	e.Stop()
}

// TestKeyspaceSilentWatch has a member that is too busy to answer the watch which
// looks for keys to begin with: that is no reason to make it read more of its past.
func TestKeyspaceSilentWatch(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain, Version: "3.6.16"})
	must(t, l.Load(patient(t), lab.LoadOptions{Events: 100_000, Namespaces: 3, ValueBytes: 10}))
	client, err := l.Client()
	must(t, err)
	status, err := client.Status(patient(t), l.Endpoints()[0])
	must(t, err)
	member := startWiretap(t, l.Endpoints()[0])
	member.hush.Store(true)
	e := exportKeyspace(t, []string{member.URL}, everySecond, onlyKeyspace()...)
	await(t, time.Minute, "all is counted", func() error { return e.Scrape("/metrics").Want(100_000, "keyspace_keys", "prefix", "/registry/") })
	starts := member.watches()
	for _, start := range starts {
		if back := status.Header.Revision - start; back > 100 {
			t.Errorf("a watch goes %d revisions back, of 100 changes each; all of them start at %v, the head is %d", back, starts, status.Header.Revision)
			break
		}
	}
	if len(starts) == 0 {
		t.Error("nothing was watched: nothing is shown")
	}
}
