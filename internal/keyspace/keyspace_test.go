// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// check holds a result against a listing.
func check(t *testing.T, f *fake, prefix string, r Result) {
	t.Helper()
	total, groups, leaf := f.truth(prefix)
	if r.Keys != total {
		t.Errorf("prefix %q: %d keys, want %d", prefix, r.Keys, total)
	}
	named := int64(0)
	seen := map[string]bool{}
	for i, g := range r.Groups {
		named += g.Keys
		if g.Keys != groups[string(g.Name)] || g.Keys == 0 || seen[string(g.Name)] {
			t.Errorf("prefix %q: group %q has %d keys, want %d", prefix, g.Name, g.Keys, groups[string(g.Name)])
		}
		seen[string(g.Name)] = true
		if i > 0 && r.Groups[i-1].Keys < g.Keys {
			t.Errorf("group %q is larger than the one before", g.Name)
		}
	}
	if named+r.Leaf+r.Other != r.Keys || r.Other < 0 {
		t.Errorf("prefix %q: named %d + leaf %d + other %d, want %d", prefix, named, r.Leaf, r.Other, r.Keys)
	}
	if r.Largest != f.largest {
		t.Errorf("prefix %q: says it walked %d keys at most, and walked %d", prefix, r.Largest, f.largest)
	}
	if r.Capped {
		return
	}
	if r.Leaf != leaf || r.Found != len(groups) {
		t.Errorf("prefix %q: %d leaves and %d groups, want %d and %d", prefix, r.Leaf, r.Found, leaf, len(groups))
	}
	for name, n := range groups {
		if len(r.Groups) > 0 && n > r.Groups[len(r.Groups)-1].Keys && !seen[name] {
			t.Errorf("prefix %q: group %q of %d keys is not named", prefix, name, n)
		}
	}
}

func scanned(t *testing.T, c *Counter, f *fake) Result {
	t.Helper()
	f.requests, f.walked, f.largest, f.bytes = 0, 0, 0, 0
	r, err := c.Scan(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	check(t, f, c.prefix, r)
	return r
}

func events(n, namespaces int, weight func(random *rand.Rand) float64, sequential bool) []string {
	random := rand.New(rand.NewPCG(1, 2))
	keys := make([]string, n)
	spaces := make([][]string, namespaces)
	for i := range keys {
		ns := int(weight(random) * float64(namespaces))
		keys[i] = fmt.Sprintf("/registry/events/ns-%02d/pod-%d.%016x", ns, random.IntN(1000), random.Uint64())
		spaces[ns] = append(spaces[ns], keys[i])
	}
	if sequential {
		keys = slices.Concat(spaces...)
	}
	return keys
}

// TestCold holds the first scan to what one request may walk, wherever keys that
// were written lately tell of the key space, and the second one to its cost.
func TestCold(t *testing.T) {
	skew := func(r *rand.Rand) float64 { v := r.Float64(); return v * v * v * v }
	flood := func(r *rand.Rand) float64 {
		if r.IntN(10) < 6 {
			return 0.35
		}
		return r.Float64()
	}
	random := rand.New(rand.NewPCG(3, 4))
	flat, deep := make([]string, 200_000), make([]string, 100_000)
	for i := range flat {
		flat[i] = fmt.Sprintf("/registry/events/%x", random.Uint64())
	}
	for i := range deep {
		deep[i] = fmt.Sprintf("/registry/events/a/b/c/%d/%d/%x/x", random.IntN(30), random.IntN(100), random.Uint32())
	}
	var silent []string // it was loaded first, and nothing writes to it any more
	for i := range 60_000 {
		silent = append(silent, fmt.Sprintf("/registry/events/kube-system/pod-%d.%016x", i%1000, random.Uint64()))
	}
	silent = append(silent, events(40_000, 20, skew, true)...)
	for _, row := range []struct {
		name                   string
		keys                   []string
		perRev                 int
		noHistory              bool
		coldRequests, requests int
	}{
		{"even", events(100_000, 50, (*rand.Rand).Float64, false), 0, false, 9000, 110},
		{"skew", events(100_000, 50, skew, false), 0, false, 9000, 115},
		{"skew, transactions", events(100_000, 50, skew, false), 100, false, 9000, 115},
		{"skew, namespace by namespace", events(100_000, 50, skew, true), 0, false, 9000, 115},
		{"skew, namespace by namespace, transactions", events(100_000, 50, skew, true), 100, false, 9000, 115},
		{"skew, no history", events(100_000, 50, skew, false), 0, true, 2000, 115},
		{"flood", events(100_000, 50, flood, false), 0, false, 9000, 115},
		{"flat", flat, 0, false, 1000, 80},
		{"deep", deep, 0, false, 1000, 40},
		{"a silent group of a usual name", silent, 0, false, 9000, 115},
		{"small", events(10_000, 50, skew, false), 0, false, 80, 105},
		{"small, no history", events(10_000, 50, skew, false), 0, true, 120, 105},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(row.keys...)
			f.perRev = row.perRev
			if row.noHistory {
				f.compacted = f.head()
			}
			c := New(Options{Prefix: "/registry/events/", MaxGroups: 500})
			scanned(t, c, f)
			t.Logf("cold: %d requests, largest %d, walked %d, %d bytes", f.requests, f.largest, f.walked, f.bytes)
			if f.largest > maxWalk && !row.noHistory || f.requests > row.coldRequests {
				t.Errorf("the first scan walks %d keys in one of %d requests", f.largest, f.requests)
			}
			scanned(t, c, f)
			scanned(t, c, f)
			t.Logf("warm: %d requests, largest %d, walked %d, %d bytes, %d windows", f.requests, f.largest, f.walked, f.bytes, len(c.windows))
			if f.largest > maxWalk || f.requests > row.requests || float64(f.walked) > 1.3*float64(len(f.keys)) {
				t.Errorf("a later scan walks %d keys in %d requests, %d at most", f.walked, f.requests, f.largest)
			}
		})
	}
}

