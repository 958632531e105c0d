// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestAbsentPrefixCostsNothing(t *testing.T) {
	f := newFake("/other/a", "/other/b")
	c := New(Options{Prefix: "/registry/", MaxGroups: 10})
	for range 2 {
		if r := scanned(t, c, f); r.Requests != 1 || r.Keys != 0 {
			t.Errorf("%d requests find %d keys", r.Requests, r.Keys)
		}
	}
}

// strange makes keys of few bytes, so that neighbours, empty segments, prefixes of
// each other and bytes at the edges are frequent.
func strange(random *rand.Rand, prefix string) string {
	parts := []string{"/", "/", "a", "b", ".", "0", "-", "\x00", "\xff", "é", "kube", "kube-system", prefix}
	key := prefix
	if random.IntN(20) == 0 {
		key = ""
	}
	for range random.IntN(6) {
		key += parts[random.IntN(len(parts))]
	}
	if key == "" {
		return "x"
	}
	return key
}

// TestAgainstListing holds scans against a listing, while keys come and go between
// them in ones and in floods, for many prefixes and limits.
func TestAgainstListing(t *testing.T) {
	prefixes := []string{"", "/", "/registry/", "/reg", "p\xff", "\xff", "\xff\xff", "kube", "/registry/events/"}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 5))
		prefix := prefixes[random.IntN(len(prefixes))]
		f := newFake()
		f.perRev, f.inUse = 1+random.IntN(50), 1<<30
		if random.IntN(3) == 0 {
			f.compacted = 1 << 40
		}
		c := New(Options{Prefix: prefix, MaxGroups: []int{1, 3, 500}[random.IntN(3)]})
		for round := range 6 {
			for range random.IntN(400) {
				f.put(strange(random, prefix))
			}
			if random.IntN(4) == 0 {
				stem := strange(random, prefix)
				for i := range random.IntN(3000) {
					f.keys = append(f.keys, fmt.Sprintf("%s%c%d", stem, "/-x"[round%3], i))
				}
				f.keys = newFake(f.keys...).keys
			}
			for range random.IntN(300) {
				if len(f.keys) > 0 {
					f.delete(f.keys[random.IntN(len(f.keys))])
				}
			}
			if random.IntN(8) == 0 {
				f.keys = f.keys[:len(f.keys)/10]
			}
			scanned(t, c, f)
			if t.Failed() {
				t.Fatalf("seed %d, round %d", seed, round)
			}
		}
	}
}

func TestNeighboursAndVanished(t *testing.T) {
	f := newFake("/r/kube", "/r/kube/a", "/r/kube/b", "/r/kube-system/a", "/r/kube-system-2/a", "/r//x", "/r/", "/r/services/specs/ns/a", "/r/kube0")
	c := New(Options{Prefix: "/r/", MaxGroups: 10})
	r := scanned(t, c, f)
	if r.Leaf != 3 || len(r.Groups) != 5 || string(r.Groups[0].Name) != "kube" {
		t.Errorf("got %+v", r)
	}
	f.delete("/r/kube")
	f.delete("/r//x")
	f.put("/r/kube0/a")
	f.delete("/r/kube0")
	if r := scanned(t, c, f); r.Leaf != 1 || r.Groups[len(r.Groups)-1].Keys != 1 {
		t.Errorf("got %+v", r)
	}
}
