// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/etcd"
)

// mixed is a key space whose values differ in size by group, and within one.
func mixed(n int) (f *fake, bytes map[string]float64) {
	random := rand.New(rand.NewPCG(7, 8))
	sizes := map[string]int{}
	var keys []string
	bytes = map[string]float64{}
	for range n {
		group := []string{"pods", "events", "events", "configmaps", "secrets"}[random.IntN(5)]
		if random.IntN(1000) == 0 {
			group = "leases"
		}
		key := fmt.Sprintf("/registry/%s/ns-%d/x-%016x", group, random.IntN(20), random.Uint64())
		mean := map[string]int{"pods": 6000, "events": 700, "configmaps": 1500, "secrets": 1200, "leases": 300}[group]
		sizes[key] = mean/2 + random.IntN(mean)
		if group == "configmaps" && random.IntN(10) == 0 {
			sizes[key] = 20_000
		}
		bytes[group] += float64(len(key) + sizes[key])
		keys = append(keys, key)
	}
	f = newFake(keys...)
	f.values = sizes
	return f, bytes
}

func TestSample(t *testing.T) {
	f, truth := mixed(100_000)
	c := New(Options{Prefix: "/registry/", MaxGroups: 10, SampleBytes: true, SampleExclude: []string{"secrets"}})
	scanned(t, c, f)
	var sum, want float64
	inside := 0
	const rounds = 10
	for range rounds {
		r := scanned(t, c, f)
		for _, g := range r.Groups {
			if name := string(g.Name); name == "secrets" {
				if g.Sampled || g.Bytes != 0 {
					t.Errorf("secrets are sampled: %+v", g)
				}
				continue
			}
			sum, want = sum+g.Bytes, want+truth[string(g.Name)]
			if math.Abs(g.Bytes-truth[string(g.Name)]) <= g.BytesError {
				inside++
			}
		}
	}
	t.Logf("%d requests, %d values, off by %.2f %% in the mean of %d scans, %d of %d within their bound",
		f.requests, len(f.valueRead)/rounds, 100*(sum/want-1), rounds, inside, 4*rounds)
	if math.Abs(sum/want-1) > 0.03 || inside < 4*rounds*8/10 {
		t.Errorf("estimates %.0f bytes, want %.0f; %d of %d within their bound", sum, want, inside, 4*rounds)
	}
	for key := range f.valueRead {
		if strings.HasPrefix(key, "/registry/secrets/") {
			t.Fatalf("the value of %s was read", key)
		}
	}
	if f.largest > maxWalk {
		t.Errorf("a sample walks %d keys", f.largest)
	}
}

func TestSampleLeavesOutAPrefixInsideWhatIsExcluded(t *testing.T) {
	f, _ := mixed(2000)
	f.inUse = 1 << 30
	for _, prefix := range []string{"/registry/secrets/", "/registry/secrets/ns-1/"} {
		r := scanned(t, New(Options{Prefix: prefix, MaxGroups: 10, SampleBytes: true, SampleExclude: []string{"secrets"}}), f)
		if len(f.valueRead) > 0 || f.watches > 0 || r.Keys == 0 {
			t.Errorf("%s: %d values of %d keys were read", prefix, len(f.valueRead), r.Keys)
		}
	}
}

// A prefix above the excluded segment has other groups, and still no value below that
// segment is read or watched.
func TestSampleAboveWhatIsExcluded(t *testing.T) {
	for _, prefix := range []string{"", "/", "/reg", "/registry", "/registry/", "/registry/s"} {
		f, _ := mixed(20_000)
		f.inUse = 1 << 30
		r := scanned(t, New(Options{Prefix: prefix, MaxGroups: 10, SampleBytes: true, SampleExclude: []string{"secrets"}}), f)
		if r.Keys == 0 {
			t.Errorf("%q: nothing was counted", prefix)
		}
		for _, seen := range []map[string]bool{f.valueRead, f.watched} {
			for key := range seen {
				if strings.Contains(key, "/secrets/") {
					t.Fatalf("%q: the value of %s was asked for", prefix, key)
				}
			}
		}
	}
}

// limited refuses answers with many values, as a client with a bound on size does.
type limited struct{ *fake }

func (l limited) Range(ctx context.Context, q etcd.RangeQuestion) (etcd.RangeAnswer, error) {
	if !q.CountOnly && !q.KeysOnly && q.Limit > 2 {
		return etcd.RangeAnswer{}, &etcd.Error{Method: "Range", Code: "ResourceExhausted", Err: errEnough}
	}
	return l.fake.Range(ctx, q)
}

func TestSampleOfLargeValues(t *testing.T) {
	f, _ := mixed(2000)
	for key := range f.values {
		f.values[key] = 1 << 20
	}
	r, err := New(Options{Prefix: "/registry/", MaxGroups: 10, SampleBytes: true}).Scan(t.Context(), limited{f})
	if err != nil {
		t.Fatal(err)
	}
	sampled := 0
	for _, g := range r.Groups {
		if g.Sampled {
			sampled++
		}
	}
	if sampled == 0 || len(f.valueRead) > 60 {
		t.Errorf("%d groups sampled with %d values of 1 MiB", sampled, len(f.valueRead))
	}
}
