// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
)

// LowestReadable finds the lowest revision that can still be read: the one of the last
// compaction, or 1 where there was none. It bisects between known, what it found
// before (0: nothing), and head. Where nothing was compacted since, that is one
// request: known can be read. Where prove asks and the revision before it can be read
// too, an older state was restored, and the search starts over.
func LowestReadable(ctx context.Context, api Reader, known, head int64, prove bool) (int64, error) {
	if head < 1 { // an empty key space, or a member that does not say
		return 1, nil
	}
	low, high := min(max(known, 1), head), head
	readable, err := isReadable(ctx, api, low)
	if err != nil || readable && (low == 1 || !prove) {
		return low, err
	}
	if readable {
		if restored, err := isReadable(ctx, api, low-1); err != nil || !restored {
			return low, err
		}
		return LowestReadable(ctx, api, 0, head, false)
	}
	for low++; low < high; {
		middle := low + (high-low)/2
		if readable, err = isReadable(ctx, api, middle); err != nil {
			return 0, err
		}
		if readable {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return high, nil
}

// Reader is what a search for the compacted revision asks.
type Reader interface {
	Read(ctx context.Context, r Read) error
}

func isReadable(ctx context.Context, api Reader, revision int64) (bool, error) {
	err := api.Read(ctx, Read{Revision: revision})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrCompacted):
		return false, nil
	default:
		return false, err
	}
}
