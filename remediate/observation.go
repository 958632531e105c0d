// SPDX-License-Identifier: Apache-2.0

package remediate

import (
	"cmp"
	"slices"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// Observation is the live state of a cluster at one time: every endpoint was
// asked, and what it did not answer is an error here.
type Observation struct {
	At        time.Time // when the asking began, by our monotonic and wall clock
	ClusterID uint64    // that most voters name
	Members   []Member  // of the member list, by id; empty: nobody gave one
	// Disagreements say in one line each where endpoints do not agree: on the
	// cluster, the membership (learners are not asked), the leader or the term; and
	// endpoints that name a member that is not in the list.
	Disagreements []string
	ListErr       error // why there is no current member list
	Alarms        []etcd.Alarm
	AlarmsErr     error // why the alarms are not known
}

// Member is one member of the list with what it answered.
type Member struct {
	etcd.Member
	URL       string // the endpoint whose Status names it; empty: none
	Status    etcd.Status
	StatusErr error         // where no endpoint answers for it, too
	ReadErr   error         // of a linearizable read; learners are not asked
	ReadTook  time.Duration // by that read
	Quota     int64         // bytes; 0: not known
	Vitals    Vitals
	VitalsErr error // of /metrics
	// Skew bounds the member's clock minus ours, from one Date header.
	SkewMin, SkewMax time.Duration
	SkewErr          error
}

// Vitals are what only the member's own /metrics tell.
type Vitals struct {
	Started        time.Time // of its process, by its own clock
	DefragInflight bool      // etcd_disk_defrag_inflight (3.5.? and later)
	SlowWatchers   float64   // etcd_debugging_mvcc_slow_watcher_total, a gauge in spite of its name
	PendingEvents  float64   // etcd_debugging_mvcc_pending_events_total, likewise
	Resident       float64   // process_resident_memory_bytes
}

// Voter says whether the member votes. One that has not started does, too.
func (m Member) Voter() bool { return !m.Learner }

// Answers says whether the member's Status is known.
func (m Member) Answers() bool { return m.URL != "" && m.StatusErr == nil }

// Reclaimable is how many bytes of its database hold nothing.
func (m Member) Reclaimable() int64 { return max(m.Status.DBSize-m.Status.DBInUse, 0) }

// Fragmentation is the share of the database that holds nothing, 0 to 1.
func (m Member) Fragmentation() float64 {
	if m.Status.DBSize <= 0 {
		return 0
	}
	return float64(m.Reclaimable()) / float64(m.Status.DBSize)
}

// Label is the member's name for a person, its id where it has none.
func (m Member) Label() string { return cmp.Or(m.Name, etcd.FormatID(m.ID)) }

// Voters are the members that vote, started or not.
func (o *Observation) Voters() []Member {
	return slices.DeleteFunc(slices.Clone(o.Members), func(m Member) bool { return !m.Voter() })
}

// Member gives the member with that id.
func (o *Observation) Member(id uint64) (Member, bool) {
	i := slices.IndexFunc(o.Members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return o.Members[i], true
}

// MemberAt gives the member whose endpoint is url.
func (o *Observation) MemberAt(url string) (Member, bool) {
	i := slices.IndexFunc(o.Members, func(m Member) bool { return m.URL == url && url != "" })
	if i < 0 {
		return Member{}, false
	}
	return o.Members[i], true
}

// Leader gives the member that leads, as the answering voters see it; false where
// there is none, or where they differ.
func (o *Observation) Leader() (Member, bool) {
	var leader uint64
	for _, m := range o.Voters() {
		switch {
		case !m.Answers():
		case leader == 0:
			leader = m.Status.Leader
		case m.Status.Leader != leader:
			return Member{}, false
		}
	}
	if leader == 0 {
		return Member{}, false
	}
	return o.Member(leader)
}

// Revision is the highest that a member names.
func (o *Observation) Revision() int64 {
	var highest int64
	for _, m := range o.Members {
		if m.Answers() {
			highest = max(highest, m.Status.Revision)
		}
	}
	return highest
}

// Quota is the lowest quota of a voter in bytes; 0 where that of any is not known.
func (o *Observation) Quota() int64 {
	var lowest int64
	for _, m := range o.Voters() {
		if m.Quota <= 0 {
			return 0
		}
		if lowest == 0 || m.Quota < lowest {
			lowest = m.Quota
		}
	}
	return lowest
}

// HasAlarm says whether the alarm of that type is raised, of any member.
func (o *Observation) HasAlarm(kind string) bool {
	return slices.ContainsFunc(o.Alarms, func(a etcd.Alarm) bool { return a.Type == kind })
}

// Reader chooses the member to read from in bulk: a voter that follows and
// answers, the one with the fastest read; the leader where there is no other.
func (o *Observation) Reader() (Member, bool) {
	all := slices.DeleteFunc(o.Voters(), func(m Member) bool { return !m.Answers() || m.ReadErr != nil })
	if len(all) == 0 {
		return Member{}, false
	}
	slices.SortFunc(all, func(a, b Member) int {
		if leads := func(m Member) bool { return m.Status.Leader == m.ID }; leads(a) != leads(b) {
			if leads(a) {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.ReadTook, b.ReadTook)
	})
	return all[0], true
}
