// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"time"
)

// pause is the last word of a person on whether anything may run.
type pause struct {
	Paused bool      `json:"paused"`
	At     time.Time `json:"at,omitzero"`
	By     string    `json:"by,omitempty"`
	// Resumed is the last resume: breakers opened before it are closed.
	Resumed time.Time `json:"resumed,omitzero"`
}

// Pause has nothing run until Resume, also after a restart.
func (j *Journal) Pause(ctx context.Context, by string) error {
	if since, _ := j.Paused(); !since.IsZero() {
		return nil // the first word stays
	}
	return j.put(ctx, entry{Pause: &pause{Paused: true, At: j.newest(), By: by}})
}

// Resume ends the pause, and closes all breakers.
func (j *Journal) Resume(ctx context.Context, by string) error {
	now := j.newest()
	return j.put(ctx, entry{Pause: &pause{At: now, By: by, Resumed: now}})
}

// newest is now, and later than any word before: another replica's clock may be ahead.
func (j *Journal) newest() time.Time {
	j.mu.RLock()
	defer j.mu.RUnlock()
	now, last := j.now(), j.state.Pause.At
	if now.After(last) {
		return now
	}
	return last.Add(time.Nanosecond)
}

// Paused implements remediate.Ledger.
func (j *Journal) Paused() (since time.Time, by string) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if !j.state.Pause.Paused {
		return time.Time{}, ""
	}
	return j.state.Pause.At, j.state.Pause.By
}

func (s *state) setPause(p pause) {
	before := s.Pause.Resumed
	s.Pause = p
	if !p.Resumed.After(before) {
		s.Pause.Resumed = before
		return
	}
	for _, c := range s.Clusters {
		for _, policy := range c.Policies {
			if !policy.Opened.After(p.Resumed) {
				policy.Poor, policy.Opened, policy.Why = 0, time.Time{}, ""
			}
		}
	}
}
