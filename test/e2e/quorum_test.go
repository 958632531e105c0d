// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// TestQuorumLost ends two members of three, then the last, then starts all.
func TestQuorumLost(t *testing.T) {
	for _, version := range []string{"3.4.23", "3.7.3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			const timeout = 2 * time.Second
			l := startLab(t, lab.Options{Version: version})
			e := exportLab(t, l, "--scrape.timeout="+timeout.String())
			check(t, e.Scrape("/metrics").Want(1, "cluster_failure_tolerance"))
			survivor := l.Member(0).ClientURL()
			must(t, l.Member(1).Kill(), l.Member(2).Kill())

			await(t, 20*time.Second, "the survivor gives its leader up", func() error {
				return e.Scrape("/metrics").Want(0, "cluster_has_leader")
			})
			s := e.Scrape("/metrics")
			check(t, s.Up(survivor), s.Want(0, "endpoint_has_leader", "url", survivor), s.Want(0, "endpoint_is_leader", "url", survivor),
				s.Want(1, "endpoint_healthy", "url", survivor, "check", "serializable_read"),
				s.Want(0, "endpoint_healthy", "url", survivor, "check", "linearizable_read"),
				s.Down(l.Member(1).ClientURL(), "refused"), s.Down(l.Member(2).ClientURL(), "refused"),
				s.Want(0, "cluster_voters_healthy"), s.Want(2, "cluster_quorum_size"), s.Want(-2, "cluster_failure_tolerance"),
				s.Want(0, "cluster_views", "of", "leader"), s.Want(1, "cluster_views", "of", "membership"),
				s.Want(0, "cluster_compact_revision"), s.Want(0, "cluster_members_unmonitored"))
			for _, m := range l.Members() {
				check(t, s.Want(0, "alarm_active", "member", m.Name(), "alarm", "NOSPACE"), s.Want(1, "member_started", "member", m.Name()))
			}
			for _, collector := range []string{"status", "health", "members", "alarms", "compaction", "tls", "clock"} {
				check(t, s.Want(1, "exporter_collector_success", "collector", collector))
			}
			if s.Took > timeout+slack {
				t.Errorf("the scrape took %s", s.Took)
			}

			must(t, l.Member(0).Kill())
			s = e.Scrape("/metrics")
			check(t, nobody(s, l), s.Want(3, "cluster_members", "role", "voter"),
				s.Want(1, "member_info", "member_id", fmt.Sprintf("%x", l.Member(1).ID())))
			if s.Took > quick {
				t.Errorf("the scrape took %s, though all connections are refused at once", s.Took)
			}
			fresh := exportLab(t, l, "--scrape.timeout="+timeout.String())
			s = fresh.Scrape("/metrics")
			check(t, nobody(s, l), s.WantNone("member_info"))

			for _, m := range l.Members() {
				must(t, m.Restart(patient(t)))
			}
			must(t, l.WaitReady(patient(t)))
			for _, exporter := range []*Exporter{e, fresh} {
				for _, url := range l.Endpoints() {
					upWithinTwo(t, exporter, url)
				}
				s := exporter.Scrape("/metrics")
				check(t, s.Want(3, "cluster_voters_healthy"), s.Want(1, "cluster_has_leader"), s.Want(1, "cluster_failure_tolerance"))
			}
		})
	}
}

// nobody is an error unless the scrape tells that no member answers.
func nobody(s *Scrape, l *lab.Lab) error {
	errs := each(l, func(m *lab.Member) error { return s.Down(m.ClientURL(), "refused") })
	return errors.Join(append(errs,
		s.Want(0, "cluster_has_leader"), s.Want(0, "cluster_voters_healthy"), s.Want(2, "cluster_quorum_size"),
		s.Want(-2, "cluster_failure_tolerance"), s.Want(0, "cluster_views", "of", "membership"),
		s.Want(0, "cluster_views", "of", "leader"), s.Want(0, "cluster_views", "of", "cluster_id"),
		s.WantNone("cluster_revision"), s.WantNone("alarm_active"))...)
}
