// SPDX-License-Identifier: Apache-2.0

package remediate

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
)

// Cluster is one run's view of an etcd cluster: what is configured, what was seen
// last, what was done so far, and the ways to ask and to act. It belongs to one
// goroutine.
type Cluster struct {
	Name     string
	Policy   Policy
	DataDirs map[string]string // client URL: data directory on this host
	Backups  []Backup          // its stores of snapshots
	Live     Live
	History  History
	Ledger   Ledger
	Seen     *Observation // of this very plan or check: the runner observes before each
	Run      *Run         // the run so far
	Acting   bool         // false: a plan that changes nothing
	Now      func() time.Time
	// Orders asks, in the middle of a step, whether somebody has paused everything or
	// another replica acts by now; nil: nobody can.
	Orders func(ctx context.Context) error
	// Progress tells a person how far a step is; never nil.
	Progress func(s *Step, done, all int64)
	Log      *slog.Logger
}

// Backup is one store of the cluster's snapshots.
type Backup struct {
	Name      string
	Directory string // of a store that is a plain directory; empty for any other
	Pattern   string // of file names
	Store     store.Store
	Judge     *judge.Judge
	Scratch   string
}

// Live asks and changes a real cluster. No call chooses an endpoint by itself.
type Live interface {
	// Observe asks every endpoint for all that an Observation holds. alarms says
	// whether AlarmList may be asked as well, which writes a raft entry.
	Observe(ctx context.Context, alarms bool) *Observation
	// Compacted is the revision of the last compaction, 0: never.
	Compacted(ctx context.Context, url string) (int64, error)
	// Scan is the endpoint for questions that take longer; nil: no such endpoint.
	Scan(url string) etcd.ScanAPI

	// Defragment takes as long as it takes: ctx bounds it. Its end by ctx does not end
	// the member's work.
	Defragment(ctx context.Context, url string) error
	// MoveLeader asks the leader at url to hand over to the member target.
	MoveLeader(ctx context.Context, url string, target uint64) error
	// Compact gives up the history up to revision. Where that is done already it
	// gives etcd.ErrCompacted.
	Compact(ctx context.Context, url string, revision int64) error
	// Delete removes the keys whose last change still is the one given, in one
	// transaction. deleted[i] says whether keys[i] is gone by it; revision is that of
	// the deletes. single makes one request a key (#13429: under NOSPACE some
	// versions refuse a transaction with deletes).
	Delete(ctx context.Context, url string, keys []etcd.KeyValue, single bool) (deleted []bool, revision int64, err error)
	// Disarm takes the alarm NOSPACE off one member.
	Disarm(ctx context.Context, url string, member uint64) error
	// TryWrite shows that the cluster takes writes, by a lease that is granted and
	// revoked at once: no key is touched.
	TryWrite(ctx context.Context, url string) error
	// Snapshot writes the member's database with its trailing sha256 to w.
	Snapshot(ctx context.Context, url string, w io.Writer) error
}

// History is what this process saw of a cluster since it began to watch it.
type History interface {
	// Stable is for how long leader, term, membership and versions were the same and
	// at least one look in every 30 s succeeded; and what changed last, in words.
	Stable() (since time.Time, last string)
	// Moved says that we ourselves moved the leadership to that member: the change
	// that follows is no sign of trouble.
	Moved(to uint64)
	// Excuse says that a member will not answer for a while by our own doing, as while
	// it is defragmented: that is no sign of trouble until done was called, and for
	// 30 s after.
	Excuse(member uint64) (done func())
	// RevisionAt is the highest revision that is known to have been current at t or
	// before; false where no sample is that old.
	RevisionAt(t time.Time) (revision int64, ok bool)
	// FirstSample is when the first sample of the revision clock was taken and what
	// it was; false where there is none.
	FirstSample() (at time.Time, revision int64, ok bool)
}

// Ledger is what the journal knows of earlier runs. Policies go by their Account.
type Ledger interface {
	// Spent are the ends of runs of that policy on that cluster that took at least
	// one step, within 24 hours, in order.
	Spent(cluster, policy string) []time.Time
	// LastSpent is the end of the last such run ever; zero: none is known of.
	LastSpent(cluster, policy string) time.Time
	// Complete says whether the ledger tells of earlier times at all: a new or lost
	// journal does not, and then gives the time since when it is kept.
	Complete() (ok bool, since time.Time)
	// Unfinished says whether the last run of that policy and cluster that took a step
	// was cut short while it waited, as recover_space does between a prune and its
	// compaction. What goes on with it is no new run.
	Unfinished(cluster, policy string) bool
	// Breaker says whether the breaker of that policy and cluster is open, and why.
	Breaker(cluster, policy string) (open bool, why string)
	// Paused says since when, and by whom, nothing may run; zero: not paused.
	Paused() (since time.Time, by string)
	// Fit says whether the journal can be relied upon; an error allows plans only.
	Fit() error
	// LastDelete is the revision and time of the last delete that a run of ours made
	// in that cluster; 0: none.
	LastDelete(cluster string) (revision int64, at time.Time)
	// Snapshots are the files that this program wrote to that store, oldest first.
	Snapshots(cluster, storeName string) []string
}
