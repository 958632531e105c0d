// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

// notAfter is the metric of certificates' ends.
const notAfter = "certificate_not_after_timestamp_seconds"

// soon bounds what must come within two scrapes: the scrapes of a busy machine.
const soon = 20 * time.Second

// logged counts the lines of the log that hold all of the texts.
func logged(e *Exporter, texts ...string) int {
	count := 0
	for line := range strings.Lines(e.Log()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			count++
		}
	}
	return count
}

// logsOnce is an error unless exactly one line holds all of the texts.
func logsOnce(e *Exporter, texts ...string) error { return logs(e, 1, texts...) }

// logs is an error unless so many lines hold all of the texts. A line may arrive
// a little after the answer that it was written before.
func logs(e *Exporter, want int, texts ...string) error {
	e.t.Helper()
	for end := time.Now().Add(2 * time.Second); logged(e, texts...) < want && time.Now().Before(end); {
		pause(e.t, 10*time.Millisecond)
	}
	if n := logged(e, texts...); n != want {
		return fmt.Errorf("%d log lines hold %q, want %d:\n%s", n, texts, want, e.Log())
	}
	return nil
}

// upWithin is an error unless the endpoint is up in one of the next n scrapes.
func upWithin(e *Exporter, n int, url string) error {
	e.t.Helper()
	var err error
	for range n {
		if err = e.Scrape("/metrics").Up(url); err == nil {
			return nil
		}
	}
	return fmt.Errorf("not within %d scrapes: %w", n, err)
}

// expires is the end of the one certificate of that role and URL.
func expires(s *Scrape, role, url string) time.Time {
	s.t.Helper()
	return time.Unix(int64(s.Value(notAfter, "role", role, "url", url)), 0)
}

func isTime(what string, got, want time.Time) error {
	if got.Unix() != want.Unix() {
		return fmt.Errorf("%s is %s, want %s", what, got.UTC(), want.UTC())
	}
	return nil
}

