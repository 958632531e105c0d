// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/time/rate"
)

// burst is what is read at once under a bound on the rate, in bytes.
const burst = 64 << 10

// newLimiter bounds what all readers of a store read together; nil: no bound.
func newLimiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(min(bytesPerSecond, burst)))
}

// limited reads at the limiter's rate, and not at all once ctx has ended.
type limited struct {
	ctx     context.Context //nolint:containedctx // of one reading: io.Reader has no room for it
	r       io.ReadCloser
	limiter *rate.Limiter
}

func (l *limited) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, fmt.Errorf("read: %w", context.Cause(l.ctx))
	}
	if l.limiter == nil {
		return l.r.Read(p)
	}
	p = p[:min(len(p), l.limiter.Burst())]
	n, err := l.r.Read(p)
	// The wait comes after the bytes: a short read pays for what it brought.
	if n > 0 {
		if wait := l.limiter.WaitN(l.ctx, n); wait != nil {
			if l.ctx.Err() != nil {
				return n, fmt.Errorf("read: %w", context.Cause(l.ctx))
			}
			// The limiter will not begin a wait that the deadline would cut short.
			return n, fmt.Errorf("read: max_bytes_per_second leaves too little time: %w", context.DeadlineExceeded)
		}
	}
	return n, err
}

func (l *limited) Close() error { return l.r.Close() }
