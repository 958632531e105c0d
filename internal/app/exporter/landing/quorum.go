// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"cmp"
	"fmt"
)

// quorum is how many voters there are, are needed and are well.
type quorum struct {
	known                 bool // collector members has spoken
	voters, healthy, size int
	tolerance             int
	leader                bool
	// Endpoints: those that were asked, that answer, that we cannot see, and the
	// members behind those that answer, learners left out.
	asked, up, blind, upVoters int
}

func newQuorum(r readings, endpoints []endpointView) quorum {
	var q quorum
	healthy, known := r.value("cluster_voters_healthy")
	size, sized := r.value("cluster_quorum_size")
	tolerance, bounded := r.value("cluster_failure_tolerance")
	voters, _ := r.value("cluster_members", "role", "voter")
	q.known = known && sized && bounded
	q.voters, q.healthy, q.size, q.tolerance = int(voters), int(healthy), int(size), int(tolerance)
	q.leader = r.is(1, "cluster_has_leader")
	seen := map[string]bool{}
	for _, e := range endpoints {
		if e.State.Level == unknown {
			continue
		}
		q.asked++
		if e.blind() {
			q.blind++
		}
		if !e.up {
			continue
		}
		q.up++
		if member := cmp.Or(e.ID, e.URL); e.Role.Text != "learner" && !seen[member] {
			seen[member] = true
			q.upVoters++
		}
	}
	return q
}

// lost says that no quorum can be there: a voter that answers a linearizable
// read proves that one is, and one that we cannot see may be well.
func (q quorum) lost() bool {
	return q.known && q.tolerance+q.blind < 0 && (q.healthy == 0 || !q.leader)
}

func (q quorum) voterCell() cell {
	if !q.known {
		return cell{}
	}
	c := cell{good, fmt.Sprintf("%d of %d healthy", q.healthy, q.voters), fmt.Sprintf("quorum is %d", q.size)}
	if q.voters == 0 {
		c.Text, c.Note = fmt.Sprintf("%d healthy", q.healthy), fmt.Sprintf("quorum is %d by the endpoints, no member list", q.size)
	}
	switch {
	case q.lost():
		c.Level = bad
	case q.tolerance < 0, q.healthy < q.voters:
		c.Level = warning
	}
	return c
}

func (q quorum) toleranceCell() cell {
	switch {
	case !q.known:
		return cell{}
	case q.lost():
		return cell{bad, fmt.Sprintf("%d short of a quorum", -q.tolerance), ""}
	case q.tolerance < 0:
		return cell{warning, "not known", "too few voters are seen"}
	case q.tolerance == 0 && q.healthy < q.voters:
		return cell{warning, "none", "one more failure loses the quorum"}
	case q.tolerance == 0:
		return cell{good, "none", fmt.Sprintf("by design of %d", q.voters)}
	default:
		return cell{good, count(float64(q.tolerance), "member", "members") + " may fail", ""}
	}
}
