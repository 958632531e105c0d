// SPDX-License-Identifier: Apache-2.0

package top

import (
	"math"
	"time"
)

// Report is what --output=json prints, once. Names of fields are stable; more may
// come. Rates are means over the whole time. In names, whatever is not printable
// UTF-8 is escaped as within Go's quotes, a backslash doubled.
type Report struct {
	Cluster   string    `json:"cluster"`
	Prefix    string    `json:"prefix"` // of the keys that were watched; empty: all
	StartedAt time.Time `json:"started_at"`
	Seconds   float64   `json:"seconds"` // that were watched
	Ended     string    `json:"ended"`   // time, interrupted, max_bytes or lost (no member took the watch any more)

	Total       Rates `json:"total"`
	Resources   Group `json:"resources"`     // exact, by writes
	Namespaces  Group `json:"namespaces"`    // exact, by writes
	Keys        Group `json:"keys"`          // by writes
	KeysByBytes Group `json:"keys_by_bytes"` // by bytes

	Events          Events   `json:"events"`
	EncryptedValues uint64   `json:"encrypted_values"` // at rest, by Kubernetes; their size is counted all the same
	Database        Database `json:"database"`
	Cost            Cost     `json:"cost"`
	BehindRevisions int64    `json:"behind_revisions"` // how far the watch was behind its member at the last look
	Gaps            []Gap    `json:"gaps"`
	Notes           []string `json:"notes"` // what went wrong on the way
}

// Rates are the writes of a group of keys. Bytes are those of keys and values
// that were put.
type Rates struct {
	Writes           uint64  `json:"writes"`
	Created          uint64  `json:"created"`
	Updated          uint64  `json:"updated"`
	Deleted          uint64  `json:"deleted"`
	Bytes            uint64  `json:"bytes"`
	WritesPerSecond  float64 `json:"writes_per_second"`
	CreatedPerSecond float64 `json:"created_per_second"`
	UpdatedPerSecond float64 `json:"updated_per_second"`
	DeletedPerSecond float64 `json:"deleted_per_second"`
	BytesPerSecond   float64 `json:"bytes_per_second"`
}

// Group is the heaviest of what has been seen.
type Group struct {
	Distinct int   `json:"distinct"` // names that were counted; with a bound on memory not always all
	Rows     []Row `json:"rows"`
	// A row's figures are never too high. They may be too low by its Missing, and
	// a name that has no row may have as much as MissingAtMost: writes, or bytes
	// in keys_by_bytes. 0: exact.
	MissingAtMost uint64 `json:"missing_at_most"`
}

// Row is one name. "(none)" has no name (a key without a namespace), "(others)"
// are those beyond the bound on names.
type Row struct {
	Name string `json:"name"`
	Rates
	LastValueBytes uint64 `json:"last_value_bytes,omitempty"` // of keys only
	Missing        uint64 `json:"missing_at_most"`
}

// Events is what the keys of Kubernetes events are about. The groups are of those
// that were decoded.
type Events struct {
	Total           Rates  `json:"total"` // of all keys that hold events, deletes too
	Decoded         Rates  `json:"decoded"`
	Encrypted       uint64 `json:"encrypted"`  // puts that could not be decoded
	NotEvents       uint64 `json:"not_events"` // puts of something else
	Skipped         uint64 `json:"skipped"`    // puts beyond what is decoded in a second
	Types           Group  `json:"types"`      // Normal, Warning
	Reasons         Group  `json:"reasons"`    // FailedScheduling, ...
	Sources         Group  `json:"sources"`    // components
	InvolvedObjects Group  `json:"involved_objects"`
}

// Database is the member's own, at the first and at the last look.
type Database struct {
	SizeBytes      int64 `json:"size_bytes"`
	InUseBytes     int64 `json:"in_use_bytes"`
	QuotaBytes     int64 `json:"quota_bytes"` // 0: the member does not say
	SizeAtStart    int64 `json:"size_at_start_bytes"`
	InUseAtStart   int64 `json:"in_use_at_start_bytes"`
	StartRevision  int64 `json:"start_revision"`
	LatestRevision int64 `json:"latest_revision"`
}

// Cost is what all this cost the server.
type Cost struct {
	Endpoints              []string `json:"endpoints"` // that were watched, one after the other
	Watchers               int      `json:"watchers"`  // at a time
	ReceivedBytes          uint64   `json:"received_bytes"`
	ReceivedBytesPerSecond float64  `json:"received_bytes_per_second"`
	WatchAnswers           uint64   `json:"watch_answers"`
	StatusRequests         uint64   `json:"status_requests"`
}

// Gap is revisions that nobody showed us: they were compacted away meanwhile.
type Gap struct {
	FromRevision int64 `json:"from_revision"`
	ToRevision   int64 `json:"to_revision"`
}

// Why a watch ended.
const (
	endedTime        = "time"
	endedInterrupted = "interrupted"
	endedMaxBytes    = "max_bytes"
	endedLost        = "lost"
)

func ratesOf(f figures, seconds float64) Rates {
	updated := f.writes - f.created - f.deleted
	per := func(n uint64) float64 { return math.Round(float64(n)/seconds*1000) / 1000 }
	return Rates{
		Writes: f.writes, Created: f.created, Updated: updated, Deleted: f.deleted, Bytes: f.bytes,
		WritesPerSecond: per(f.writes), CreatedPerSecond: per(f.created), UpdatedPerSecond: per(updated),
		DeletedPerSecond: per(f.deleted), BytesPerSecond: per(f.bytes),
	}
}

func groupOf(all []named, distinct int, missing uint64, seconds float64) Group {
	g := Group{Distinct: distinct, Rows: []Row{}, MissingAtMost: missing}
	for _, one := range all {
		g.Rows = append(g.Rows, Row{
			Name: printable(one.name), Rates: ratesOf(one.seen, seconds),
			Missing: one.missing,
		})
	}
	return g
}

func (t *table) group(n int, seconds float64) Group {
	return groupOf(t.top(n), len(t.byName), 0, seconds)
}

func (s *sketch) group(n int, seconds float64) Group {
	return groupOf(s.top(n), len(s.byName), s.error(), seconds)
}

// keyGroup is a group of keys, which have a value each.
func (s *sketch) keyGroup(n int, seconds float64) Group {
	all := s.top(n)
	g := groupOf(all, len(s.byName), s.error(), seconds)
	for i := range g.Rows {
		g.Rows[i].LastValueBytes = all[i].seen.value
	}
	return g
}

func (t *eventTally) report(n int, seconds float64) Events {
	return Events{
		Total: ratesOf(t.total, seconds), Decoded: ratesOf(t.decoded, seconds),
		Encrypted: t.encrypted, NotEvents: t.odd, Skipped: t.skipped,
		Types: t.types.group(n, seconds), Reasons: t.reasons.group(n, seconds),
		Sources: t.sources.group(n, seconds), InvolvedObjects: t.objects.group(n, seconds),
	}
}