func TestTLSBadServerCertificates(t *testing.T) {
	t.Parallel()
	expired, later := time.Now().Add(-time.Hour), time.Now().Add(100*time.Hour)
	l := startLab(t, lab.Options{Member: map[int]lab.MemberOptions{
		1: {ServerCert: &lab.ServerCert{Spec: pki.Spec{NotAfter: later}, Foreign: true}},
		2: {ServerCert: &lab.ServerCert{Spec: pki.Spec{NotAfter: expired}}},
	}})
	urls := l.Endpoints()
	good, foreign, old := urls[0], urls[1], urls[2]

	t.Run("cost themselves alone", func(t *testing.T) {
		e := exportLab(t, l)
		for range 2 {
			s := e.Scrape("/metrics")
			check(t, s.Up(good), s.Down(foreign, "tls"), s.Down(old, "tls"),
				s.Want(1, "endpoint_healthy", "url", good, "check", "linearizable_read"),
				s.Want(1, "endpoint_healthy", "url", good, "check", "serializable_read"),
				s.Want(3, "cluster_members", "role", "voter"),
				isTime("the foreign certificate's end", expires(s, "server", foreign), later),
				isTime("the expired certificate's end", expires(s, "server", old), expired))
			for _, name := range []string{"status", "health", "members", "alarms", "compaction", "tls", "clock"} {
				check(t, s.Want(1, "exporter_collector_success", "collector", name))
			}
		}
		check(t, logsOnce(e, "endpoint is down", foreign, "reason=tls"), logsOnce(e, "endpoint is down", old, "reason=tls"))

		m := l.Member(2)
		sound, err := l.CA().Server(pki.Spec{CommonName: "renewed", Hosts: pki.Loopback()})
		must(t, err, sound.Write(m.ServerCert(), m.ServerKey()))
		check(t, upWithin(e, 2, old), logsOnce(e, "endpoint is up again", old))
		if end := expires(e.Scrape("/metrics"), "server", old); end.Before(time.Now()) {
			t.Errorf("the renewed certificate ends at %s", end)
		}
	})

	t.Run("wrong CA", func(t *testing.T) {
		e := startExporter(t, "--etcd.endpoints="+good, "--etcd.ca-file="+l.ForeignCAFile(),
			"--etcd.cert-file="+l.ClientCert(), "--etcd.key-file="+l.ClientKey())
		s := e.Scrape("/metrics")
		check(t, s.Down(good, "tls"), s.Want(1, "exporter_collector_success", "collector", "tls"),
			s.Want(0, "cluster_has_leader"), s.Want(0, "cluster_voters_healthy"))
		if !s.Has(notAfter, "role", "server", "url", good) {
			t.Error("the certificate of an endpoint that is not trusted is not read")
		}
	})

	t.Run("no client certificate", func(t *testing.T) {
		e := startExporter(t, "--etcd.endpoints="+good, "--etcd.ca-file="+l.CAFile())
		s := e.Scrape("/metrics")
		check(t, s.Down(good, "tls"), s.WantNone(notAfter, "role", "client"))
		if !s.Has(notAfter, "role", "server", "url", good) {
			t.Error("the certificate of an endpoint that refuses us is not read")
		}
	})

	t.Run("expired client certificate", func(t *testing.T) {
		cert, key, err := l.IssueClient(pki.Spec{CommonName: "late", NotAfter: expired})
		must(t, err)
		e := startExporter(t, "--etcd.endpoints="+good, "--etcd.ca-file="+l.CAFile(), "--etcd.cert-file="+cert, "--etcd.key-file="+key)
		s := e.Scrape("/metrics")
		check(t, s.Down(good, "tls"), isTime("the client certificate's end", expires(s, "client", ""), expired))
	})

	t.Run("plain URL", func(t *testing.T) {
		url := strings.Replace(good, "https://", "http://", 1)
		e := startExporter(t, "--etcd.endpoints="+url)
		check(t, e.Scrape("/metrics").Down(url, "tls"))
		check(t, logsOnce(e, "endpoint is down", url, "https://"))
	})
}

// TestTLSToPlainPort asks several versions, whose ports answer a TLS greeting in
// different ways.
func TestTLSToPlainPort(t *testing.T) {
	t.Parallel()
	for _, version := range []string{lab.Embedded, "3.4.23", "3.5.35", "3.6.16"} {
		t.Run(cmp.Or(version, "embedded"), func(t *testing.T) {
			t.Parallel()
			l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain, Version: version})
			url := strings.Replace(l.Endpoints()[0], "http://", "https://", 1)
			e := startExporter(t, "--etcd.endpoints="+url)
			check(t, e.Scrape("/metrics").Down(url, "tls"))
		})
	}
}

func TestTLSPlainURLToTLSPort(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.4.23", "3.5.35"} {
		t.Run(cmp.Or(version, "embedded"), func(t *testing.T) {
			t.Parallel()
			l := startLab(t, lab.Options{Members: 1, Version: version})
			url := strings.Replace(l.Endpoints()[0], "https://", "http://", 1)
			e := startExporter(t, "--etcd.endpoints="+url)
			check(t, e.Scrape("/metrics").Down(url, "tls"))
		})
	}
}

func TestTLSServerName(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, Member: map[int]lab.MemberOptions{
		0: {ServerCert: &lab.ServerCert{Spec: pki.Spec{Hosts: []string{"etcd.example.org"}}}},
	}})
	url := l.Endpoints()[0]
	for name, good := range map[string]bool{"etcd.example.org": true, "other.example.org": false, "": false} {
		t.Run("name "+name, func(t *testing.T) {
			t.Parallel()
			e := exportLab(t, l, "--etcd.server-name="+name)
			s := e.Scrape("/metrics")
			if !good {
				check(t, s.Down(url, "tls"))
				return
			}
			check(t, s.Up(url), s.Want(1, "endpoint_clock_source", "url", url, "source", "client_port"))
			if a := e.Get("/native?cluster=default&url=" + url); a.Status != 200 {
				t.Errorf("/native answers %d: %s", a.Status, a.Body)
			}
		})
	}
}

