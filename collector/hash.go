// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
)

var hashMetrics = []Metric{
	gauge("cluster_hash_consistent", "1 when all voters gave the same hash of the key space at one revision, 0 when two gave different ones; absent while they cannot be compared."),
	gauge("cluster_hash_revision", "Revision that cluster_hash_consistent was found at."),
	gauge("cluster_hash_timestamp_seconds", "Unix time at which cluster_hash_consistent was found."),
}

const (
	// hashSettle is how long a compaction must be past: members compact at their
	// own pace, and the hash of a revision changes until they are done.
	hashSettle = 30 * time.Second
	// hashPause is the time between two looks at the compacted revision.
	hashPause = 10 * time.Second
	// hashRetry is the least time before a member that gave no hash is asked again:
	// it may have to read its whole database, and holds up writers meanwhile.
	hashRetry = 10 * time.Minute
	// hashIdle is how long hashes are asked for without a scrape.
	hashIdle = 10 * time.Minute
)

// hash compares what the voters hold. Each is asked once for its hash at the
// compacted revision, which a member that did the compaction has at hand; one that
// was restarted since reads its whole database for it, and gives the hash of
// another stretch of revisions, which tells nothing.
type hash struct {
	subject
	job
	targets *targets

	mu     sync.Mutex
	voters []uint64 // of the newest scrape's member list
	state  hashState
	found  *verdict // the last one that told something
	err    error
}

// hashState is what was asked at one compacted revision.
type hashState struct {
	clusterID uint64
	revision  int64     // compacted
	since     time.Time // when it was first seen
	answers   map[uint64]etcd.KVHash
	retry     time.Time // when those that failed are asked again
	err       error     // why they did
}

// verdict is a comparison that told something.
type verdict struct {
	consistent bool
	revision   int64
	at         time.Time
}

func newHash(d Deps) Collector {
	h := &hash{
		subject: newSubject("hash", "Whether the voters hold the same data (Maintenance.HashKV at the compacted revision, one voter after another, at least 30 s after a compaction, in the background; etcd 3.5.5 and later; with etcd's auth on the user needs the role root).", hashMetrics),
		targets: &targets{scanner: d.Scanner},
	}
	h.job = job{background: d.Background, log: d.Log, run: h.run, idle: hashIdle}
	return h
}

func (h *hash) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	b := h.batch()
	h.targets.learn(ctx, view)
	if list, err := view.Members(ctx); err == nil {
		h.learnVoters(list.MemberList)
	}
	h.ask()
	h.mu.Lock()
	defer h.mu.Unlock()
	b.fail(h.err)
	if h.found != nil {
		b.add("cluster_hash_consistent", number(h.found.consistent))
		b.add("cluster_hash_revision", float64(h.found.revision))
		b.add("cluster_hash_timestamp_seconds", seconds(h.found.at))
	}
	return b.done()
}

func (h *hash) learnVoters(list etcd.MemberList) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.voters = nil
	for _, m := range list.Members {
		if !m.Learner {
			h.voters = append(h.voters, m.ID)
		}
	}
}

// run looks for a compaction, and once it has settled asks the voters.
func (h *hash) run(ctx context.Context) time.Duration {
	err := h.look(ctx)
	if ctx.Err() == nil {
		h.mu.Lock()
		h.err = err
		h.mu.Unlock()
	}
	return hashPause
}

func (h *hash) look(ctx context.Context) error {
	targets := h.targets.inOrder()
	if len(targets) == 0 {
		return errors.New("no endpoint answers")
	}
	if err := h.follow(ctx, targets, time.Now()); err != nil {
		return err
	}
	now := time.Now()
	if h.state.revision <= 1 || now.Sub(h.state.since) < hashSettle || now.Before(h.state.retry) {
		return h.state.err // as long as nobody is asked again, what was wrong still is
	}
	asked, err := h.askVoters(ctx, targets)
	h.state.err = err
	if asked && ctx.Err() == nil {
		h.compare(time.Now())
	}
	return err
}

// follow finds the compacted revision, from whoever answers. One that is new, or of
// another cluster or state, makes what was asked before void.
func (h *hash) follow(ctx context.Context, targets []target, now time.Time) error {
	var errs []error
	for _, t := range furthestFirst(targets) {
		err := h.followOne(ctx, t, now)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: find compacted revision: %w", t.url, err))
	}
	return errors.Join(errs...)
}

func furthestFirst(targets []target) []target {
	sorted := slices.Clone(targets)
	slices.SortStableFunc(sorted, func(a, b target) int { return cmp.Compare(b.status.Revision, a.status.Revision) })
	return sorted
}

func (h *hash) followOne(ctx context.Context, t target, now time.Time) error {
	head, err := t.api.Status(ctx)
	if err != nil {
		return err
	}
	known := h.state.revision
	if head.ClusterID != h.state.clusterID || head.Revision < known {
		known, h.state = 0, hashState{clusterID: head.ClusterID}
		h.forget()
	}
	lowest, err := etcd.LowestReadable(ctx, t.api, known, head.Revision, true)
	if err != nil {
		return err
	}
	if lowest != h.state.revision {
		h.state = hashState{clusterID: head.ClusterID, revision: lowest, since: now, answers: map[uint64]etcd.KVHash{}}
	}
	return nil
}

// askVoters asks those that have not answered at this revision yet, and says
// whether there were any.
func (h *hash) askVoters(ctx context.Context, targets []target) (asked bool, err error) {
	var errs []error
	for _, t := range targets {
		if _, answered := h.state.answers[t.status.MemberID]; answered || t.status.Learner {
			continue
		}
		asked = true
		answer, err := t.api.HashKV(ctx, h.state.revision)
		switch {
		case err == nil && answer.ClusterID == h.state.clusterID:
			h.state.answers[answer.MemberID] = answer
			if answer.MemberID == t.status.MemberID {
				continue
			} // several members behind one URL: it is not known whom the next question meets
		case errors.Is(err, etcd.ErrCompacted): // by the next compaction, or before 3.5.5, which has no such hash
		case refusedItself(err): // a member that does not answer is no error: endpoint_up tells it
			errs = append(errs, fmt.Errorf("%s: %w", t.url, err))
		}
		h.state.retry = time.Now().Add(hashRetry)
	}
	return asked, errors.Join(errs...)
}

func refusedItself(err error) bool {
	var e *etcd.Error
	return errors.As(err, &e) && e.Answered
}

func (h *hash) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found = nil
}

// compare judges the answers. Only hashes of the same stretch of revisions can be
// told apart; a cluster is consistent when every voter's could.
func (h *hash) compare(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	type stretch struct{ compacted, hashed int64 }
	byStretch := map[stretch]map[uint32]bool{}
	for _, a := range h.state.answers {
		s := stretch{a.CompactRevision, a.HashRevision}
		if byStretch[s] == nil {
			byStretch[s] = map[uint32]bool{}
		}
		byStretch[s][a.Hash] = true
	}
	differ := false
	for _, hashes := range byStretch {
		differ = differ || len(hashes) > 1
	}
	all := len(h.voters) > 1 && !slices.ContainsFunc(h.voters, func(id uint64) bool {
		_, answered := h.state.answers[id]
		return !answered
	})
	switch {
	case differ:
		h.found = &verdict{false, h.state.revision, now}
	case all && len(byStretch) == 1:
		h.found = &verdict{true, h.state.revision, now}
	default:
		h.found = nil
	}
}
