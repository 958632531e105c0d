// SPDX-License-Identifier: Apache-2.0

// Package live is the real cluster behind remediate.Live: it observes every member
// within a few seconds, however many of them hang, and passes the steps on to
// internal/etcd/mutate.
package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/etcd/mutate"
	"github.com/etcdops/etcdops/remediate"
)

var _ remediate.Live = (*Live)(nil)

// Live asks and changes one cluster.
type Live struct {
	cluster *etcd.Cluster
	change  *mutate.Client

	mu        sync.Mutex
	compacted compacted
	explained explained
}

// compacted is what is remembered of the last look for the compacted revision.
type compacted struct {
	clusterID uint64
	head      int64
	lowest    int64 // readable revision; 0: not looked yet
}

// New gives the real cluster.
func New(cluster *etcd.Cluster) *Live {
	return &Live{cluster: cluster, change: mutate.New(cluster)}
}

// Compacted is the revision of the last compaction as the endpoint sees it, 0: never.
// It is found by bisection, and from the second time on with two requests.
func (l *Live) Compacted(ctx context.Context, url string) (int64, error) {
	scanner := l.cluster.Scanner(url)
	if scanner == nil {
		return 0, notKnown(url)
	}
	head, err := scanner.Status(ctx)
	if err != nil {
		return 0, fmt.Errorf("find compacted revision at %s: %w", url, err)
	}
	lowest, err := etcd.LowestReadable(ctx, scanner, l.known(head), head.Revision, true)
	if err != nil {
		return 0, fmt.Errorf("find compacted revision at %s: %w", url, err)
	}
	l.mu.Lock()
	l.compacted = compacted{head.ClusterID, head.Revision, lowest}
	l.mu.Unlock()
	if lowest <= 1 { // the first revision can be read: nothing was ever compacted
		return 0, nil
	}
	return lowest, nil
}

// known is the lowest readable revision of an earlier look, 0 where that was of
// another cluster or of a state that this one is behind.
func (l *Live) known(head etcd.Status) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if head.ClusterID != l.compacted.clusterID || head.Revision < l.compacted.head {
		return 0
	}
	return l.compacted.lowest
}

// Scan is the endpoint for questions that take longer; nil: no such endpoint.
func (l *Live) Scan(url string) etcd.ScanAPI {
	if scanner := l.cluster.Scanner(url); scanner != nil {
		return scanner
	}
	return nil
}

// Defragment implements remediate.Live.
func (l *Live) Defragment(ctx context.Context, url string) error {
	return at("defragment", url, l.change.Defragment(ctx, url))
}

// MoveLeader implements remediate.Live.
func (l *Live) MoveLeader(ctx context.Context, url string, target uint64) error {
	return at("move leader from", url, l.change.MoveLeader(ctx, url, target))
}

// Compact implements remediate.Live.
func (l *Live) Compact(ctx context.Context, url string, revision int64) error {
	return at("compact at", url, l.change.Compact(ctx, url, revision))
}

// Delete implements remediate.Live.
func (l *Live) Delete(ctx context.Context, url string, keys []etcd.KeyValue, single bool) (deleted []bool, revision int64, err error) {
	deleted, revision, err = l.change.Delete(ctx, url, keys, single)
	return deleted, revision, at("delete at", url, err)
}

// Disarm implements remediate.Live.
func (l *Live) Disarm(ctx context.Context, url string, member uint64) error {
	return at("disarm at", url, l.change.Disarm(ctx, url, member))
}

// TryWrite implements remediate.Live.
func (l *Live) TryWrite(ctx context.Context, url string) error {
	return at("try a write at", url, l.change.TryWrite(ctx, url))
}

// Snapshot implements remediate.Live.
func (l *Live) Snapshot(ctx context.Context, url string, w io.Writer) error {
	return at("take snapshot of", url, l.change.Snapshot(ctx, url, w))
}

// Elect takes part in the election that decides which replica acts on this cluster.
func (l *Live) Elect(prefix, name string, ttl time.Duration, log *slog.Logger) (*mutate.Election, error) {
	return l.change.Elect(prefix, name, ttl, log)
}

// PutMirror and Mirror write and read the one value that replicas share.
func (l *Live) PutMirror(ctx context.Context, prefix string, data []byte) error {
	return l.change.PutMirror(ctx, prefix, data)
}

// Mirror gives nil where nothing was written yet.
func (l *Live) Mirror(ctx context.Context, prefix string) ([]byte, error) {
	return l.change.Mirror(ctx, prefix)
}

func at(what, url string, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, url, err)
	}
	return nil
}

var errNotKnown = errors.New("it is no endpoint of the cluster")

func notKnown(url string) error { return fmt.Errorf("%s: %w", url, errNotKnown) }
