// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

const (
	// hashWait is for how long a compaction must be past before hashes are compared,
	// and some time to do it.
	hashWait = 30 * time.Second
	hashTime = 2 * time.Minute
)

// TestHash compares the members of a cluster through a compaction, a restart, and
// the change of one byte on one member's disk.
func TestHash(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two to three minutes: hashes settle 30 s after a compaction")
	}
	t.Parallel()
	for _, version := range []string{"3.5.35", "3.6.16"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			l := startLab(t, lab.Options{TLS: lab.Plain, Version: version})
			e := exportLab(t, l, "--collector.hash")
			s := e.Scrape("/metrics")
			check(t, s.WantNone("cluster_hash_consistent"), s.Want(1, "exporter_collector_success", "collector", "hash"))
			awaitHash(t, e, compactAll(t, l), 1)
			e.Stop()

			// A restarted member has no hash at hand, and computes another one.
			leader, err := l.Leader(patient(t))
			must(t, err)
			follower := l.Member((leader + 1) % 3)
			must(t, follower.Restart(patient(t)), l.WaitReady(patient(t)))
			e = exportLab(t, l, "--collector.hash")
			for began := time.Now(); time.Since(began) < hashWait+12*time.Second; pause(t, time.Second) {
				if s := e.Scrape("/metrics"); s.Sum("cluster_hash_consistent") != float64(s.Count("cluster_hash_consistent")) {
					t.Fatalf("a false alarm: %v", s.Labels("cluster_hash_consistent"))
				}
			}
			awaitHash(t, e, compactAll(t, l), 1)

			must(t, follower.Stop(patient(t)), follower.AlterValue("/hash/0001"), follower.Restart(patient(t)), l.WaitReady(patient(t)))
			awaitHash(t, e, compactAll(t, l), 0)
		})
	}
}

// compactAll writes a little more and compacts to just before the head.
func compactAll(t *testing.T, l *lab.Lab) int64 {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	status, err := client.Status(patient(t), l.Member(0).ClientURL())
	must(t, err)
	// The keys of the first call stay as they are.
	putKeys(t, l, numbered(fmt.Sprintf("/later/%d/", status.Header.Revision), 20)...)
	if there, err := client.Get(patient(t), "/hash/0001"); err != nil || there.Count == 0 {
		must(t, err)
		putKeys(t, l, numbered("/hash/", 20)...)
	}
	put, err := client.Put(patient(t), "/head", "x")
	must(t, err)
	_, err = client.Compact(patient(t), put.Header.Revision-1)
	must(t, err)
	return put.Header.Revision - 1
}

// awaitHash waits for a verdict at a revision. Until then there may be none, or
// that of the time before.
func awaitHash(t *testing.T, e *Exporter, revision int64, want float64) {
	t.Helper()
	began := time.Now()
	await(t, hashTime, fmt.Sprintf("cluster_hash_consistent is %v", want), func() error {
		pause(t, 500*time.Millisecond)
		s := e.Scrape("/metrics")
		return errors.Join(s.Want(float64(revision), "cluster_hash_revision"), s.Want(want, "cluster_hash_consistent"))
	})
	s := e.Scrape("/metrics")
	check(t, s.Want(1, "exporter_collector_success", "collector", "hash"))
	t.Logf("%v at revision %d after %s", want, revision, time.Since(began).Round(time.Second))
	if at := s.Value("cluster_hash_timestamp_seconds"); at < float64(began.Unix()) {
		t.Errorf("found at %v, before the compaction", at)
	}
}
