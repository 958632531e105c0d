// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

const (
	eventsPrefix   = "/registry/events/"
	everySecond    = "keyspaces:\n  - {prefix: /registry/, interval: 1s}\n  - {prefix: /registry/events/, interval: 1s}\n"
	mostOneRequest = 20_000 // keys that one request may make a member walk
)

// onlyKeyspace switches off all that asks for keys beside the collector keyspace.
func onlyKeyspace(args ...string) []string {
	return append(args, "--no-collector.health", "--no-collector.compaction", "--no-collector.members", "--log.level=debug")
}

// exportKeyspace starts an exporter whose key spaces are configured like that.
func exportKeyspace(t *testing.T, endpoints []string, more string, args ...string) *Exporter {
	t.Helper()
	file := filepath.Join(t.TempDir(), "etcdops.yml")
	writeConfig(t, file, endpoints, more)
	return startExporter(t, append([]string{"--config.file=" + file}, args...)...)
}

// putKeys writes keys with a small value.
func putKeys(t *testing.T, l *lab.Lab, keys ...string) {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	for batch := range slices.Chunk(keys, 100) {
		var puts []clientv3.Op
		for _, key := range batch {
			puts = append(puts, clientv3.OpPut(key, "value"))
		}
		await(t, soon, "keys are written", func() error { // a member may just have died
			_, err := client.Txn(patient(t)).Then(puts...).Commit()
			return err
		})
	}
}

// numbered makes n keys below a prefix.
func numbered(prefix string, n int) []string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf("%s%04d", prefix, i))
	}
	return keys
}

func deleteKeys(t *testing.T, l *lab.Lab, prefix string) {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	_, err = client.Delete(patient(t), prefix, clientv3.WithPrefix())
	must(t, err)
}

// listing counts the groups of a prefix as a person would: by listing its keys.
func listing(t *testing.T, l *lab.Lab, prefix string) map[string]int {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	all, err := client.Get(patient(t), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	must(t, err)
	groups := map[string]int{"__leaf__": 0, "__other__": 0}
	for _, kv := range all.Kvs {
		group, _, nested := strings.Cut(strings.TrimPrefix(string(kv.Key), prefix), "/")
		if !nested {
			group = "__leaf__"
		}
		groups[group]++
	}
	return groups
}

// counted is an error unless the scrape has exactly these groups of a prefix.
func counted(s *Scrape, prefix string, groups map[string]int) error {
	s.t.Helper()
	got, sum := map[string]int{}, 0
	for _, m := range s.series("keyspace_group_keys", "prefix", prefix) {
		got[labelsOf(m)["group"]] = int(valueOf(m))
	}
	for _, n := range groups {
		sum += n
	}
	var err error
	if !maps.Equal(got, groups) {
		err = fmt.Errorf("groups below %s are %v, want %v", prefix, got, groups)
	}
	return errors.Join(err, s.Want(float64(sum), "keyspace_keys", "prefix", prefix),
		s.Want(float64(len(groups)-2), "keyspace_groups", "prefix", prefix), s.Want(1, "keyspace_scan_success", "prefix", prefix))
}

func TestKeyspace(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{TLS: lab.Plain, Version: "3.6.16"})
	putKeys(t, l, slices.Concat(numbered(eventsPrefix+"kube/", 311), numbered(eventsPrefix+"kube-system/", 1207), numbered(eventsPrefix+"kube-system-2/", 53),
		numbered(eventsPrefix+"a/", 1), numbered("/registry/services/specs/default/", 17), numbered("/registry/services/endpoints/default/", 5),
		numbered("/registry/pods/kube-system/", 240), numbered("/registry/minions/node-", 9), []string{"/registry/leaf", "/registryelse/x", "/other/y", eventsPrefix + "leaf"})...)
	e := exportKeyspace(t, l.Endpoints(), everySecond, onlyKeyspace()...)
	matches := func() error {
		s := e.Scrape("/metrics")
		return errors.Join(counted(s, "/registry/", listing(t, l, "/registry/")), counted(s, eventsPrefix, listing(t, l, eventsPrefix)),
			s.Want(1, "exporter_collector_success", "collector", "keyspace"))
	}
	leader, err := l.Leader(patient(t))
	must(t, err)
	before := ranges(native(t, l, l.Member(leader)))
	await(t, soon, "the first scan is exact", func() error {
		return counted(e.Scrape("/metrics"), eventsPrefix, map[string]int{"kube": 311, "kube-system": 1207, "kube-system-2": 53, "a": 1, "__leaf__": 1, "__other__": 0})
	})
	leaderSpared(t, e, l, leader, before)
	await(t, soon, "both prefixes are exact", matches)

	putKeys(t, l, slices.Concat(numbered(eventsPrefix+"kube-system-1/", 77), numbered(eventsPrefix+"kube/x", 3), numbered("/registry/leases/a/", 2))...)
	deleteKeys(t, l, eventsPrefix+"kube-system-2/")
	deleteKeys(t, l, "/registry/services/")
	await(t, soon, "the next scan is exact", matches)

	t.Run("nobody scrapes", func(t *testing.T) { unscraped(t, e.with(t), l) })
	t.Run("member dies", func(t *testing.T) { serverDies(t, e.with(t), l) })
}

