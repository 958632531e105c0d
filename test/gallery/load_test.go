// SPDX-License-Identifier: Apache-2.0

//go:build slow

package gallery

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/stack"
)

// load is what clients do all the time: puts that overwrite, and reads of what was put.
type load struct {
	every time.Duration // between two puts
	keys  int           // that are overwritten in turn
}

const requestTime = time.Second

// work puts and reads until the test ends. What fails is not its business: clients of a
// cluster that is broken go on trying.
func work(t *testing.T, s *stack.Stack, l load) {
	t.Helper()
	client, err := s.Lab.Client()
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	t.Cleanup(func() { stop(); done.Wait() })
	done.Go(func() {
		tick := time.NewTicker(l.every)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			key := fmt.Sprintf("/load/%04d", i%l.keys)
			asking, cancel := context.WithTimeout(ctx, requestTime)
			if _, err := client.Put(asking, key, time.Now().String()); err == nil {
				_, _ = client.Get(asking, key)
			}
			cancel()
		}
	})
}
