// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"slices"
	"time"
)

const (
	maxClosed       = 100
	maxFingerprints = 1000 // of one intent; more alerts are not waited for
)

// Why an intent was closed.
const (
	ClosedResolved = "resolved"
	ClosedExpired  = "expired"
	ClosedDone     = "done"
)

// Intent is an accepted alert that calls for a policy on a cluster. However many alerts
// call for the same, it is one.
type Intent struct {
	ID          uint64    `json:"id,omitempty"` // given by Accept
	Policy      string    `json:"policy"`
	Cluster     string    `json:"cluster"`
	Alert       string    `json:"alert"`
	Fingerprint string    `json:"fingerprint"`              // of the alert that began it
	Firing      []string  `json:"firing,omitempty"`         // fingerprints of all that are not resolved
	AcceptedAt  time.Time `json:"accepted_at"`              // of the first
	Tries       int       `json:"tries,omitempty"`          // runs that were refused or cut short
	NextTry     time.Time `json:"next_try,omitzero"`        // zero: now
	LastReason  string    `json:"last_reason,omitempty"`    // of the last try
	Closed      bool      `json:"closed,omitempty"`         // nothing is to be done any more
	ClosedAt    time.Time `json:"closed_at,omitzero"`       // by this program's clock
	ClosedWhy   string    `json:"closed_because,omitempty"` // one of the words above, or another
}

type acceptance struct {
	Intents []Intent `json:"intents"`
}

type resolution struct {
	Fingerprints []string `json:"fingerprints"`
}

func (i *Intent) copy() Intent {
	c := *i
	c.Firing = slices.Clone(i.Firing)
	return c
}

// Accept opens intents, or adds alerts to those that are open for the same policy and
// cluster. What it accepted is on the disk when it returns nil.
func (j *Journal) Accept(ctx context.Context, intents ...Intent) error {
	j.mu.RLock()
	news := slices.ContainsFunc(intents, func(i Intent) bool { return !j.state.firing(i) })
	j.mu.RUnlock()
	if !news { // each delivery of Alertmanager's repeats what is on the disk already
		return nil
	}
	return j.put(ctx, entry{Accept: &acceptance{Intents: intents}})
}

// Resolve notes that alerts do not fire any more. An intent that none calls for is
// closed.
func (j *Journal) Resolve(ctx context.Context, fingerprints ...string) error {
	gone := set(fingerprints)
	j.mu.RLock()
	news := slices.ContainsFunc(j.state.Intents, func(i *Intent) bool { return slices.ContainsFunc(i.Firing, gone) })
	j.mu.RUnlock()
	if !news {
		return nil
	}
	return j.put(ctx, entry{Resolve: &resolution{Fingerprints: fingerprints}})
}

// UpdateIntent keeps the tries, the next one and the last reason of an open intent, or
// closes it. One that was closed meanwhile stays so.
func (j *Journal) UpdateIntent(ctx context.Context, i Intent) error {
	i.Firing = nil
	return j.put(ctx, entry{Intent: &i})
}

// Intents gives copies of the open ones, in the order they were accepted.
func (j *Journal) Intents() []Intent {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return copies(j.state.Intents)
}

// ClosedIntents gives copies of the last hundred that were closed, the last one first.
func (j *Journal) ClosedIntents() []Intent {
	j.mu.RLock()
	defer j.mu.RUnlock()
	all := copies(j.state.Closed)
	slices.Reverse(all)
	return all
}

func copies(intents []*Intent) []Intent {
	all := make([]Intent, len(intents))
	for n, i := range intents {
		all[n] = i.copy()
	}
	return all
}

// open finds the intent for a policy and cluster.
func (s *state) open(policy, cluster string) *Intent {
	for _, i := range s.Intents {
		if i.Policy == policy && i.Cluster == cluster {
			return i
		}
	}
	return nil
}

// firing says whether that alert is known to call for that policy.
func (s *state) firing(i Intent) bool {
	present := s.open(i.Policy, i.Cluster)
	return present != nil && (slices.Contains(present.Firing, i.Fingerprint) || len(present.Firing) >= maxFingerprints)
}

func (s *state) accept(sequence uint64, at time.Time, intents []Intent) {
	for n := range intents {
		i := intents[n].copy()
		if s.firing(i) {
			continue
		}
		if present := s.open(i.Policy, i.Cluster); present != nil {
			present.Firing = append(present.Firing, i.Fingerprint)
			continue
		}
		if i.AcceptedAt.IsZero() {
			i.AcceptedAt = at
		}
		i.ID, i.Firing = sequence, []string{i.Fingerprint}
		i.Closed, i.ClosedAt, i.ClosedWhy = false, time.Time{}, ""
		s.Intents = append(s.Intents, &i)
	}
}

func (s *state) resolve(at time.Time, fingerprints []string) {
	gone := set(fingerprints)
	for _, i := range slices.Clone(s.Intents) {
		i.Firing = slices.DeleteFunc(i.Firing, gone)
		if len(i.Firing) == 0 {
			s.closeIntent(at, i, ClosedResolved)
		}
	}
}

// set makes a test for being one of them.
func set(names []string) func(string) bool {
	all := make(map[string]bool, len(names))
	for _, name := range names {
		all[name] = true
	}
	return func(name string) bool { return all[name] }
}

func (s *state) updateIntent(at time.Time, i *Intent) {
	present := s.open(i.Policy, i.Cluster)
	if present == nil || i.ID != 0 && i.ID != present.ID {
		return
	}
	present.Tries, present.NextTry, present.LastReason = i.Tries, i.NextTry, i.LastReason
	if i.Closed {
		s.closeIntent(at, present, i.ClosedWhy)
	}
}

func (s *state) closeIntent(at time.Time, i *Intent, why string) {
	i.Closed, i.ClosedAt, i.ClosedWhy = true, at, why
	s.Intents = slices.DeleteFunc(s.Intents, func(other *Intent) bool { return other == i })
	s.Closed = append(s.Closed, i)
	s.Closed = s.Closed[max(len(s.Closed)-maxClosed, 0):]
}
