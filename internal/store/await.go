// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
)

// maxHanging is how many calls of one store may be under way. A call that does not
// end (a dead network file system, a credential server that never answers) is left
// behind when its caller's time is over, and this many of those are the most.
const maxHanging = 4

// slots counts the calls under way.
type slots chan struct{}

func newSlots() slots { return make(slots, maxHanging) }

// await calls f and returns when f does or when ctx ends, whichever comes first.
// What f gives after that goes to drop.
func await[T any](ctx context.Context, s slots, f func() (T, error), drop func(T)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	select {
	case s <- struct{}{}:
	case <-ctx.Done():
		return none, fmt.Errorf("wait for earlier calls that hang: %w", context.Cause(ctx))
	}
	answers := make(chan answer)
	go func() {
		defer func() { <-s }()
		v, err := f()
		select {
		case answers <- answer{v, err}:
		case <-ctx.Done():
			if err == nil {
				drop(v)
			}
		}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, fmt.Errorf("no answer in time: %w", context.Cause(ctx))
	}
}
