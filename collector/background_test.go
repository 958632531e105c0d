// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestRoundHasAnOwner: a round goes on when its scraper hangs up, and ends with its
// cluster, which waits for it.
func TestRoundHasAnOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended time.Time
		s := newTestSet(t, nil, newStub("slow", func(ctx context.Context, _ *batch) {
			<-ctx.Done()
			ended = time.Now()
		}))
		scraper, hangUp := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, hangUp)
		if _, err := s.Scrape(scraper, nil, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that the scraper hung up", err)
		}
		time.Sleep(time.Minute)
		if !ended.IsZero() {
			t.Error("the round ended with its scraper")
		}
		s.background.Close()
		if ended.IsZero() {
			t.Error("the cluster was closed under a round")
		}
		if _, err := s.Scrape(t.Context(), nil, time.Hour); !errors.Is(err, ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
	})
}