// ranges is how many Range requests a member has answered.
func ranges(s *Scrape) float64 { return s.Sum("grpc_server_handled_total", "grpc_method", "Range") }

// leaderSpared shows that scans ask others than the leader. It scrapes for a while,
// so that there is something to see.
func leaderSpared(t *testing.T, e *Exporter, l *lab.Lab, leader int, before float64) {
	t.Helper()
	await(t, soon, "five scans are over", func() error {
		e.Scrape("/metrics")
		if n := logged(e, "key space counted"); n < 5 {
			return fmt.Errorf("%d scans", n)
		}
		return nil
	})
	grown := ranges(native(t, l, l.Member(leader))) - before // to find the leader is a read, too
	if now, err := l.Leader(patient(t)); err != nil || now != leader {
		t.Logf("the leader changed meanwhile (%v): nothing to compare", err)
		return
	}
	if grown != 0 {
		t.Errorf("the leader was asked %v times", grown)
	}
	if n := logged(e, "key space counted", "url="+l.Member(leader).ClientURL()); n > 0 {
		t.Errorf("the leader served %d scans", n)
	}
}

// unscraped waits until scans end by themselves, and begin again with a scrape.
func unscraped(t *testing.T, e *Exporter, l *lab.Lab) {
	sum := func() (n float64) {
		for _, m := range l.Members() {
			n += ranges(native(t, l, m))
		}
		return n
	}
	e.Scrape("/metrics")
	last, since := sum(), time.Now()
	await(t, time.Minute, "no scan for 4 s", func() error {
		if now := sum(); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < 4*time.Second {
			return errors.New("the last one was a moment ago")
		}
		return nil
	})
	await(t, soon, "a scrape begins them again", func() error {
		e.Scrape("/metrics")
		if sum() == last {
			return errors.New("no Range more")
		}
		return nil
	})
}

var servedBy = regexp.MustCompile(`key space counted.* url=(\S+)`)

// lastServed is the endpoint that the newest scan asked.
func lastServed(e *Exporter) string {
	all := servedBy.FindAllStringSubmatch(e.Log(), -1)
	return all[len(all)-1][1]
}

func serverDies(t *testing.T, e *Exporter, l *lab.Lab) {
	e.Scrape("/metrics")
	served := lastServed(e)
	for _, m := range l.Members() {
		if m.ClientURL() == served {
			must(t, m.Kill())
		}
	}
	// Nobody scrapes: the scan itself has to find out.
	await(t, soon, "another member serves", func() error {
		if lastServed(e) == served {
			return fmt.Errorf("it is still %s", served)
		}
		return nil
	})
	putKeys(t, l, numbered(eventsPrefix+"later/", 4)...)
	await(t, soon, "scans go on", func() error {
		return counted(e.Scrape("/metrics"), eventsPrefix, listing(t, l, eventsPrefix))
	})
	check(t, e.Scrape("/metrics").Want(1, "exporter_collector_success", "collector", "keyspace"))
}

func TestKeyspaceNothingThere(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain})
	e := exportLab(t, l)
	none := map[string]int{"__leaf__": 0, "__other__": 0}
	await(t, soon, "the default prefixes are counted", func() error {
		s := e.Scrape("/metrics")
		return errors.Join(counted(s, "/registry/", none), counted(s, eventsPrefix, none), s.Want(1, "exporter_collector_success", "collector", "keyspace"))
	})

	e = exportKeyspace(t, l.Endpoints(), "keyspaces: []\n")
	s := e.Scrape("/metrics")
	check(t, s.Up(l.Endpoints()[0]), s.WantNone("exporter_collector_success", "collector", "keyspace"))
	for name := range s.Families {
		if strings.Contains(name, "keyspace") {
			t.Errorf("%s is there", name)
		}
	}
}

// TestKeyspaceDenied has a user who may read one of two prefixes.
func TestKeyspaceDenied(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain, Version: "3.6.16"})
	putKeys(t, l, numbered(eventsPrefix+"a/", 30)...)
	must(t, l.EnableAuth(patient(t), rootPassword, lab.User{Name: readerName, Password: readerPassword, Prefix: eventsPrefix}))
	password := filepath.Join(t.TempDir(), "password")
	must(t, pki.WriteFile(password, []byte(readerPassword), 0o600))
	e := exportKeyspace(t, l.Endpoints(), everySecond+fmt.Sprintf("probe_key: %shealth\nauth: {username: %s, password_file: '%s'}\n", eventsPrefix, readerName, password))
	seen := func() error {
		s := e.Scrape("/metrics")
		return errors.Join(counted(s, eventsPrefix, map[string]int{"a": 30, "__leaf__": 0, "__other__": 0}),
			s.Want(0, "keyspace_scan_success", "prefix", "/registry/"), s.WantNone("keyspace_keys", "prefix", "/registry/"),
			collectors(s), s.Want(0, "exporter_collector_success", "collector", "keyspace"), s.Up(l.Endpoints()[0]), healthy(s, 1, l.Endpoints()[0]))
	}
	await(t, soon, "one prefix is counted, the other refused", seen)
	for range 30 {
		check(t, seen())
		pause(t, 100*time.Millisecond)
	}
	check(t, logsOnce(e, "level=warn", "collector=keyspace", "permission denied"), noSecrets(e))
	if n := logged(e, "level=warn"); n != 1 {
		t.Errorf("%d warnings", n)
	}
}
