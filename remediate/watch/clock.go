// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

const (
	// parted is how far our wall clock may have been set since the samples were taken.
	parted = time.Second
	// No cluster writes more than this many revisions, at once and a second.
	jumpAtOnce    = 1_000_000
	jumpPerSecond = 100_000

	thinEvery = time.Minute
	longest   = 7 * 24 * time.Hour
)

// spacings are how dense samples stay as they grow old.
var spacings = []struct{ upTo, apart time.Duration }{
	{15 * time.Minute, 0},
	{6 * time.Hour, time.Minute},
	{longest, 10 * time.Minute},
}

// Sample says that the revision was current at that time or before.
type Sample struct {
	At        time.Time // by our wall clock
	ClusterID uint64
	Revision  int64
}

// SampleStore keeps samples over a restart of this process.
type SampleStore interface {
	// Samples are those that were kept, the oldest first.
	Samples(cluster string) []Sample
	AddSample(cluster string, clusterID uint64, at time.Time, revision int64)
	// DropSamples forgets them for good.
	DropSamples(cluster, why string)
}

// revisions is a clock that tells revisions. A sample pairs the lowest head revision
// that a voter named with the time at which the last answer came. Every key whose
// last change is not above it is at least that old, on every voter; one that lags
// makes the sample older than it need be, never younger.
type revisions struct {
	cluster string
	store   SampleStore

	samples []Sample // in order of time, each of a higher revision than the one before
	thinned instant

	// Of the last look that told something; before the first there are no samples.
	seen      *instant
	clusterID uint64
	head      int64
	term      uint64
	index     uint64

	base *instant // when our two clocks were read first
}

// take learns from a look. why tells for what reason the samples before were dropped.
func (r *revisions) take(l Look, now instant) (why string) {
	if r.base == nil {
		r.base = &now
	}
	if r.isParted(now) {
		mono, wall := now.since(*r.base)
		why = fmt.Sprintf("the wall clock was set by %s, or the machine was suspended", (wall - mono).Round(time.Millisecond))
		r.drop(why)
		r.base = &now
	}
	if l.Fault != "" || !l.Quorum || l.Leader == 0 || l.ClusterID == 0 || l.Lowest <= 0 {
		return why
	}
	differs := r.contradiction
	if r.seen == nil {
		differs = r.load
	}
	if other := differs(&l, now); other != "" {
		why = other
		r.drop(why)
	}
	r.seen, r.clusterID, r.head, r.term, r.index = &now, l.ClusterID, l.Highest, l.Term, l.Index
	r.add(Sample{now.at.Round(0), l.ClusterID, l.Lowest}, now)
	return why
}

// contradiction says why a look cannot be of the same history as the last one. A
// restored cluster keeps its ids, but neither its log nor its term.
func (r *revisions) contradiction(l *Look, now instant) string {
	switch {
	case l.ClusterID != r.clusterID:
		return "the cluster's id changed"
	case l.Highest < r.head:
		return fmt.Sprintf("the revision went back from %d to %d: the cluster was restored", r.head, l.Highest)
	case l.Term < r.term:
		return fmt.Sprintf("the raft term went back from %d to %d: the cluster was restored", r.term, l.Term)
	case l.Index < r.index:
		return fmt.Sprintf("the raft index went back from %d to %d: the cluster was restored", r.index, l.Index)
	default:
		return jump(r.head, l.Highest, now.longSince(*r.seen))
	}
}

// jump tells of more revisions than can have been written in that time.
func jump(from, to int64, in time.Duration) string {
	if bound := jumpAtOnce + jumpPerSecond*max(in.Seconds(), 0); float64(to)-float64(from) > bound {
		return fmt.Sprintf("the revision jumped from %d to %d in %s: the cluster was restored", from, to, in.Round(time.Second))
	}
	return ""
}

// load takes over what an earlier process kept, if it fits what is seen now.
func (r *revisions) load(l *Look, now instant) (why string) {
	if r.store == nil {
		return ""
	}
	kept := slices.Clone(r.store.Samples(r.cluster))
	for i, s := range kept {
		kept[i].At = s.At.Round(0)
		switch {
		case s.ClusterID != l.ClusterID:
			return "the cluster's id is not the one of the samples"
		case s.At.IsZero() || s.Revision <= 0, i > 0 && (s.At.Before(kept[i-1].At) || s.Revision < kept[i-1].Revision):
			return "the kept samples contradict each other"
		}
	}
	if len(kept) == 0 {
		return ""
	}
	last := kept[len(kept)-1]
	age := now.at.Round(0).Sub(last.At)
	switch why := jump(last.Revision, l.Highest, age); {
	case age < 0:
		return "the wall clock is behind the last sample: it was set"
	case l.Highest < last.Revision:
		return fmt.Sprintf("the revision went back from %d to %d: the cluster was restored", last.Revision, l.Highest)
	case why != "":
		return why
	}
	r.samples = thin(kept, now.at)
	return ""
}

func (r *revisions) drop(why string) {
	r.samples = nil
	if r.store != nil {
		r.store.DropSamples(r.cluster, why)
	}
}

// add keeps a sample. One that is of no higher revision than the last tells nothing.
func (r *revisions) add(s Sample, now instant) {
	if n := len(r.samples); n > 0 && s.Revision <= r.samples[n-1].Revision {
		return
	}
	r.samples = append(r.samples, s)
	if now.longSince(r.thinned) >= thinEvery {
		r.samples, r.thinned = thin(r.samples, now.at), now
	}
	if r.store != nil {
		r.store.AddSample(r.cluster, s.ClusterID, s.At, s.Revision)
	}
}

// thin leaves out samples as they grow old. That only makes answers older. The
// oldest and the newest stay, and of those beyond the longest age one.
func thin(all []Sample, now time.Time) []Sample {
	from := sort.Search(len(all), func(i int) bool { return now.Round(0).Sub(all[i].At) < longest })
	all = all[max(from-1, 0):]
	var kept []Sample
	for i, s := range all {
		if i == 0 || i == len(all)-1 || s.At.Sub(kept[len(kept)-1].At) >= apart(now.Round(0).Sub(s.At)) {
			kept = append(kept, s)
		}
	}
	return kept
}

func apart(age time.Duration) time.Duration {
	for _, s := range spacings {
		if age <= s.upTo {
			return s.apart
		}
	}
	return spacings[len(spacings)-1].apart
}

// isParted says whether the wall clock was set since the samples were taken.
func (r *revisions) isParted(now instant) bool {
	mono, wall := now.since(*r.base)
	return max(wall-mono, mono-wall) > parted
}

// fits says whether the samples can be relied on now: what happened since the last
// look is not known.
func (r *revisions) fits(now instant) bool {
	return r.seen != nil && now.longSince(*r.seen) <= tooLong && !r.isParted(now)
}

func (r *revisions) at(t time.Time, now instant) (revision int64, ok bool) {
	if !r.fits(now) {
		return 0, false
	}
	younger := sort.Search(len(r.samples), func(i int) bool { return r.samples[i].At.After(t.Round(0)) })
	if younger == 0 {
		return 0, false
	}
	return r.samples[younger-1].Revision, true
}

func (r *revisions) first(now instant) (at time.Time, revision int64, ok bool) {
	if !r.fits(now) || len(r.samples) == 0 {
		return time.Time{}, 0, false
	}
	return r.samples[0].At, r.samples[0].Revision, true
}