// TestColdBehindOtherWrites: what was written last lies elsewhere, as the leases of a
// hundred nodes do, and tells nothing of the prefix.
func TestColdBehindOtherWrites(t *testing.T) {
	f := newFake(events(100_000, 50, (*rand.Rand).Float64, false)...)
	for i := range 1000 {
		f.put(fmt.Sprintf("/registry/leases/kube-node-lease/node-%d", i%100))
	}
	scanned(t, New(Options{Prefix: "/registry/events/", MaxGroups: 500}), f)
	if f.largest > maxWalk {
		t.Errorf("the first scan walks %d keys with one request", f.largest)
	}
	f.busy, f.watches = true, 0
	scanned(t, New(Options{Prefix: "/registry/events/", MaxGroups: 500}), f)
	if f.watches != 1 {
		t.Errorf("a busy member was watched %d times", f.watches)
	}
}

// TestLargeGroupAmongMany has far more groups than may be looked at: the large ones
// are named, wherever they sort, and stay.
func TestLargeGroupAmongMany(t *testing.T) {
	var keys []string
	for i := range 20_000 {
		for j := range 5 {
			keys = append(keys, fmt.Sprintf("/r/g%05d/%d", i, j))
		}
	}
	for i := range 30_000 {
		keys = append(keys, fmt.Sprintf("/r/g15000x/%d", i))
	}
	f := newFake(keys...)
	f.perRev = 100
	rand.Shuffle(len(f.history), func(i, j int) { f.history[i], f.history[j] = f.history[j], f.history[i] })
	c := New(Options{Prefix: "/r/", MaxGroups: 5})
	for round := range 4 {
		r := scanned(t, c, f)
		if !r.Capped || len(r.Groups) != 5 || r.Groups[0].Keys != 30_000 || round > 0 && f.requests > 200 {
			t.Errorf("%d requests: %+v", f.requests, r.Groups)
		}
	}
	f.keys = f.keys[:40]
	if r := scanned(t, c, f); r.Capped && len(r.Groups) != 5 {
		t.Errorf("got %+v", r)
	}
	if r := scanned(t, c, f); r.Keys != 40 || r.Requests > 20 {
		t.Errorf("after the end of most: %+v", r)
	}
}

// TestNamedGroupsAreWhole has groups that lie across the edges of windows, and
// looks for a few of them only.
func TestNamedGroupsAreWhole(t *testing.T) {
	var keys []string
	for i := range 120_000 {
		keys = append(keys, fmt.Sprintf("/r/g%02d/%05d", i/3000, i))
	}
	f := newFake(keys...)
	f.perRev = 100
	rand.Shuffle(len(f.history), func(i, j int) { f.history[i], f.history[j] = f.history[j], f.history[i] })
	c := New(Options{Prefix: "/r/", MaxGroups: 1})
	for range 8 {
		if r := scanned(t, c, f); !r.Capped || len(r.Groups) != 1 {
			t.Errorf("got %+v", r)
		}
	}
}

// TestLongKeys: what a scan costs follows the number of keys, not their length.
func TestLongKeys(t *testing.T) {
	keys := []string{"/v/" + strings.Repeat("L", 20_000) + "/c"}
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("/v/s%d/c", i))
	}
	f := newFake(keys...)
	f.inUse = 1 << 30
	if r := scanned(t, New(Options{Prefix: "/v/", MaxGroups: 500}), f); r.Keys != 21 || r.Requests > 1000 {
		t.Errorf("%d requests for %d keys", r.Requests, r.Keys)
	}
}
