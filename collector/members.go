// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
)

var membersMetrics = []Metric{
	gauge("cluster_members", "Members of the member list. role: voter, learner.", "role"),
	gauge("cluster_members_unstarted", "Members that were added and never started: a voter of this kind raises the quorum and adds nothing."),
	gauge("member_info", "Always 1. One row of the member list; URLs joined by commas, learner true or false.", "member_id", "member", "peer_urls", "client_urls", "learner"),
	gauge("member_started", "1 when the member has started once: etcd publishes its name then.", "member_id", "member"),
	gauge("cluster_voters_healthy", "Voters that answered a linearizable read at one of the endpoints."),
	gauge("cluster_quorum_size", "Voters that must agree: more than half of all, unstarted ones counted."),
	gauge("cluster_failure_tolerance", "Healthy voters minus quorum size. Negative: quorum is lost."),
	gauge("cluster_has_leader", "1 when a voter that answered knows a leader; 0 when nobody answers."),
	gauge("cluster_views", "How many different answers the voters give: 1 when they agree, 0 when nobody answered. of: membership, leader, cluster_id.", "of"),
	gauge("cluster_endpoints_unlisted", "Endpoints whose Status names a member that is not in the member list."),
	gauge("cluster_members_unmonitored", "Started members that no endpoint's Status names. An endpoint that is down keeps the member it named last or advertises."),
}

type members struct{ subject }

func newMembers(Deps) Collector {
	return &members{newSubject("members", "Membership, quorum and the views that the voters have of them (Cluster.MemberList, serializable).", membersMetrics)}
}

// voice is what one endpoint has to say about the cluster.
type voice struct {
	endpoint etcd.Endpoint
	up       bool
	status   etcd.Status
	list     *etcd.MemberList
	listErr  error
	healthy  bool
}

func (c *members) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	b := c.batch()
	voices := etcd.Each(view.Endpoints(), func(e etcd.Endpoint) voice { return listen(ctx, view, e) })
	membership, err := view.Members(ctx)
	if err != nil {
		b.fail(err)
	}
	for _, v := range voices {
		// An endpoint that is down is told by endpoint_up; one that is up and
		// refuses its list is not.
		if v.up && v.listErr != nil && !errors.Is(v.listErr, etcd.ErrLearner) {
			b.fail(v.listErr)
		}
	}
	addMembers(b, membership.Members)
	addQuorum(b, membership.Members, voices)
	addViews(b, voices)
	addCoverage(b, membership.Members, voices, view.NamedBy())
	return b.done()
}

// listen asks one endpoint for all that is needed, side by side.
func listen(ctx context.Context, view *etcd.View, e etcd.Endpoint) voice {
	v := voice{endpoint: e}
	list := make(chan struct{})
	go func() {
		defer close(list)
		if l, err := view.MemberList(ctx, e); err == nil {
			v.list = &l
		} else {
			v.listErr = err
		}
	}()
	_, readErr := view.Check(ctx, e, true)
	status, err := view.Status(ctx, e)
	<-list
	v.up, v.status, v.healthy = err == nil, status, readErr == nil
	return v
}

func addMembers(b *batch, list []etcd.Member) {
	if len(list) == 0 {
		return
	}
	voters, learners, unstarted := 0, 0, 0
	for _, m := range list {
		id := etcd.FormatID(m.ID)
		if m.Learner {
			learners++
		} else {
			voters++
		}
		if !m.Started() {
			unstarted++
		}
		b.add("member_info", 1, id, m.Name, strings.Join(m.PeerURLs, ","), strings.Join(m.ClientURLs, ","), strconv.FormatBool(m.Learner))
		b.add("member_started", number(m.Started()), id, m.Name)
	}
	b.add("cluster_members", float64(voters), "voter")
	b.add("cluster_members", float64(learners), "learner")
	b.add("cluster_members_unstarted", float64(unstarted))
}

// addQuorum counts against the member list; where there never was one, each
// configured endpoint stands for a voter.
func addQuorum(b *batch, list []etcd.Member, voices []voice) {
	voters := map[uint64]bool{}
	for _, m := range list {
		if !m.Learner {
			voters[m.ID] = true
		}
	}
	total, healthy, leader := len(voters), map[uint64]bool{}, false
	for _, v := range voices {
		if len(list) == 0 && !v.endpoint.Discovered {
			total++
		}
		if !v.up || v.status.Learner {
			continue
		}
		leader = leader || v.status.Leader != 0
		if v.healthy && (len(list) == 0 || voters[v.status.MemberID]) {
			healthy[v.status.MemberID] = true
		}
	}
	quorum := total/2 + 1
	b.add("cluster_voters_healthy", float64(len(healthy)))
	b.add("cluster_quorum_size", float64(quorum))
	b.add("cluster_failure_tolerance", float64(len(healthy)-quorum))
	b.add("cluster_has_leader", number(leader))
}

// addViews counts different answers. Learners refuse member lists and lag behind
// by design, so they have no say.
func addViews(b *batch, voices []voice) {
	membership, leaders, clusters := map[string]bool{}, map[uint64]bool{}, map[uint64]bool{}
	for _, v := range voices {
		if v.up && v.status.Learner {
			continue
		}
		if v.list != nil {
			membership[v.list.Fingerprint()] = true
		}
		if !v.up {
			continue
		}
		clusters[v.status.ClusterID] = true
		if v.status.Leader != 0 {
			leaders[v.status.Leader] = true
		}
	}
	b.add("cluster_views", float64(len(membership)), "membership")
	b.add("cluster_views", float64(len(leaders)), "leader")
	b.add("cluster_views", float64(len(clusters)), "cluster_id")
}

// addCoverage compares endpoints and members both ways.
func addCoverage(b *batch, list []etcd.Member, voices []voice, namedBy map[string]uint64) {
	if len(list) == 0 {
		return
	}
	listed, named := map[uint64]bool{}, map[uint64]bool{}
	advertised := map[string]uint64{}
	for _, m := range list {
		listed[m.ID] = true
		for _, u := range m.ClientURLs {
			advertised[strings.TrimSuffix(u, "/")] = m.ID
		}
	}
	unlisted := 0
	for _, v := range voices {
		switch {
		case v.up && !listed[v.status.MemberID]:
			unlisted++
		case v.up:
			named[v.status.MemberID] = true
		default:
			named[namedBy[v.endpoint.URL]] = true
			named[advertised[v.endpoint.URL]] = true
		}
	}
	unmonitored := 0
	for _, m := range list {
		if m.Started() && !named[m.ID] {
			unmonitored++
		}
	}
	b.add("cluster_endpoints_unlisted", float64(unlisted))
	b.add("cluster_members_unmonitored", float64(unmonitored))
}
