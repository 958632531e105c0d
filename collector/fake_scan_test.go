// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/internal/etcd"
)

// The questions of background work.
const (
	qRange  = scanned + "Range"
	qHashKV = scanned + "HashKV"
	// scanned marks what is asked in the background: it is not counted as a part of
	// a scrape.
	scanned = "background "
)

// scanSide is what background work sees of a fake.
type scanSide struct{ *fakeAPI }

var _ etcd.ScanAPI = scanSide{}

// Status is the fake's, counted apart.
func (s scanSide) Status(ctx context.Context) (etcd.Status, error) {
	defer s.uncount(qStatus)
	return s.fakeAPI.Status(ctx)
}

// Read is the fake's, counted apart.
func (s scanSide) Read(ctx context.Context, r etcd.Read) error {
	defer s.uncount(qReadAt)
	return s.fakeAPI.Read(ctx, r)
}

func (f *fakeAPI) uncount(question string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[question]--
	f.calls[scanned+question]++
}

// Range answers out of keys, which are sorted.
func (f *fakeAPI) Range(ctx context.Context, q etcd.RangeQuestion) (etcd.RangeAnswer, error) {
	if err := f.enter(ctx, qRange, "Range"); err != nil {
		return etcd.RangeAnswer{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.denied != "" && strings.HasPrefix(string(q.From), f.denied) {
		return etcd.RangeAnswer{}, refusal("Range", "PermissionDenied", etcd.ErrPermissionDenied)
	}
	a := etcd.RangeAnswer{Revision: f.status.Revision}
	for _, key := range slices.Sorted(slices.Values(f.keys)) {
		k := []byte(key)
		end := bytes.Equal(q.To, etcd.NoEnd) || bytes.Compare(k, q.To) < 0
		if bytes.Compare(k, q.From) < 0 || len(q.To) > 0 && !end || len(q.To) == 0 && !bytes.Equal(k, q.From) {
			continue
		}
		if a.Count++; !q.CountOnly && (q.Limit == 0 || a.Count <= q.Limit) {
			a.Keys = append(a.Keys, etcd.KeyValue{Key: k})
		}
	}
	return a, nil
}

// HashKV answers with hash.
func (f *fakeAPI) HashKV(ctx context.Context, revision int64) (etcd.KVHash, error) {
	if err := f.enter(ctx, qHashKV, "HashKV"); err != nil {
		return etcd.KVHash{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.hash
	h.MemberID, h.ClusterID = f.status.MemberID, f.status.ClusterID
	if f.behind != 0 {
		h.MemberID = f.behind
	}
	if h.HashRevision == 0 {
		h.HashRevision = revision
	}
	return h, nil
}

// Watch shows nothing.
func (f *fakeAPI) Watch(ctx context.Context, _ etcd.Span, _ int64, _ func(etcd.WatchBatch) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// scanner finds the fakes by their URL.
func (w *world) scanner(url string) etcd.ScanAPI {
	for i, e := range w.endpoints {
		if e.URL == url {
			return scanSide{w.fakes[i]}
		}
	}
	return nil
}
