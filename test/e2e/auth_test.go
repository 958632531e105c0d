// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

const (
	readerName     = "reader"
	readerPrefix   = "/registry/"
	readerPassword = "first-secret-of-reader"
	nextPassword   = "second-secret-of-reader"
	rootPassword   = "the-secret-of-root"
)

// everyCollector lists those that are on by default and that etcd answers at once.
var everyCollector = []string{"status", "health", "clock", "members", "alarms", "compaction", "tls"}

// collectors is an error unless exactly the named ones failed.
func collectors(s *Scrape, failed ...string) error {
	s.t.Helper()
	bad := " " + strings.Join(failed, " ") + " "
	var errs []error
	for _, name := range everyCollector {
		want := 1.0
		if strings.Contains(bad, " "+name+" ") {
			want = 0
		}
		errs = append(errs, s.Want(want, "exporter_collector_success", "collector", name))
	}
	return errors.Join(errs...)
}

// healthy is an error unless both reads of the endpoint count as that.
func healthy(s *Scrape, want float64, endpoint string) error {
	s.t.Helper()
	return errors.Join(
		s.Want(want, "endpoint_healthy", "url", endpoint, "check", "linearizable_read"),
		s.Want(want, "endpoint_healthy", "url", endpoint, "check", "serializable_read"))
}

// guarded is a plain lab with auth on, and a user who may read one prefix.
func guarded(t *testing.T, version string, members int) *lab.Lab {
	t.Helper()
	l := startLab(t, lab.Options{Members: members, TLS: lab.Plain, Version: version})
	must(t, l.EnableAuth(patient(t), rootPassword, lab.User{Name: readerName, Password: readerPassword, Prefix: readerPrefix}))
	return l
}

// exportAs starts an exporter that signs in as the reader with the password in
// a file, whose name it returns.
func exportAs(t *testing.T, l *lab.Lab, password, key string) (e *Exporter, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "password")
	must(t, pki.WriteFile(file, []byte(password+"\n"), 0o600))
	return exportLab(t, l, "--etcd.username="+readerName, "--etcd.password-file="+file, "--etcd.probe-key="+key), file
}

// noSecrets is an error where one of the passwords shows anywhere.
func noSecrets(e *Exporter) error {
	e.t.Helper()
	all := e.Log() + e.Get("/metrics").Body + e.Get("/").Body
	for _, secret := range []string{readerPassword, nextPassword, rootPassword} {
		if strings.Contains(all, secret) {
			return fmt.Errorf("the secret %q shows in the log, the metrics or the page", secret)
		}
	}
	return nil
}

func TestAuth(t *testing.T) {
	t.Parallel()
	for version, members := range map[string]int{"3.5.35": 1, "3.6.16": 3} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			l := guarded(t, version, members)
			t.Run("probe key inside", func(t *testing.T) { authInside(t, l) })
			t.Run("probe key outside", func(t *testing.T) { authOutside(t, l) })
			t.Run("idle cluster", func(t *testing.T) { authIdle(t, l) })
			t.Run("wrong password", func(t *testing.T) { authWrong(t, l) })
			t.Run("no user", func(t *testing.T) {
				e := exportLab(t, l)
				for range 2 {
					s := e.Scrape("/metrics")
					for _, u := range l.Endpoints() {
						check(t, s.Down(u, "auth"))
					}
				}
			})
			t.Run("password rotated", func(t *testing.T) { authRotated(t, l) })
		})
	}
}

func authInside(t *testing.T, l *lab.Lab) {
	compacted := compactSome(t, l)
	e, _ := exportAs(t, l, readerPassword, readerPrefix+"health")
	for range 3 {
		s := e.Scrape("/metrics")
		for _, u := range l.Endpoints() {
			check(t, s.Up(u), healthy(s, 1, u))
		}
		check(t, collectors(s), s.WantNone("exporter_rpc_errors_total"), s.Want(float64(compacted), "cluster_compact_revision"),
			s.Want(float64(len(l.Endpoints())), "cluster_voters_healthy"))
	}
	if n := logged(e, "level=warn"); n > 0 {
		t.Errorf("%d warnings", n)
	}
	check(t, noSecrets(e))
}

