// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/etcdops/etcdops/test/lab"
)

// TestMembership adds a learner, then a voter that nobody starts.
func TestMembership(t *testing.T) {
	for _, version := range []string{"3.4.23", "3.6.16"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			l := startLab(t, lab.Options{Version: version})
			learner, err := l.AddLearner(patient(t))
			must(t, err)
			url := learner.ClientURL()
			e := exportLab(t, l)
			s := agreed(t, e)
			check(t, s.Up(url), s.Want(1, "endpoint_is_learner", "url", url), s.Want(0, "endpoint_is_leader", "url", url),
				s.Want(1, "endpoint_has_leader", "url", url), s.Want(3, "cluster_voters_healthy"), s.Want(2, "cluster_quorum_size"),
				s.Want(1, "endpoint_healthy", "url", url, "check", "serializable_read"),
				s.WantNone("endpoint_healthy", "url", url, "check", "linearizable_read"),
				s.WantNone("endpoint_check_duration_seconds", "url", url, "check", "linearizable_read"),
				s.Want(1, "member_info", "member_id", fmt.Sprintf("%x", learner.ID()), "member", learner.Name(), "learner", "true"),
				s.Want(3, "cluster_members", "role", "voter"), s.Want(1, "cluster_members", "role", "learner"),
				s.Want(1, "cluster_failure_tolerance"), s.Want(0, "cluster_endpoints_unlisted"), s.Want(0, "cluster_members_unmonitored"))
			checkAgreement(t, s)

			id, peer, err := l.AddUnstarted(patient(t))
			must(t, err)
			s = agreed(t, e)
			check(t, s.Want(1, "cluster_members_unstarted"), s.Want(4, "cluster_members", "role", "voter"),
				s.Want(3, "cluster_quorum_size"), s.Want(3, "cluster_voters_healthy"), s.Want(0, "cluster_failure_tolerance"),
				s.Want(0, "member_started", "member_id", fmt.Sprintf("%x", id)), s.Want(0, "cluster_members_unmonitored"),
				s.Want(1, "member_info", "member_id", fmt.Sprintf("%x", id), "member", "", "peer_urls", peer, "client_urls", ""))
			checkAgreement(t, s)
		})
	}
}

// agreed scrapes until the last follower has applied a change of the membership, which
// etcd reports as done before.
func agreed(t *testing.T, e *Exporter) (s *Scrape) {
	t.Helper()
	await(t, startTime, "the members agree", func() error {
		s = e.Scrape("/metrics")
		return s.Want(1, "cluster_views", "of", "membership")
	})
	return s
}

// checkAgreement is for clusters in which no collector has a reason to fail.
func checkAgreement(t *testing.T, s *Scrape) {
	t.Helper()
	for _, of := range []string{"membership", "leader", "cluster_id"} {
		check(t, s.Want(1, "cluster_views", "of", of))
	}
	for _, labels := range s.Labels("exporter_collector_success") {
		check(t, s.Want(1, "exporter_collector_success", "collector", labels["collector"]))
	}
	check(t, s.WantNone("exporter_rpc_errors_total"))
}

// TestEndpointForgotten leaves a member out of the configuration.
func TestEndpointForgotten(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{TLS: lab.Plain})
	e := startExporter(t, labFlags(l, l.Endpoints()[:2]...)...)
	s := e.Scrape("/metrics")
	check(t, s.Want(1, "cluster_members_unmonitored"), s.Want(0, "cluster_endpoints_unlisted"), s.Want(3, "cluster_members", "role", "voter"),
		// The third is healthy and nobody asks it.
		s.Want(2, "cluster_voters_healthy"), s.Want(2, "cluster_quorum_size"), s.Want(0, "cluster_failure_tolerance"))
	if n := s.Count("endpoint_up"); n != 2 {
		t.Errorf("%d endpoints", n)
	}
	checkAgreement(t, s)
}

// TestTwoWaysToOneMember configures a member by two of its names, as a VIP does.
func TestTwoWaysToOneMember(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{})
	again := strings.Replace(l.Endpoints()[0], "127.0.0.1", "localhost", 1)
	e := startExporter(t, labFlags(l, append(l.Endpoints(), again)...)...)
	s := e.Scrape("/metrics")
	check(t, s.Up(again), s.Want(3, "cluster_voters_healthy"), s.Want(1, "cluster_failure_tolerance"),
		s.Want(0, "cluster_endpoints_unlisted"), s.Want(0, "cluster_members_unmonitored"))
	if n := s.Count("endpoint_up"); n != 4 {
		t.Errorf("%d endpoints", n)
	}
	checkAgreement(t, s)
}

