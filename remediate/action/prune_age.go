// SPDX-License-Identifier: Apache-2.0

package action

import (
	"time"

	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/remediate"
)

// soonSampled is when the revision clock, which is read every few seconds, will have
// its first sample.
const soonSampled = 10 * time.Second

// ages tells which keys are old enough to go.
type ages struct {
	cutoff time.Time // what changed last before it is old
	// known: keys that changed last at this revision or before are old, by the
	// revision clock. 0: the clock does not reach back that far.
	known int64
	// dark is the first revision that the clock knows a time of. Of keys that changed
	// last up to there it cannot say when, and events' own times count.
	dark int64
}

// readAges reads the clock. Without a single sample nothing has an age.
func readAges(c *remediate.Cluster) (ages, error) {
	if c.Policy.PruneEvents.OlderThan <= 0 {
		return ages{}, refuse(refusedPlan, 0, "older_than is %s: events that are of use would go", c.Policy.PruneEvents.OlderThan)
	}
	a := ages{cutoff: c.Now().Add(-c.Policy.PruneEvents.OlderThan)}
	_, first, ok := c.History.FirstSample()
	if !ok {
		return ages{}, refuse(refusedKeep, soonSampled, "the cluster's revision has not been seen yet, so that no key has an age")
	}
	if a.dark = first; a.dark > c.Seen.Revision() {
		return ages{}, refuse(refusedKeep, soon, "revision %d was seen before and the cluster is at %d: it is another, or was restored", first, c.Seen.Revision())
	}
	if revision, ok := c.History.RevisionAt(a.cutoff); ok {
		a.known = revision
	}
	return a, nil
}

// old says whether a key is old whose value nobody can read.
func (a ages) old(modRevision int64) bool { return modRevision > 0 && modRevision <= a.known }

// oldEvent says whether an event is old. One without any time of its own is of an
// unknown age, and stays.
func (a ages) oldEvent(modRevision int64, e kubernetes.Event) bool {
	if a.old(modRevision) {
		return true
	}
	if modRevision <= 0 || modRevision > a.dark {
		return false
	}
	newest := e.Created
	for _, t := range []time.Time{e.FirstSeen, e.LastSeen} {
		if t.After(newest) {
			newest = t
		}
	}
	return !newest.IsZero() && newest.Before(a.cutoff)
}