// compactSome writes below another prefix than the reader's and compacts.
func compactSome(t *testing.T, l *lab.Lab) int64 {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	var last int64
	for i := range 5 {
		put, err := client.Put(patient(t), fmt.Sprintf("/other/%d", i), "x")
		must(t, err)
		last = put.Header.Revision
	}
	_, err = client.Compact(patient(t), last-2)
	must(t, err)
	return last - 2
}

// authOutside reads a key that the user may not: the answer shows that the
// member is healthy. Only the compaction cannot be learned.
func authOutside(t *testing.T, l *lab.Lab) {
	e, _ := exportAs(t, l, readerPassword, "health")
	for range 3 {
		s := e.Scrape("/metrics")
		for _, u := range l.Endpoints() {
			check(t, s.Up(u), healthy(s, 1, u))
		}
		check(t, collectors(s, "compaction"), s.WantNone("exporter_rpc_errors_total"), s.WantNone("cluster_compact_revision"))
		if s.Value("cluster_revision") < 2 {
			t.Error("no revision")
		}
	}
	check(t, logsOnce(e, "level=warn", "compaction", "permission denied"))
}

// authIdle counts raft entries: signing in is one, once a connection.
func authIdle(t *testing.T, l *lab.Lab) {
	before := raftIndex(t, l)
	e, _ := exportAs(t, l, readerPassword, readerPrefix+"health")
	for range 20 {
		s := e.Scrape("/metrics")
		for _, u := range l.Endpoints() {
			check(t, s.Up(u))
		}
	}
	if grown := raftIndex(t, l) - before; grown > uint64(len(l.Endpoints())) {
		t.Errorf("20 scrapes have written %d raft entries, want one an endpoint (%d) at most", grown, len(l.Endpoints()))
	}
}

// raftIndex is the cluster's raft index once it stands still.
func raftIndex(t *testing.T, l *lab.Lab) uint64 {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	var index uint64
	still := 0
	await(t, soon, "the raft index stands still", func() error {
		status, err := client.Status(patient(t), l.Member(0).ClientURL())
		must(t, err)
		if status.RaftIndex == index {
			still++
		} else {
			index, still = status.RaftIndex, 0
		}
		if still < 6 {
			return fmt.Errorf("it was %d a moment ago", index)
		}
		return nil
	})
	return index
}

// authWrong signs in with a wrong password to one cluster and with the right one
// to another, which happens to be the same.
func authWrong(t *testing.T, l *lab.Lab) {
	dir := t.TempDir()
	must(t, pki.WriteFile(filepath.Join(dir, "right"), []byte(readerPassword), 0o600),
		pki.WriteFile(filepath.Join(dir, "wrong"), []byte(nextPassword), 0o600))
	text := "clusters:\n"
	for _, name := range []string{"right", "wrong"} {
		text += fmt.Sprintf("  - {name: %s, endpoints: [%s], probe_key: %shealth, auth: {username: %s, password_file: %s}}\n",
			name, strings.Join(l.Endpoints(), ", "), readerPrefix, readerName, name)
	}
	file := filepath.Join(dir, "etcdops.yml")
	must(t, pki.WriteFile(file, []byte(text), 0o600))
	e := startExporter(t, "--config.file="+file)
	for range 2 {
		wrong, right := e.Scrape("/probe?cluster=wrong"), e.Scrape("/probe?cluster=right")
		for _, u := range l.Endpoints() {
			check(t, wrong.Down(u, "auth"), right.Up(u), healthy(right, 1, u))
		}
		check(t, collectors(right), right.WantNone("exporter_rpc_errors_total"))
		if !wrong.Has("exporter_rpc_errors_total", "method", "Authenticate") {
			t.Errorf("no error of Authenticate is counted: %v", wrong.Labels("exporter_rpc_errors_total"))
		}
	}
	check(t, logsOnce(e, "endpoint is down", "cluster=wrong", "reason=auth", l.Endpoints()[0]), noSecrets(e))
}

