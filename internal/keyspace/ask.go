// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

const (
	// maxWalk is how many keys one request may walk: the server holds its index
	// against writers meanwhile. 10k keys take it 2 to 3 ms.
	maxWalk = 20_000
	// aim is what a window of keys should hold, and split what it may grow to: the
	// room up to maxWalk is for what is written between two scans.
	aim   = 10_000
	split = 14_000

	// maxCount is more than any etcd can hold, and sets wrong answers apart.
	maxCount = 1 << 30
	// baseRequests, and more for what the counts and the groups imply, bound the
	// requests of a scan whose answers do not fit together.
	baseRequests = 20_000
)

// asker puts the questions of one scan: paced, bounded in number, and with
// answers that can be relied on to lie within what was asked.
type asker struct {
	api      etcd.ScanAPI
	ctx      context.Context //nolint:containedctx // lives as long as one call of Scan
	left     int             // requests that may still be made
	requests int
	asked    time.Duration
	largest  int64 // keys that one request walked
	revision int64
}

// answer is what the server has of a span: how many keys, and the first of them.
type answer struct {
	n    int64
	keys [][]byte
}

// count asks how many keys there are.
func (a *asker) count(s span) (int64, error) {
	got, err := a.put(etcd.RangeQuestion{Span: s.question(), CountOnly: true}, s)
	return got.Count, err
}

// first asks for the count and the first keys.
func (a *asker) first(s span, limit int64) (answer, error) {
	got, err := a.put(etcd.RangeQuestion{Span: s.question(), Limit: limit, KeysOnly: true}, s)
	if err != nil {
		return answer{}, err
	}
	keys := make([][]byte, len(got.Keys))
	for i, kv := range got.Keys {
		keys[i] = kv.Key
	}
	return answer{got.Count, keys}, nil
}

func (a *asker) put(q etcd.RangeQuestion, s span) (etcd.RangeAnswer, error) {
	if s.empty() {
		return etcd.RangeAnswer{}, nil
	}
	if a.left--; a.left < 0 {
		return etcd.RangeAnswer{}, fmt.Errorf("given up after %d requests: the answers do not fit together", a.requests)
	}
	var got etcd.RangeAnswer
	err := a.paced(func() (err error) {
		got, err = a.api.Range(a.ctx, q)
		return err
	})
	if err != nil {
		return etcd.RangeAnswer{}, err
	}
	if got.Count > maxCount {
		return etcd.RangeAnswer{}, fmt.Errorf("the server claims %d keys", got.Count)
	}
	a.largest = max(a.largest, got.Count)
	a.revision = max(a.revision, got.Revision)
	got.Keys = believable(got.Keys, s, q)
	got.Count = max(got.Count, int64(len(got.Keys)))
	return got, nil
}

// believable leaves of an answer what lies in the span, in order, and within the limit.
func believable(keys []etcd.KeyValue, s span, q etcd.RangeQuestion) []etcd.KeyValue {
	if q.CountOnly {
		return nil
	}
	kept := keys[:0]
	for _, kv := range keys {
		sorted := len(kept) == 0 || bytes.Compare(kept[len(kept)-1].Key, kv.Key) < 0
		if sorted && s.contains(kv.Key) && int64(len(kept)) < q.Limit {
			kept = append(kept, kv)
		}
	}
	return kept
}

// paced does something that costs the server, and then leaves it alone for at
// least as long as that took. The end of the context ends the pause.
func (a *asker) paced(do func() error) error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	a.requests++
	begun := time.Now()
	err := do()
	took := time.Since(begun)
	a.asked += took
	if err != nil {
		return err
	}
	pause := time.NewTimer(took)
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
}
