// SPDX-License-Identifier: Apache-2.0

package top

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// maxNotes bounds what is kept of mishaps: a member may fail all day.
const maxNotes = 20

// ledger is all that is known so far. The watch writes it while the screen reads.
type ledger struct {
	cluster, prefix string

	mu        sync.Mutex
	begun     time.Time
	ended     time.Time // zero: it still runs
	why       string
	tally     *tally
	next      int64 // the revision to go on from
	latest    int64 // of the member, at the last look
	cost      Cost
	database  Database
	gaps      []Gap
	notes     []string
	unwritten int // notes beyond the bound
}

// begin starts the time, with the member's revision: what comes after it counts.
func (l *ledger) begin(revision int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun, l.next = time.Now(), revision+1
	l.database.StartRevision = revision
}

// use notes which endpoint is watched from now on, and from what revision.
func (l *ledger) use(url string) (next int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	url = printable(url)
	if !slices.Contains(l.cost.Endpoints, url) {
		l.cost.Endpoints = append(l.cost.Endpoints, url)
	}
	return l.next
}

// status keeps what a look at the member gave, and says by how many revisions the
// watch is behind it.
func (l *ledger) status(s etcd.Status) (behind int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &l.database
	d.SizeBytes, d.InUseBytes, d.QuotaBytes = s.DBSize, s.DBInUse, s.DBQuota
	if d.SizeAtStart == 0 {
		d.SizeAtStart, d.InUseAtStart = s.DBSize, s.DBInUse
	}
	if l.ended.IsZero() { // what is written after the end is no backlog
		l.latest = s.Revision
	}
	return l.behindLocked()
}

// behindLocked is known only where each revision brings something to the watch.
func (l *ledger) behindLocked() int64 {
	if l.prefix != "" || l.next == 0 {
		return 0
	}
	return max(l.latest-(l.next-1), 0)
}

func (l *ledger) asked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cost.StatusRequests++
}

// batch counts what the watch brought, and gives all that was received so far.
func (l *ledger) batch(b etcd.WatchBatch) (received uint64) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cost.WatchAnswers++
	l.cost.ReceivedBytes += uint64(max(b.Bytes, 0))
	for _, kv := range b.Keys {
		l.tally.add(kv, now)
		// A transaction that comes in pieces and is cut in between loses its rest:
		// one of many changes, against counting all of it twice.
		l.next = max(l.next, kv.ModRevision+1)
	}
	return l.cost.ReceivedBytes
}

// skip goes on after revision, and notes what nobody will show us any more.
func (l *ledger) skip(revision int64) {
	l.mu.Lock()
	if revision < l.next {
		l.mu.Unlock()
		return
	}
	gap := Gap{l.next, revision}
	l.gaps = append(l.gaps, gap)
	l.next = revision + 1
	l.mu.Unlock()
	l.note("gap: revisions %d to %d were compacted before they could be read, and are not counted", gap.FromRevision, gap.ToRevision)
}

// note keeps a sentence, with the time since the beginning.
func (l *ledger) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.notes) == maxNotes {
		l.unwritten++
		return
	}
	since := time.Duration(0)
	if !l.begun.IsZero() {
		since = time.Since(l.begun)
	}
	l.notes = append(l.notes, printable(fmt.Sprintf("after %s: ", since.Round(100*time.Millisecond))+fmt.Sprintf(format, args...)))
}

// stop ends the time that was watched.
func (l *ledger) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended.IsZero() {
		l.ended = time.Now()
	}
}

func (l *ledger) end(why string) {
	l.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why = why
}

// report is what is known now, with at most rows names a group.
func (l *ledger) report(rows int) Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := l.ended
	if until.IsZero() {
		until = time.Now()
	}
	seconds := max(until.Sub(l.begun).Seconds(), 0.001)
	t := l.tally
	r := Report{
		Cluster: printable(l.cluster), Prefix: printable(l.prefix), StartedAt: l.begun.UTC().Truncate(time.Millisecond),
		Seconds: float64(int64(seconds*1000)) / 1000, Ended: l.why,
		Total:     ratesOf(t.total, seconds),
		Resources: t.resources.group(rows, seconds), Namespaces: t.namespaces.group(rows, seconds),
		Keys: t.keys.keyGroup(rows, seconds), KeysByBytes: t.keysByBytes.keyGroup(rows, seconds),
		Events: t.events.report(rows, seconds), EncryptedValues: t.encrypted,
		Database: l.database, Cost: l.cost, BehindRevisions: l.behindLocked(),
		Gaps: append([]Gap{}, l.gaps...), Notes: append([]string{}, l.notes...),
	}
	r.Database.LatestRevision = max(l.latest, l.next-1)
	r.Cost.Watchers = 1
	r.Cost.Endpoints = append([]string{}, l.cost.Endpoints...)
	r.Cost.ReceivedBytesPerSecond = ratesOf(figures{bytes: l.cost.ReceivedBytes}, seconds).BytesPerSecond
	if l.unwritten > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d more of this kind", l.unwritten))
	}
	return r
}
