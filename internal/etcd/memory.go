// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// Call names a kind of failed request.
type Call struct {
	Method string // Status, MemberList, Range, ...
	Code   string // gRPC code
}

// Memory is what the views of one cluster remember from scrape to scrape.
type Memory struct {
	mu     sync.Mutex
	list   *MemberList         // the last one that could be had
	named  map[string]uint64   // endpoint: the member its Status named last
	errors map[Call]uint64     // since start
	down   map[string]downtime // by endpoint
}

// NewMemory is empty: nothing was seen yet.
func NewMemory() *Memory {
	return &Memory{named: map[string]uint64{}, errors: map[Call]uint64{}, down: map[string]downtime{}}
}

// Errors counts the failed requests since start, an expected refusal left out.
func (m *Memory) Errors() map[Call]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.errors)
}

// Count keeps a failed request, unless it is an answer that was expected or was
// given up by ourselves.
func (m *Memory) Count(err error) {
	var e *Error
	if !errors.As(err, &e) || errors.Is(err, context.Canceled) {
		return
	}
	for _, expected := range []error{ErrCompacted, ErrFutureRevision, ErrLearner} {
		if errors.Is(err, expected) {
			return
		}
	}
	if (e.Method == "Range" || e.Method == "Watch") && errors.Is(err, ErrPermissionDenied) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.errors[Call{Method: e.Method, Code: e.Code}]++
}

func (m *Memory) seen() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list != nil
}

func (m *Memory) keepList(list MemberList) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = &list
}

func (m *Memory) lastList() (MemberList, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.list == nil {
		return MemberList{}, false
	}
	return *m.list, true
}

func (m *Memory) keepName(endpoint string, id uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.named[endpoint] = id
}

func (m *Memory) names() map[string]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.named)
}

// retain forgets the endpoints that are not known any more: a member list may
// name others at each round.
func (m *Memory) retain(known map[string]*Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.named, func(endpoint string, _ uint64) bool { return known[endpoint] == nil })
	maps.DeleteFunc(m.down, func(endpoint string, _ downtime) bool { return known[endpoint] == nil })
}

// downtime is since when and why an endpoint does not answer.
type downtime struct {
	since  time.Time
	reason Reason
}

// goesDown notes that an endpoint failed and says whether that is news.
func (m *Memory) goesDown(endpoint string, reason Reason) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, down := m.down[endpoint]
	if !down {
		before.since = time.Now()
	}
	news = !down || before.reason != reason
	m.down[endpoint] = downtime{before.since, reason}
	return news
}

// comesUp notes that an endpoint answered; it was down for that long, 0 if not at all.
func (m *Memory) comesUp(endpoint string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, down := m.down[endpoint]
	if !down {
		return 0
	}
	delete(m.down, endpoint)
	return time.Since(before.since)
}
