// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Who asked for something may have it stopped by its name at stopPath, and still hear
// how it ends. Hanging up ends it, too, and nobody hears.
const (
	stopPath   = "/stop"
	nameHeader = "X-Request-Id"
	stopTime   = 5 * time.Second // for the process that is told
)

type stoppable struct {
	next http.Handler

	mu   sync.Mutex
	ends map[string]context.CancelFunc
}

func (s *stoppable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(nameHeader)
	if r.URL.Path == stopPath {
		s.mu.Lock()
		end, known := s.ends[name]
		s.mu.Unlock()
		if !known {
			http.Error(w, "nothing of that name is under way", http.StatusNotFound)
			return
		}
		end()
		return
	}
	ctx, end := context.WithCancel(r.Context())
	defer end()
	s.mu.Lock()
	s.ends[name] = end
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.ends, name)
		s.mu.Unlock()
	}()
	s.next.ServeHTTP(w, r.WithContext(ctx))
}

func tellToStop(ctx context.Context, client *http.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://control"+stopPath, http.NoBody)
	if err != nil {
		return err
	}
	post.Header.Set(nameHeader, name)
	response, err := client.Do(post)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the serving process answers %s", response.Status)
	}
	return nil
}
