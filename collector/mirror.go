// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace"
)

var mirrorMetrics = []Metric{
	gauge("mirror_keys_difference", "Keys below the prefix that the source (mirror_of) has more than this mirror; below zero: the mirror has more. 0 where the mirror's count lies between the counts of the source before and after it. Absent until both were counted, and when the last comparison is older than an hour.", "prefix"),
	gauge("mirror_revision_timestamp_seconds", "Unix time at which the revision of this mirror was last seen to grow, whoever wrote; before that, at which it was first seen."),
	gauge("mirror_source_change_timestamp_seconds", "Unix time after which the source's keys below the prefix have certainly changed, as their counts by group tell; absent until they do. A mirror whose revision has not grown since is behind.", "prefix"),
}

const (
	// leastMirrorAge is how long a comparison is served, unless the mirror is counted
	// less often than every 15 minutes.
	leastMirrorAge = time.Hour
	// mostTallies bounds the counts of the source that wait for one of the mirror.
	mostTallies = 64
)

// Mirror says what a mirror is compared with.
type Mirror struct {
	Source   string   // name of the cluster that is mirrored
	Prefixes []string // that both count
	// Own and Others give the last complete count, of the mirror and of the source.
	Own, Others func(prefix string) (Count, bool)
}

type mirror struct {
	subject
	of  *Mirror
	age time.Duration

	mu          sync.Mutex
	comparisons map[string]*comparison // by prefix
	clusterID   uint64
	revision    int64
	grown       time.Time // zero: not seen yet
}

func newMirror(d Deps) Collector {
	m := &mirror{
		subject: newSubject("mirror", "How far a mirror (mirror_of) is behind its source, by the key counts that both have anyway: nothing is asked for it, and both clusters must be scraped.", mirrorMetrics),
		of:      d.Mirror, age: leastMirrorAge, comparisons: map[string]*comparison{},
	}
	for _, k := range d.Keyspaces {
		m.age = max(m.age, 4*k.Interval)
	}
	return m
}

// applies says whether the cluster is a mirror.
func (m *mirror) applies() bool { return m.of != nil }

func (m *mirror) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	b := m.batch()
	if !m.applies() {
		return b.done()
	}
	candidates := furthest(ctx, view)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if len(candidates) > 0 {
		m.follow(candidates[0].status, now)
	}
	if !m.grown.IsZero() {
		b.add("mirror_revision_timestamp_seconds", seconds(m.grown))
	}
	for _, prefix := range m.of.Prefixes {
		m.compare(b, prefix, now)
	}
	return b.done()
}

// follow takes over the mirror's revision. Where it went back, it was restored, or the
// member that was ahead is down: neither is a write.
func (m *mirror) follow(head etcd.Status, now time.Time) {
	if head.Revision > m.revision || head.ClusterID != m.clusterID {
		m.grown = now
	}
	m.clusterID, m.revision = head.ClusterID, head.Revision
}

func (m *mirror) compare(b *batch, prefix string, now time.Time) {
	c := m.comparisons[prefix]
	if c == nil {
		c = &comparison{judged: now}
		m.comparisons[prefix] = c
	}
	if source, ok := m.of.Others(prefix); ok {
		c.learn(source)
	}
	if own, ok := m.of.Own(prefix); ok {
		c.judge(own)
	}
	label := keyspace.Label([]byte(prefix))
	if !c.changed.IsZero() {
		b.add("mirror_source_change_timestamp_seconds", seconds(c.changed), label)
	}
	switch since := now.Sub(c.judged); {
	case since > m.age:
		b.fail(fmt.Errorf("keys below %q were not compared with those of cluster %s for %s: both clusters must be scraped, and their keys counted", prefix, m.of.Source, since.Round(time.Minute)))
	case c.found:
		b.add("mirror_keys_difference", float64(c.difference), label)
	}
}

// comparison is what is known of one prefix.
type comparison struct {
	last    Count   // of the source; Ended is zero before the first
	tallies []tally // of the source, the oldest first
	changed time.Time

	waiting    tally // of the mirror, until the source was counted after it
	found      bool
	difference int64
	judged     time.Time // end of the mirror's count that was compared last; at first, when we began
}

// tally is how many keys there were, at some time between two.
type tally struct {
	keys         int64
	begun, ended time.Time
}

// learn takes over a count of the source. One that is not as the one before was shows
// that somebody wrote since that one began.
func (c *comparison) learn(source Count) {
	if !source.Ended.After(c.last.Ended) {
		return
	}
	if !c.last.Ended.IsZero() && !sameKeys(c.last.Result, source.Result) {
		c.changed = c.last.Begun
	}
	c.last = source
	c.tallies = append(c.tallies, tally{source.Keys, source.Begun, source.Ended})
	c.tallies = c.tallies[max(len(c.tallies)-mostTallies, 0):]
}

// judge compares a count of the mirror. The source goes on being written to, so that two
// counts of different times differ on a mirror that is well. It is held to be well where
// it has as many keys as the source had at some time from before its count to after it.
func (c *comparison) judge(own Count) {
	if c.waiting.ended.IsZero() && own.Ended.After(c.judged) {
		c.waiting = tally{own.Keys, own.Begun, own.Ended}
		for len(c.tallies) > 1 && !c.tallies[1].ended.After(own.Begun) {
			c.tallies = c.tallies[1:] // the one before the mirror's count stays
		}
	}
	if c.waiting.ended.IsZero() || len(c.tallies) == 0 || c.last.Begun.Before(c.waiting.ended) {
		return
	}
	least, most := c.tallies[0].keys, c.tallies[0].keys
	for _, t := range c.tallies[1:] {
		least, most = min(least, t.keys), max(most, t.keys)
	}
	c.difference = max(least-c.waiting.keys, 0) + min(most-c.waiting.keys, 0)
	c.found, c.judged, c.waiting = true, c.waiting.ended, tally{}
}

// sameKeys says whether two counts may be of the same keys. Which groups a capped one
// names is chance.
func sameKeys(a, b keyspace.Result) bool {
	if a.Capped || b.Capped {
		return a.Keys == b.Keys
	}
	return a.Keys == b.Keys && a.Leaf == b.Leaf && a.Found == b.Found &&
		slices.EqualFunc(a.Groups, b.Groups, func(a, b keyspace.Group) bool { return a.Keys == b.Keys && bytes.Equal(a.Name, b.Name) })
}
