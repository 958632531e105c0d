// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// liar answers with what f makes of the question.
type liar struct {
	*fake
	f func(q etcd.RangeQuestion, honest etcd.RangeAnswer) etcd.RangeAnswer
}

func (l liar) Range(ctx context.Context, q etcd.RangeQuestion) (etcd.RangeAnswer, error) {
	got, err := l.fake.Range(ctx, q)
	return l.f(q, got), err
}

// TestOddAnswers: whatever a server says, a scan ends, and without a panic.
func TestOddAnswers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	type (
		question = etcd.RangeQuestion
		answer   = etcd.RangeAnswer
	)
	for _, row := range []struct {
		name string
		f    func(q question, honest answer) answer
	}{
		{"negative counts", func(_ question, a answer) answer { a.Count = -a.Count; return a }},
		{"no counts", func(_ question, a answer) answer { a.Count = 0; return a }},
		{"a million everywhere", func(_ question, a answer) answer { a.Count = 1_000_000; return a }},
		{"more keys than there can be", func(_ question, a answer) answer { a.Count = 1 << 62; return a }},
		{"counts without keys", func(_ question, a answer) answer { a.Keys = nil; return a }},
		{"keys of elsewhere", func(_ question, a answer) answer {
			for i := range a.Keys {
				a.Keys[i].Key = []byte("/elsewhere")
			}
			return a
		}},
		{"always the first key of the span", func(q question, _ answer) answer {
			return answer{Keys: []etcd.KeyValue{{Key: q.From}, {Key: q.From}}, Count: 50_000}
		}},
		{"by lot", func(_ question, a answer) answer {
			a.Count = random.Int64N(30_000)
			random.Shuffle(len(a.Keys), func(i, j int) { a.Keys[i], a.Keys[j] = a.Keys[j], a.Keys[i] })
			return a
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(events(2000, 10, (*rand.Rand).Float64, false)...)
			f.inUse = 1 << 30
			c := New(Options{Prefix: "/registry/events/", MaxGroups: 5, SampleBytes: true})
			for range 2 {
				f.requests = 0
				_, err := c.Scan(t.Context(), liar{f, row.f})
				t.Logf("%d requests, %v", f.requests, err)
				if f.requests > 60_000 {
					t.Errorf("%d requests", f.requests)
				}
			}
		})
	}
}

// TestFailedScanLosesNothing breaks scans at many requests, by an error and by the
// end of the context, and counts right with the same Counter at the next try.
func TestFailedScanLosesNothing(t *testing.T) {
	f := newFake(events(3000, 30, (*rand.Rand).Float64, false)...)
	c := New(Options{Prefix: "/registry/events/", MaxGroups: 20})
	for at := 1; at < 120; at += 7 {
		f.put(fmt.Sprintf("/registry/events/new-%d/x", at))
		ctx, cancel := context.WithCancel(t.Context())
		f.requests = 0
		f.fail = func(n int) error {
			if n >= at && at%2 == 0 {
				return etcd.ErrPermissionDenied
			}
			if n >= at {
				cancel()
			}
			return nil
		}
		_, err := c.Scan(ctx, f)
		cancel()
		want := context.Canceled
		if at%2 == 0 {
			want = etcd.ErrPermissionDenied
		}
		if f.requests < at { // the scan was over before
			want = nil
		}
		if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), `"/registry/events/"`) {
			t.Fatalf("request %d: got %v, want %v", at, err, want)
		}
		f.fail = nil
		scanned(t, c, f)
	}
}

// TestMovingKeySpace: whatever changes while a scan runs, it is off by no more than
// that, and right in the next one.
func TestMovingKeySpace(t *testing.T) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 9))
		f := newFake(events(10_000, 20, (*rand.Rand).Float64, false)...)
		f.inUse = 1 << 30
		c := New(Options{Prefix: "/registry/events/", MaxGroups: []int{3, 100}[seed%2]})
		for range 3 {
			had, changed := int64(len(f.keys)), int64(0)
			f.onRange = func(f *fake) {
				if random.IntN(3) == 0 {
					f.put(fmt.Sprintf("/registry/events/ns-%02d/new-%x", random.IntN(30), random.Uint32()))
					f.delete(f.keys[random.IntN(len(f.keys))])
					changed += 2
				}
			}
			r, err := c.Scan(t.Context(), f)
			if err != nil || r.Keys < had-changed || r.Keys > had+changed || r.Other < -changed {
				t.Errorf("%d keys before and %d changes, got %d, %v", had, changed, r.Keys, err)
			}
			f.onRange = nil
			scanned(t, c, f)
		}
	}
}

// TestPause: a slow answer is followed by a pause as long, which the end of the
// context ends.
func TestPause(t *testing.T) {
	slow := func(d time.Duration) func(*fake) {
		return func(*fake) { <-time.After(d) }
	}
	f := newFake("/a")
	f.onRange = slow(20 * time.Millisecond)
	begun := time.Now()
	scanned(t, New(Options{Prefix: "/"}), f)
	if took := time.Since(begun); took < time.Duration(f.requests)*40*time.Millisecond {
		t.Errorf("%d requests of 20 ms took %v", f.requests, took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.onRange = func(*fake) { slow(time.Second)(nil); time.AfterFunc(10*time.Millisecond, cancel) }
	begun = time.Now()
	if _, err := New(Options{Prefix: "/"}).Scan(ctx, f); !errors.Is(err, context.Canceled) || time.Since(begun) > 1800*time.Millisecond {
		t.Errorf("ended with %v after %v", err, time.Since(begun))
	}
}

func FuzzScan(f *testing.F) {
	f.Add("/r/", "/r/a/b\n/r/a\n/r//\n/r/a-b/c\n/r/a0", "/r/a/c\n/r/b", 3)
	f.Add("\xff", "\xff\n\xff\xff\n\xff/\n\xff/0", "\xff", 1)
	f.Fuzz(func(t *testing.T, prefix, text, changes string, groups int) {
		var keys []string
		for key := range strings.SplitSeq(text, "\n") {
			if key != "" {
				keys = append(keys, key, prefix+key)
			}
		}
		member := newFake(keys...)
		member.inUse = 1 << 40
		c := New(Options{Prefix: prefix, MaxGroups: groups % 100})
		scanned(t, c, member)
		for key := range strings.SplitSeq(changes, "\n") {
			if key != "" {
				member.put(prefix + key)
				member.delete(key)
			}
		}
		scanned(t, c, member)
		scanned(t, c, member)
	})
}
