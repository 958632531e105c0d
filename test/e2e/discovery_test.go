// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

// knows is an error unless endpoint_up has exactly one series for each of the
// endpoints.
func knows(s *Scrape, endpoints ...string) error {
	s.t.Helper()
	var urls []string
	for _, labels := range s.Labels("endpoint_up") {
		urls = append(urls, labels["url"])
	}
	slices.Sort(urls)
	if want := slices.Sorted(slices.Values(endpoints)); !slices.Equal(urls, want) {
		return fmt.Errorf("endpoint_up is there for %q, want %q", urls, want)
	}
	return nil
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	// Binaries: a member that was removed may panic at the next Status (seen on
	// 3.7.3), which must not take this process along.
	l := startLab(t, lab.Options{Version: "3.6.16"})
	urls := l.Endpoints()
	t.Run("off", func(t *testing.T) {
		s := startExporter(t, labFlags(l, urls[0])...).Scrape("/metrics")
		check(t, knows(s, urls[0]), s.Want(2, "cluster_members_unmonitored"), s.Want(0, "cluster_endpoints_unlisted"))
	})
	e := startExporter(t, append(labFlags(l, urls[0]), "--etcd.discover")...)
	for range 2 { // the first scrape knows them all
		s := e.Scrape("/metrics")
		check(t, knows(s, urls...), s.Want(0, "cluster_members_unmonitored"), s.Want(3, "cluster_voters_healthy"))
		for _, u := range urls {
			check(t, s.Up(u), healthy(s, 1, u))
		}
	}
	if n := strings.Count(e.Get("/sd/native").Body, "__param_url"); n != 3 {
		t.Errorf("/sd/native lists %d endpoints, want 3", n)
	}

	client, err := l.Client()
	must(t, err)
	gone := l.Member(2)
	_, err = client.MemberRemove(patient(t), gone.ID())
	must(t, err)
	await(t, soon, "the removed member disappears", func() error {
		s := e.Scrape("/metrics")
		return errors.Join(knows(s, urls[0], urls[1]), s.Want(2, "cluster_members", "role", "voter"))
	})
	if a := e.Get("/native?cluster=default&url=" + urls[2]); a.Status != 404 {
		t.Errorf("/native answers %d for a member that was removed", a.Status)
	}
}

// TestDiscoverOneOfSeveral shows that a configured endpoint that is dead does
// not keep the others from being found.
func TestDiscoverOneOfSeveral(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{TLS: lab.Plain})
	urls := l.Endpoints()
	must(t, l.Member(1).Kill())
	e := startExporter(t, "--etcd.endpoints="+urls[1]+","+urls[0]+"/", "--etcd.discover")
	s := e.Scrape("/metrics")
	check(t, knows(s, urls...), s.Down(urls[1], "refused"), s.Up(urls[0]), s.Up(urls[2]))
}

// recorder listens and counts who comes; it never answers.
type recorder struct {
	port  string
	count atomic.Int64
}

func record(t *testing.T) *recorder {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	r := &recorder{port: port}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.count.Add(1)
			conn.Close()
		}
	}()
	return r
}

func (r *recorder) untouched(what string) error {
	if n := r.count.Load(); n != 0 {
		return fmt.Errorf("%s was contacted %d times", what, n)
	}
	return nil
}

