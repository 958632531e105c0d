// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

// mirrored is a source, its copy, and an exporter that watches both.
type mirrored struct {
	*Exporter
	version      string
	source, copy *lab.Lab
	sent         int // keys that the source has
	stopMirror   func()
}

func startMirrored(t *testing.T, version string) *mirrored {
	t.Helper()
	start := func() *lab.Lab { return startLab(t, lab.Options{Members: 1, Version: version, TLS: lab.Plain}) }
	m := &mirrored{version: version, source: start(), copy: start()}
	const every = "keyspaces: [{prefix: /registry/, interval: 1s}]"
	text := fmt.Sprintf("clusters:\n  - {name: src, endpoints: [%s], %s}\n  - {name: dr, endpoints: [%s], %s, mirror_of: src}\n",
		strings.Join(m.source.Endpoints(), ", "), every, strings.Join(m.copy.Endpoints(), ", "), every)
	file := filepath.Join(t.TempDir(), "etcdops.yml")
	must(t, pki.WriteFile(file, []byte(text), 0o600))
	m.Exporter = startExporter(t, "--config.file="+file)
	return m
}

// put writes n keys more to the source.
func (m *mirrored) put(t *testing.T, n int) {
	t.Helper()
	putKeys(t, m.source, numbered(fmt.Sprintf("/registry/pods/%d-", m.sent), n)...)
	m.sent += n
}

// run starts etcdctl make-mirror, as an operator would.
func (m *mirrored) run(t *testing.T) {
	t.Helper()
	etcdctl, err := etcdbin.Path(patient(t), m.version, etcdbin.Etcdctl)
	must(t, err)
	var said output
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), etcdctl, "--endpoints="+m.source.Endpoints()[0], "make-mirror", m.copy.Endpoints()[0])
	cmd.Env = append(exporterEnvironment(), "ETCDCTL_API=3")
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, spawn(cmd))
	stopped := false
	m.stopMirror = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); cmd.ProcessState.Exited() { // else it was our signal
			t.Errorf("make-mirror had ended by itself: %v: %s", err, said.String())
		}
	}
	t.Cleanup(m.stopMirror)
}

// look scrapes both, as Prometheus does, and gives what is told of the mirror.
func (m *mirrored) look(t *testing.T) *Scrape {
	t.Helper()
	e := m.with(t)
	e.Scrape("/probe?cluster=src")
	return e.Scrape("/probe?cluster=dr")
}

// differs waits until the mirror is so many keys behind.
func (m *mirrored) differs(t *testing.T, want float64) *Scrape {
	t.Helper()
	var s *Scrape
	await(t, 30*time.Second, fmt.Sprintf("the mirror is %v keys behind", want), func() error {
		s = m.look(t)
		return errors.Join(s.Want(want, "mirror_keys_difference", "prefix", "/registry/"), s.Want(1, "exporter_collector_success", "collector", "mirror"))
	})
	return s
}

// arrived waits until the mirror's cluster has so many keys.
func (m *mirrored) arrived(t *testing.T, want int) {
	t.Helper()
	client, err := m.copy.Client()
	must(t, err)
	await(t, 30*time.Second, fmt.Sprintf("%d keys arrive", want), func() error {
		got, err := client.Get(patient(t), "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err == nil && got.Count != int64(want) {
			err = fmt.Errorf("%d keys are there", got.Count)
		}
		return err
	})
}

// TestMirror has a real make-mirror between two clusters of each version: it begins,
// follows, is stopped and begins anew.
func TestMirror(t *testing.T) {
	for _, row := range matrix {
		t.Run(row.version, func(t *testing.T) {
			t.Parallel()
			m := startMirrored(t, row.version)
			m.put(t, 300)
			m.differs(t, 300)
			m.run(t)
			m.arrived(t, 300)
			m.differs(t, 0)
			before := time.Now()
			m.put(t, 40)
			m.arrived(t, 340)
			grown := func(s *Scrape) time.Time {
				return time.UnixMilli(int64(s.Value("mirror_revision_timestamp_seconds") * 1000))
			}
			if at := grown(m.differs(t, 0)); at.Before(before.Truncate(time.Millisecond)) || at.After(time.Now()) {
				t.Errorf("the mirror was written to at %s, which is not between %s and now", at, before)
			}

			m.stopMirror()
			last := grown(m.look(t))
			m.put(t, 50)
			s := m.differs(t, 50)
			if at := grown(s); !at.Equal(last) {
				t.Errorf("without make-mirror it was written to at %s, not at %s", at, last)
			}
			// What a mirror that is well never shows: its source has changed since it has.
			await(t, 30*time.Second, "the source has changed since", func() error {
				m.put(t, 1)
				s := m.look(t)
				if at := s.Value("mirror_source_change_timestamp_seconds", "prefix", "/registry/"); at <= float64(last.UnixMilli())/1000 {
					return fmt.Errorf("it has not since %v", at)
				}
				return nil
			})
			m.differs(t, float64(m.sent-340))

			// Begun anew, make-mirror sends all keys again, and does not delete those
			// that were deleted meanwhile.
			deleteKeys(t, m.source, "/registry/pods/0-000") // ten of them
			m.differs(t, float64(m.sent-350))
			m.run(t)
			m.arrived(t, m.sent)
			m.differs(t, -10)
		})
	}
}

// TestMirrorAlone: where nobody scrapes the source, there is nothing to compare with, and
// no difference is made up. A reload that takes mirror_of out ends it.
func TestMirrorAlone(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, Version: "3.6.16", TLS: lab.Plain})
	text := fmt.Sprintf("clusters:\n  - {name: src, endpoints: ['http://127.0.0.1:1']}\n  - {name: dr, endpoints: [%s], mirror_of: src}\n", l.Endpoints()[0])
	r := &reloadable{Exporter: &Exporter{t: t}, file: filepath.Join(t.TempDir(), "etcdops.yml")}
	r.writeText(text)
	r.Exporter = startExporter(t, "--config.file="+r.file)
	await(t, 10*time.Second, "the mirror is counted", func() error { return r.Scrape("/probe?cluster=dr").Want(0, "keyspace_keys", "prefix", "/registry/") })
	s := r.Scrape("/probe?cluster=dr")
	check(t, s.WantNone("mirror_keys_difference"), s.Want(1, "exporter_collector_success", "collector", "mirror"))
	if !s.Has("mirror_revision_timestamp_seconds") {
		t.Error("it does not tell when the mirror was written to")
	}
	check(t, r.Scrape("/probe?cluster=src").WantNone("exporter_collector_success", "collector", "mirror"))
	r.writeText(strings.Replace(text, ", mirror_of: src", "", 1))
	if a := r.post(); a.Status != 200 {
		t.Errorf("reload: %d %s", a.Status, a.Body)
	}
	check(t, r.Scrape("/probe?cluster=dr").WantNone("mirror_revision_timestamp_seconds"))
}
