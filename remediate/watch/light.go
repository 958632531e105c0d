// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// lookTime bounds one look. Half of it goes by before a hanging endpoint is left
// aside.
const lookTime = 4 * time.Second

// errNotAsked stands where a light look did not ask: no guard takes one for a full
// observation.
var errNotAsked = errors.New("not asked: this was a light look")

// errUnnamed says that no endpoint leads to a member.
var errUnnamed = errors.New("no endpoint's Status names this member")

// Light looks at a cluster by two small questions to each endpoint, the member list
// (serializable) and Status: no raft entry is written, and no /metrics read.
func Light(cluster *etcd.Cluster) func(context.Context) *remediate.Observation {
	return func(ctx context.Context) *remediate.Observation {
		ctx, cancel := context.WithTimeout(ctx, lookTime)
		defer cancel()
		view := cluster.View(ctx)
		defer view.Close()
		return light(ctx, view)
	}
}

// answer is what one endpoint said.
type answer struct {
	url    string
	status etcd.Status
	err    error
}

func light(ctx context.Context, view *etcd.View) *remediate.Observation {
	o := &remediate.Observation{At: time.Now(), AlarmsErr: errNotAsked}
	list, err := view.Members(ctx)
	if err == nil && !list.Current {
		err = etcd.ErrNoMemberList
	}
	o.ListErr = err
	answers := etcd.Each(view.Endpoints(), func(e etcd.Endpoint) answer {
		status, err := view.Status(ctx, e)
		return answer{strings.TrimSuffix(e.URL, "/"), status, err}
	})
	o.ClusterID = mostNamed(answers, list.ClusterID)
	named := view.NamedBy()
	for _, row := range list.Members {
		o.Members = append(o.Members, member(row, answers, named))
	}
	slices.SortFunc(o.Members, func(a, b remediate.Member) int { return cmp.Compare(a.ID, b.ID) })
	for _, a := range answers {
		if _, listed := o.Member(a.status.MemberID); a.err == nil && !listed && err == nil {
			o.Disagreements = append(o.Disagreements, fmt.Sprintf("%s names member %s, which is not in the member list", a.url, etcd.FormatID(a.status.MemberID)))
		}
	}
	return o
}

// member brings a row of the list and the answer of its endpoint together. Of
// several endpoints the first that answers counts: the configured come first.
func member(row etcd.Member, answers []answer, named map[string]uint64) remediate.Member {
	m := remediate.Member{Member: row, StatusErr: errUnnamed, ReadErr: errNotAsked, VitalsErr: errNotAsked, SkewErr: errNotAsked}
	for _, a := range answers {
		switch {
		case a.err == nil && a.status.MemberID == row.ID:
			m.URL, m.Status, m.StatusErr = a.url, a.status, nil
			return m
		case a.err != nil && m.URL == "" && (named[a.url] == row.ID || advertises(row, a.url)):
			m.URL, m.StatusErr = a.url, a.err
		}
	}
	return m
}

func advertises(row etcd.Member, url string) bool {
	return slices.ContainsFunc(row.ClientURLs, func(u string) bool { return strings.TrimSuffix(u, "/") == url })
}

// mostNamed gives the cluster that most of the answers name, learners left out.
func mostNamed(answers []answer, otherwise uint64) uint64 {
	votes, best := map[uint64]int{}, otherwise
	for _, a := range answers {
		if a.err == nil && !a.status.Learner {
			votes[a.status.ClusterID]++
		}
	}
	for id, n := range votes {
		if n > votes[best] {
			best = id
		}
	}
	return best
}