// TestMemberRemoved removes a member, which then ends by itself.
func TestMemberRemoved(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Version: "3.6.16"})
	e := exportLab(t, l)
	must(t, e.Scrape("/metrics").Want(3, "cluster_voters_healthy"))
	leader, err := l.Leader(patient(t))
	must(t, err)
	gone := l.Member((leader + 1) % 3)
	client, err := l.Client()
	must(t, err)
	await(t, 15*time.Second, "the member is removed", func() error {
		// The member itself may be the one that is asked, and ends over it.
		_, err := client.MemberRemove(patient(t), gone.ID())
		if errors.Is(err, rpctypes.ErrMemberNotFound) {
			return nil
		}
		return err
	})
	await(t, 15*time.Second, "the member is gone", func() error { return e.Scrape("/metrics").Down(gone.ClientURL(), "refused") })
	s := e.Scrape("/metrics")
	check(t, s.Want(2, "cluster_members", "role", "voter"), s.Want(2, "cluster_voters_healthy"), s.Want(2, "cluster_quorum_size"),
		s.Want(0, "cluster_failure_tolerance"), s.Want(0, "cluster_members_unmonitored"), s.Want(1, "cluster_views", "of", "membership"),
		s.WantNone("member_info", "member", gone.Name()), s.WantNone("alarm_active", "member", gone.Name()))
	must(t, gone.Kill()) // the lab is to know
}

// TestClusterReplaced has another cluster come up behind the same URLs, as after
// a restore: what was learned of the first is not held against the second.
func TestClusterReplaced(t *testing.T) {
	t.Parallel()
	options := lab.Options{TLS: lab.Plain, BasePort: 11000 + 40*rand.IntN(400)}
	first := startLab(t, options)
	must(t, first.Load(patient(t), lab.LoadOptions{Keys: 1000}))
	client, err := first.Client()
	must(t, err)
	for range 50 {
		_, err = client.Put(patient(t), "key", "value")
		must(t, err)
	}
	put, err := client.Put(patient(t), "key", "value")
	must(t, err)
	_, err = client.Compact(patient(t), put.Header.Revision-5)
	must(t, err)
	e := exportLab(t, first)
	s := e.Scrape("/metrics")
	must(t, s.Want(float64(put.Header.Revision-5), "cluster_compact_revision"))
	url := first.Endpoints()[0]
	before := s.LabelsOne("endpoint_info", "url", url)["cluster_id"]
	must(t, first.Close())
	check(t, e.Scrape("/metrics").Down(url, "refused"))

	second := startLab(t, options)
	must(t, second.Load(patient(t), lab.LoadOptions{Keys: 2000, ValueBytes: 10})) // ahead of what was compacted
	client, err = second.Client()
	must(t, err)
	for range 60 {
		_, err = client.Put(patient(t), "key", "value")
		must(t, err)
	}
	upWithinTwo(t, e, url)
	s = e.Scrape("/metrics")
	check(t, s.Want(0, "cluster_compact_revision"), s.Want(3, "cluster_voters_healthy"), s.Want(1, "cluster_views", "of", "cluster_id"))
	if now := s.LabelsOne("endpoint_info", "url", url)["cluster_id"]; now == before {
		t.Errorf("the cluster's id is still %s", now)
	}
	checkMembers(t, second, s)
}

// TestForeignEndpoint configures an endpoint of another cluster, first in the list.
func TestForeignEndpoint(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{TLS: lab.Plain})
	foreign := startLab(t, lab.Options{TLS: lab.Plain, Members: 1})
	must(t, foreign.Load(patient(t), lab.LoadOptions{Keys: 500})) // its revision is ahead
	e := startExporter(t, labFlags(l, append(foreign.Endpoints(), l.Endpoints()...)...)...)
	s := e.Scrape("/metrics")
	for _, url := range append(foreign.Endpoints(), l.Endpoints()...) {
		check(t, s.Up(url))
	}
	check(t, s.Want(2, "cluster_views", "of", "cluster_id"), s.Want(2, "cluster_views", "of", "leader"), s.Want(2, "cluster_views", "of", "membership"),
		s.Want(1, "cluster_endpoints_unlisted"), s.Want(0, "cluster_members_unmonitored"), s.Want(3, "cluster_members", "role", "voter"),
		s.Want(3, "cluster_voters_healthy"), s.Want(1, "cluster_failure_tolerance"),
		s.WantNone("member_info", "member_id", fmt.Sprintf("%x", foreign.Member(0).ID())),
		s.Want(s.Value("endpoint_revision", "url", l.Endpoints()[0]), "cluster_revision"))
}