// authRotated changes the password in etcd first: until the file follows, the
// old one is refused.
func authRotated(t *testing.T, l *lab.Lab) {
	e, file := exportAs(t, l, readerPassword, readerPrefix+"health")
	u := l.Endpoints()[0]
	must(t, e.Scrape("/metrics").Up(u))
	client, err := l.Client()
	must(t, err)
	_, err = client.UserChangePassword(patient(t), readerName, nextPassword)
	must(t, err)
	await(t, soon, "the old password is refused", func() error { return e.Scrape("/metrics").Down(u, "auth") })
	must(t, pki.WriteFile(file, []byte(nextPassword+"\n"), 0o600))
	check(t, upWithin(e, 2, u))
	s := e.Scrape("/metrics")
	check(t, healthy(s, 1, u), collectors(s), noSecrets(e))
}

// TestAuthNoUserBefore35 shows what 3.4 tells a stranger: Status, members and
// alarms, but not a single key.
func TestAuthNoUserBefore35(t *testing.T) {
	t.Parallel()
	l := guarded(t, "3.4.23", 1)
	u := l.Endpoints()[0]
	s := exportLab(t, l).Scrape("/metrics")
	check(t, s.Up(u), healthy(s, 0, u), collectors(s, "compaction"), s.Want(1, "cluster_members", "role", "voter"),
		s.Want(0, "cluster_voters_healthy"), s.WantNone("cluster_compact_revision"))
	e, _ := exportAs(t, l, readerPassword, readerPrefix+"health")
	s = e.Scrape("/metrics")
	check(t, s.Up(u), healthy(s, 1, u), collectors(s))
}

// TestAuthByCertificate needs no password: etcd takes the name in the client's
// certificate for the user.
func TestAuthByCertificate(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1})
	must(t, l.EnableAuth(patient(t), rootPassword, lab.User{Name: readerName, Prefix: readerPrefix}))
	cert, key, err := l.IssueClient(pki.Spec{CommonName: readerName})
	must(t, err)
	u := l.Endpoints()[0]
	e := startExporter(t, "--etcd.endpoints="+u, "--etcd.ca-file="+l.CAFile(), "--etcd.cert-file="+cert,
		"--etcd.key-file="+key, "--etcd.probe-key="+readerPrefix+"health")
	for range 2 {
		s := e.Scrape("/metrics")
		check(t, s.Up(u), healthy(s, 1, u), collectors(s), s.WantNone("exporter_rpc_errors_total"))
	}
	// A trusted certificate in the name of nobody may ask for all but keys.
	stranger := exportLab(t, l).Scrape("/metrics")
	check(t, stranger.Up(u), healthy(stranger, 1, u), collectors(stranger, "compaction"))
}

// TestAuthTurnedOn is a cluster that gets its users while the exporter runs.
func TestAuthTurnedOn(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain})
	e, _ := exportAs(t, l, readerPassword, readerPrefix+"health")
	u := l.Endpoints()[0]
	s := e.Scrape("/metrics")
	check(t, s.Up(u), healthy(s, 1, u), collectors(s))
	must(t, l.EnableAuth(patient(t), rootPassword, lab.User{Name: readerName, Password: readerPassword, Prefix: readerPrefix}))
	check(t, upWithin(e, 2, u))
	s = e.Scrape("/metrics")
	check(t, s.Up(u), healthy(s, 1, u), collectors(s))

	client, err := l.Client()
	must(t, err)
	check(t, turnOff(patient(t), client))
	check(t, upWithin(e, 2, u))
	check(t, e.Scrape("/native?cluster=default&url="+url.QueryEscape(u)).Want(1, "etcd_server_has_leader"))
}

func turnOff(ctx context.Context, client *clientv3.Client) error {
	_, err := client.AuthDisable(ctx)
	return err
}
