// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"context"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/etcdops/etcdops/internal/etcd"
)

// fake is a member in memory: sorted keys, and the revisions in which they came.
type fake struct {
	etcd.ScanAPI // nil: what is not needed here

	mu        sync.Mutex
	keys      []string
	values    map[string]int // bytes of a value; nil: 100 each
	history   []string       // key of each revision from 2 on
	perRev    int            // keys of one revision; 0: one
	compacted int64
	busy      bool  // a watch shows nothing in time
	inUse     int64 // 0: 300 bytes a key

	requests  int
	walked    int64 // in all
	largest   int64
	bytes     int64 // answered, about
	status    int
	watches   int
	valueRead map[string]bool
	watched   map[string]bool // keys whose values a watch brought
	onRange   func(f *fake)   // before each request, unlocked
	fail      func(n int) error
}

func newFake(keys ...string) *fake {
	f := &fake{keys: slices.Clone(keys), history: slices.Clone(keys), valueRead: map[string]bool{}, watched: map[string]bool{}}
	slices.Sort(f.keys)
	f.keys = slices.Compact(f.keys)
	return f
}

func (f *fake) put(key string) {
	if i, ok := slices.BinarySearch(f.keys, key); !ok {
		f.keys = slices.Insert(f.keys, i, key)
	}
	f.history = append(f.history, key)
}

func (f *fake) delete(key string) {
	if i, ok := slices.BinarySearch(f.keys, key); ok {
		f.keys = slices.Delete(f.keys, i, i+1)
	}
}

func (f *fake) head() int64 { return 1 + int64((len(f.history)+f.step()-1)/f.step()) }
func (f *fake) step() int   { return max(f.perRev, 1) }

func (f *fake) size(key string) int {
	if f.values == nil {
		return 100
	}
	return f.values[key]
}

func (f *fake) Status(context.Context) (etcd.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status++
	inUse := f.inUse
	if inUse == 0 {
		inUse = int64(len(f.keys)) * 300
	}
	return etcd.Status{Revision: f.head(), DBInUse: inUse}, nil
}

func (f *fake) span(s etcd.Span) (from, to int) {
	from = sort.SearchStrings(f.keys, string(s.From))
	switch {
	case len(s.To) == 0:
		to = sort.SearchStrings(f.keys, string(s.From)+"\x00")
	case string(s.To) == "\x00":
		to = len(f.keys)
	default:
		to = sort.SearchStrings(f.keys, string(s.To))
	}
	return from, max(from, to)
}

func (f *fake) Range(ctx context.Context, q etcd.RangeQuestion) (etcd.RangeAnswer, error) {
	if f.onRange != nil {
		f.onRange(f)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.fail != nil {
		if err := f.fail(f.requests); err != nil {
			return etcd.RangeAnswer{}, err
		}
	}
	from, to := f.span(q.Span)
	n := int64(to - from)
	f.walked += n
	f.largest = max(f.largest, n)
	f.bytes += 40
	answer := etcd.RangeAnswer{Count: n, Revision: f.head()}
	if q.CountOnly {
		return answer, ctx.Err()
	}
	for _, key := range f.keys[from:to] {
		if q.Limit > 0 && int64(len(answer.Keys)) == q.Limit {
			break
		}
		kv := etcd.KeyValue{Key: []byte(key)}
		f.bytes += int64(len(key)) + 20
		if !q.KeysOnly {
			kv.Value = make([]byte, f.size(key))
			f.valueRead[key] = true
		}
		answer.Keys = append(answer.Keys, kv)
	}
	return answer, ctx.Err()
}

func (f *fake) Watch(_ context.Context, s etcd.Span, revision int64, hand func(etcd.WatchBatch) error) error {
	f.mu.Lock()
	f.watches++
	if revision <= f.compacted {
		f.mu.Unlock()
		return etcd.ErrCompacted
	}
	var batch etcd.WatchBatch
	for i := int(max(revision-2, 0)) * f.step(); i < len(f.history); i++ {
		key := f.history[i]
		if key < string(s.From) || string(s.To) != "\x00" && key >= string(s.To) {
			continue
		}
		f.watched[key] = true
		batch.Keys = append(batch.Keys, etcd.KeyValue{Key: []byte(key), Value: make([]byte, f.size(key)), ModRevision: int64(i/f.step()) + 2, Created: true})
		batch.Bytes += len(key) + f.size(key)
	}
	f.mu.Unlock()
	for len(batch.Keys) > 0 && !f.busy {
		n := min(100, len(batch.Keys))
		if err := hand(etcd.WatchBatch{Keys: batch.Keys[:n], Bytes: n * batch.Bytes / len(batch.Keys)}); err != nil {
			return err
		}
		batch.Bytes -= n * batch.Bytes / len(batch.Keys)
		batch.Keys = batch.Keys[n:]
	}
	if f.busy {
		return context.DeadlineExceeded
	}
	if err := hand(etcd.WatchBatch{}); err != nil {
		return err
	}
	return etcd.ErrPermissionDenied // instead of waiting for the end of ctx
}

// truth counts by listing.
func (f *fake) truth(prefix string) (total int64, groups map[string]int64, leaf int64) {
	groups = map[string]int64{}
	for _, key := range f.keys {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		total++
		if group, _, ok := strings.Cut(rest, "/"); ok {
			groups[group]++
		} else {
			leaf++
		}
	}
	return total, groups, leaf
}