// TestDiscoverRefuses has a member advertise where the exporter must not go.
func TestDiscoverRefuses(t *testing.T) {
	t.Parallel()
	unspecified, user, scheme, allowed := record(t), record(t), record(t), record(t)
	hostile := []string{
		"http://169.254.169.254:80",
		"http://[::ffff:169.254.169.254]:80",
		"http://0.0.0.0:" + unspecified.port,
		"http://[::]:" + unspecified.port,
		"http://spy:hunter2@127.0.0.1:" + user.port,
		"https://127.0.0.1:" + scheme.port,
	}
	fine := "http://127.0.0.1:" + allowed.port
	l := startLab(t, lab.Options{TLS: lab.Plain, Member: map[int]lab.MemberOptions{1: {Advertise: append(hostile, fine)}}})
	urls := l.Endpoints()

	e := startExporter(t, "--etcd.endpoints="+urls[0], "--etcd.discover", "--scrape.timeout=2s")
	for range 3 {
		s := e.Scrape("/metrics")
		check(t, knows(s, urls[0], urls[2], fine), s.Up(urls[0]), s.Up(urls[2]), s.Want(0, "endpoint_up", "url", fine))
	}
	if allowed.count.Load() == 0 {
		t.Error("the URL that may be asked was not: the listeners show nothing")
	}
	check(t, unspecified.untouched("the unspecified address"), user.untouched("the URL with a user"), scheme.untouched("the other scheme"))
	for _, u := range hostile {
		if strings.Contains(u, "hunter2") {
			u = "user name"
		}
		check(t, logsOnce(e, "is not used", u))
	}
	if text := e.Log() + e.Get("/metrics").Body + e.Get("/").Body; strings.Contains(text, "hunter2") {
		t.Error("the password in an advertised URL shows in the log, the metrics or the page")
	}
	for _, u := range hostile {
		if a := e.Get("/native?cluster=default&url=" + u); a.Status != 404 {
			t.Errorf("/native answers %d for %s", a.Status, u)
		}
	}

	t.Run("loopback of another host", func(t *testing.T) { foreignLoopback(t, l, allowed, fine) })
}

// foreignLoopback moves the member's peer URL to another host: the cluster is no
// longer one of this host alone, so that the loopback addresses which the others
// advertise are not ours.
func foreignLoopback(t *testing.T, l *lab.Lab, listener *recorder, advertised string) {
	client, err := l.Client()
	must(t, err)
	_, err = client.MemberUpdate(patient(t), l.Member(1).ID(), []string{"http://192.0.2.7:2380"})
	must(t, err)
	listener.count.Store(0)
	urls := l.Endpoints()
	e := startExporter(t, "--etcd.endpoints="+urls[0], "--etcd.discover", "--scrape.timeout=2s")
	for range 3 {
		s := e.Scrape("/metrics")
		check(t, knows(s, urls[0]), s.Up(urls[0]), s.Want(2, "cluster_members_unmonitored"))
	}
	check(t, listener.untouched("the loopback address of another host"),
		logsOnce(e, "is not used", advertised, "loopback"), logsOnce(e, "is not used", urls[2], "loopback"))
}

// TestDiscoverAllowCIDRs keeps to the networks that are allowed; what is
// configured needs no permission.
func TestDiscoverAllowCIDRs(t *testing.T) {
	t.Parallel()
	spy := record(t)
	advertised := []string{"http://127.0.0.1:" + spy.port, "http://localhost:" + spy.port}
	l := startLab(t, lab.Options{TLS: lab.Plain, Member: map[int]lab.MemberOptions{1: {Advertise: advertised}}})
	urls := l.Endpoints()
	for networks, known := range map[string][]string{
		"192.0.2.0/24, 2001:db8::/32": {urls[0]},
		"192.0.2.0/24, 127.0.0.1/32":  append([]string{urls[0], urls[2]}, advertised...),
	} {
		t.Run(networks, func(t *testing.T) {
			spy.count.Store(0)
			file := filepath.Join(t.TempDir(), "etcdops.yml")
			must(t, pki.WriteFile(file, fmt.Appendf(nil, "clusters:\n  - name: a\n    endpoints: [%s]\n    discover: true\n    allow_cidrs: [%s]\n",
				urls[0], strings.ReplaceAll(networks, "2001:db8::/32", "'2001:db8::/32'")), 0o600))
			e := startExporter(t, "--config.file="+file, "--scrape.timeout=2s")
			var s *Scrape
			for range 3 {
				s = e.Scrape("/metrics")
				check(t, s.Up(urls[0]))
			}
			if len(known) > 1 {
				check(t, knows(s, known...), s.Up(urls[2]))
				return
			}
			// A name is resolved before it can be judged: it is known, and down.
			check(t, knows(s, urls[0], advertised[1]), s.Want(0, "endpoint_up", "url", advertised[1]), spy.untouched("an address outside allow_cidrs"),
				logsOnce(e, "is not used", urls[2], "allow_cidrs"), logsOnce(e, "is not used", advertised[0], "allow_cidrs"))
		})
	}
}