// ownPair gives an exporter files of its own, which a test may replace.
func ownPair(t *testing.T, l *lab.Lab) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{l.CAFile(), l.ClientCert(), l.ClientKey()} {
		text, err := os.ReadFile(from)
		must(t, err, os.WriteFile(filepath.Join(dir, filepath.Base(from)), text, 0o600))
	}
	return filepath.Join(dir, filepath.Base(l.CAFile())), filepath.Join(dir, filepath.Base(l.ClientCert())), filepath.Join(dir, filepath.Base(l.ClientKey()))
}

// TestTLSRotation replaces CA and client pair as an operator would: first the
// members trust both CAs, then the exporter changes over, then the old CA goes.
func TestTLSRotation(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1})
	m := l.Member(0)
	ca, cert, key := ownPair(t, l)
	oldCert, oldKey := l.ClientCert(), l.ClientKey()
	start := func() *Exporter {
		return startExporter(t, "--etcd.endpoints="+m.ClientURL(), "--etcd.ca-file="+ca, "--etcd.cert-file="+cert, "--etcd.key-file="+key)
	}
	e := start()
	must(t, e.Scrape("/metrics").Up(m.ClientURL()))

	fresh, err := pki.NewCA("etcdops next CA")
	must(t, err)
	both := append(bytes.Clone(l.CA().PEM()), fresh.PEM()...)
	must(t, pki.WriteFile(l.CAFile(), both, 0o644), m.Restart(patient(t)))
	await(t, soon, "the exporter is back with the old pair", func() error { return e.Scrape("/metrics").Up(m.ClientURL()) })

	end := time.Now().Add(77 * time.Hour)
	pair, err := fresh.Client(pki.Spec{CommonName: "next", NotAfter: end})
	must(t, err, pki.WriteFile(ca, both, 0o644))
	halfWritten(t, e, key, pair.Key, m.ClientURL())
	must(t, pair.Write(cert, key))
	s := e.Scrape("/metrics")
	check(t, s.Up(m.ClientURL()), isTime("the new client certificate's end", expires(s, "client", ""), end))
	if got := s.Count(notAfter, "role", "issuer", "url", ""); got != 2 {
		t.Errorf("%d issuers in the CA file, want 2", got)
	}

	server, err := fresh.Server(pki.Spec{CommonName: "next m0", Hosts: pki.Loopback()})
	must(t, err, server.Write(m.ServerCert(), m.ServerKey()), pki.WriteFile(l.CAFile(), fresh.PEM(), 0o644), m.Restart(patient(t)))
	must(t, pki.WriteFile(ca, fresh.PEM(), 0o644))
	await(t, soon, "the exporter works with the new CA alone", func() error { return e.Scrape("/metrics").Up(m.ClientURL()) })

	cert, key = oldCert, oldKey
	check(t, start().Scrape("/metrics").Down(m.ClientURL(), "tls"))
}

// halfWritten leaves half of a key in the file: what was read before stays in
// force, and one line tells of it.
func halfWritten(t *testing.T, e *Exporter, file string, key []byte, url string) {
	t.Helper()
	const complaint = "secret files cannot be used"
	if n := logged(e, complaint); n != 0 {
		t.Errorf("%d complaints before anything was wrong:\n%s", n, e.Log())
	}
	must(t, os.WriteFile(file, key[:len(key)/2], 0o600))
	for range 4 {
		s := e.Scrape("/metrics")
		check(t, s.Up(url), s.WantNone("endpoint_failure"))
	}
	check(t, logsOnce(e, complaint, file))
	if strings.Contains(e.Log(), string(key[60:100])) {
		t.Error(errors.New("the log holds a part of the key"))
	}
}
