// SPDX-License-Identifier: Apache-2.0

package snapshot

import "hash/maphash"

// seen is a set of keys, each kept as a 64-bit hash in a table with open addressing:
// 11 to 21 bytes a key, and half as much again while it grows.
//
// Two different keys of one hash are taken for one. The seed is random, so that no
// file can bring that about; among n keys it happens with odds of n*n/2^65: 3 in 100
// million for a million keys, 3 in a million for ten million.
type seen struct {
	seed  maphash.Seed
	slots []uint64 // 0: free
	used  int
}

const seenStart = 1 << 12 // slots; a power of two

func newSeen() *seen {
	return &seen{seed: maphash.MakeSeed(), slots: make([]uint64, seenStart)}
}

// add tells whether the key is new.
func (s *seen) add(key []byte) bool {
	hash := max(1, maphash.Bytes(s.seed, key)) // 0 marks a free slot
	if !put(s.slots, hash) {
		return false
	}
	if s.used++; s.used > len(s.slots)/4*3 {
		s.grow()
	}
	return true
}

func (s *seen) grow() {
	larger := make([]uint64, 2*len(s.slots))
	for _, hash := range s.slots {
		if hash != 0 {
			put(larger, hash)
		}
	}
	s.slots = larger
}

// put tells whether the hash was not there; a quarter of the slots is always free.
func put(slots []uint64, hash uint64) bool {
	mask := uint64(len(slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		switch slots[i] {
		case 0:
			slots[i] = hash
			return true
		case hash:
			return false
		}
	}
}
