// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

const (
	maxMirror         = 1 << 20 // bytes
	maxMirrorPolicies = 1000
	maxMirrorSpent    = 100 // times of one policy

	// maxAhead is how far another replica's clock may be ahead of ours.
	maxAhead = 10 * time.Minute
)

// mirror is what other replicas need to know of a cluster, to keep cool-downs, budgets,
// breakers and the pause.
type mirror struct {
	Format   int              `json:"v"`
	Pause    pause            `json:"pause"`
	Policies map[string]spent `json:"policies,omitempty"`
}

type importation struct {
	Cluster string `json:"cluster"`
	Mirror  mirror `json:"mirror"`
}

// Export gives what Import takes, as a small JSON.
func (j *Journal) Export(cluster string) []byte {
	j.mu.RLock()
	defer j.mu.RUnlock()
	m := mirror{Format: format, Pause: j.state.Pause, Policies: map[string]spent{}}
	if c, ok := j.state.Clusters[cluster]; ok {
		for name, p := range c.Policies {
			shown := *p
			shown.Poor = 0
			shown.Day = within(p.Day, j.now())
			shown.Day = shown.Day[max(len(shown.Day)-maxMirrorSpent, 0):]
			m.Policies[name] = shown
		}
	}
	text, err := json.Marshal(m)
	if err != nil { // a year beyond 9999, from a clock that was far off
		return nil
	}
	return text
}

// Import adds what another replica knows of a cluster. Nothing is forgotten by it; of
// pause and resume the newest word counts. It writes only what is new.
func (j *Journal) Import(ctx context.Context, cluster string, data []byte) error {
	if len(data) > maxMirror {
		return fmt.Errorf("import mirror of %s: it has %d bytes, more than %d", cluster, len(data), maxMirror)
	}
	var m mirror
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("import mirror of %s: %w", cluster, err)
	}
	switch {
	case m.Format != format:
		return fmt.Errorf("import mirror of %s: it is of format %d, and %d is known here", cluster, m.Format, format)
	case len(m.Policies) > maxMirrorPolicies:
		return fmt.Errorf("import mirror of %s: it tells of %d policies, more than %d", cluster, len(m.Policies), maxMirrorPolicies)
	}
	m.limit(j.now())
	i := &importation{Cluster: cluster, Mirror: m}
	j.mu.RLock()
	known := j.state.knows(j.now(), i)
	j.mu.RUnlock()
	if known {
		return nil
	}
	return j.put(ctx, entry{Import: i})
}

// limit takes times that are far ahead for now: a clock elsewhere that is wrong must not
// stop everything for years.
func (m *mirror) limit(now time.Time) {
	ahead := func(t time.Time) bool { return t.Sub(now) > maxAhead }
	limited := func(t time.Time) time.Time {
		if ahead(t) {
			return now
		}
		return t
	}
	m.Pause.At, m.Pause.Resumed = limited(m.Pause.At), limited(m.Pause.Resumed)
	for name, p := range m.Policies {
		p.Last, p.Opened = limited(p.Last), limited(p.Opened)
		p.Day = slices.DeleteFunc(p.Day, ahead)
		p.Day = p.Day[max(len(p.Day)-maxMirrorSpent, 0):]
		m.Policies[name] = p
	}
}

// knows says whether merge would change nothing that counts.
func (s *state) knows(now time.Time, i *importation) bool {
	c, ok := s.Clusters[i.Cluster]
	if !ok || !c.Imported || i.Mirror.Pause.At.After(s.Pause.At) {
		return false
	}
	for name, p := range i.Mirror.Policies {
		mine := s.look(i.Cluster, name)
		if p.Last.After(mine.Last) || mine.Opened.IsZero() && s.opens(p) {
			return false
		}
		for _, t := range within(p.Day, now) {
			if _, found := slices.BinarySearchFunc(mine.Day, t, time.Time.Compare); !found {
				return false
			}
		}
	}
	return true
}

// opens says whether a breaker that is open elsewhere was opened after the last resume.
func (s *state) opens(p spent) bool {
	return p.Opened.After(s.Pause.Resumed)
}

func (s *state) merge(at time.Time, i *importation) {
	if i.Mirror.Pause.At.After(s.Pause.At) {
		s.setPause(i.Mirror.Pause)
	}
	c := s.cluster(i.Cluster)
	c.Imported = true
	for name, p := range i.Mirror.Policies {
		mine := c.policy(name)
		for _, t := range p.Day {
			mine.spend(at, t)
		}
		if p.Last.After(mine.Last) {
			mine.Last = p.Last
		}
		if mine.Opened.IsZero() && s.opens(p) {
			mine.Opened, mine.Why = p.Opened, p.Why
		}
	}
}
