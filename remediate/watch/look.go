// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// Look is what counts of one look at a cluster.
type Look struct {
	Fault     string            // in words, why it tells nothing; empty: it tells something
	ClusterID uint64            // that most voters name
	Members   string            // the same for two equal member lists
	Names     map[uint64]string // of members, for a person
	Silent    []uint64          // voters that did not answer
	Quorum    bool              // more than half of the voters answered
	// Leader and Term are 0 where the voters that answered know none, or differ.
	Leader   uint64
	Term     uint64
	Index    uint64            // the highest in the raft log
	Versions map[uint64]string // of all members that answered
	// Lowest and Highest are the head revisions of the voters that answered; 0: none.
	Lowest, Highest int64
}

// FromObservation takes from an observation what a look needs. A light observation
// will do: see Light.
func FromObservation(o *remediate.Observation) Look {
	switch {
	case o == nil:
		return Look{Fault: "nothing could be seen of the cluster"}
	case o.ListErr != nil:
		return Look{Fault: "there was no member list: " + plain(o.ListErr.Error())}
	case len(o.Members) == 0:
		return Look{Fault: "the member list was empty"}
	}
	l := Look{ClusterID: o.ClusterID, Names: map[uint64]string{}, Versions: map[uint64]string{}}
	list := etcd.MemberList{ClusterID: o.ClusterID}
	voters, heard, agreed := 0, 0, true
	for _, m := range o.Members {
		list.Members = append(list.Members, m.Member)
		l.Names[m.ID] = plain(m.Label())
		if m.URL != "" {
			l.Names[m.ID] += " (" + plain(m.URL) + ")"
		}
		if m.Answers() {
			l.Versions[m.ID] = m.Status.Version
		}
		switch {
		case !m.Voter():
			continue
		case !m.Answers():
			l.Silent = append(l.Silent, m.ID)
		case m.Status.ClusterID != o.ClusterID:
			l.Fault = cmp.Or(l.Fault, l.Names[m.ID]+" named another cluster")
		default:
			agreed = l.hear(m.Status, heard) && agreed
			heard++
		}
		voters++
	}
	if !agreed {
		l.Leader, l.Term = 0, 0
	}
	l.Members = list.Fingerprint()
	l.Quorum = heard > voters/2
	if l.Fault == "" && agreed && len(o.Disagreements) > 0 {
		l.Fault = plain(o.Disagreements[0])
	}
	return l
}

// hear adds a voter's answer, of which there were some before; false where it names
// another leader or term than they did.
func (l *Look) hear(s etcd.Status, before int) (agrees bool) {
	if before == 0 {
		l.Leader, l.Term, l.Lowest = s.Leader, s.RaftTerm, s.Revision
	}
	l.Lowest, l.Highest = min(l.Lowest, s.Revision), max(l.Highest, s.Revision)
	l.Index = max(l.Index, s.RaftIndex)
	return s.Leader == l.Leader && s.RaftTerm == l.Term
}

// mute says that no voter answered. Where all have an excuse, as the only member of
// a cluster while it is defragmented, that is no sign of trouble.
func (l *Look) mute() bool { return l.Highest == 0 && l.Term == 0 && len(l.Silent) > 0 }

// name is a member for a person. It may have left the list.
func (l *Look) name(id uint64) string {
	if name, ok := l.Names[id]; ok {
		return name
	}
	return "member " + etcd.FormatID(id)
}

// maxWord bounds what is repeated of a text that others wrote, in bytes.
const maxWord = 200

// plain makes one clean line of what others wrote: it ends in logs and on pages.
func plain(s string) string {
	if len(s) > maxWord {
		return fmt.Sprintf("%.*q...", maxWord, s)
	}
	if quoted := strconv.Quote(s); len(quoted) != len(s)+2 {
		return quoted
	}
	return s
}
