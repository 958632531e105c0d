// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// entry is what one line says: at most one of its pointers is set.
type entry struct {
	At        time.Time      `json:"at"`
	State     *state         `json:"state,omitempty"` // of all lines before; the first line of a file
	Run       *remediate.Run `json:"run,omitempty"`   // without its steps
	Step      *putStep       `json:"step,omitempty"`
	Interrupt *interruption  `json:"interrupt,omitempty"`
	Accept    *acceptance    `json:"accept,omitempty"`
	Resolve   *resolution    `json:"resolve,omitempty"`
	Intent    *Intent        `json:"intent,omitempty"`
	Pause     *pause         `json:"pause,omitempty"`
	Sample    *putSample     `json:"sample,omitempty"`
	Drop      *dropSamples   `json:"drop,omitempty"`
	Import    *importation   `json:"import,omitempty"`
}

// state is all that the lines add up to.
type state struct {
	Since    time.Time           `json:"since"`           // when this journal was begun
	Fault    string              `json:"fault,omitempty"` // the first damage that was found in it
	Pause    pause               `json:"pause"`
	Runs     []*record           `json:"runs,omitempty"`    // in the order they came
	Intents  []*Intent           `json:"intents,omitempty"` // open ones, in that order
	Closed   []*Intent           `json:"closed,omitempty"`
	Clusters map[string]*cluster `json:"clusters,omitempty"`
}

// cluster is what is kept of a cluster beside its runs.
type cluster struct {
	Imported  bool              `json:"imported,omitempty"` // a mirror has told of earlier runs
	Policies  map[string]*spent `json:"policies,omitempty"`
	Delete    deletion          `json:"delete"`
	Snapshots []string          `json:"snapshots,omitempty"`
	Samples   []Sample          `json:"samples,omitempty"`
}

// deletion is the last one that a run made.
type deletion struct {
	Revision int64     `json:"revision"`
	At       time.Time `json:"at"`
}

func newState(now time.Time) *state {
	return &state{Since: now, Clusters: map[string]*cluster{}}
}

// apply makes an entry part of the state. It depends on nothing else, so that reading
// gives what writing gave.
func (s *state) apply(sequence uint64, e *entry) error {
	switch {
	case e.State != nil:
		*s = *e.State
		s.tidy()
	case e.Run != nil:
		s.putRun(e.At, e.Run)
	case e.Step != nil && e.Step.Step != nil:
		s.putStep(e.At, e.Step)
	case e.Interrupt != nil:
		s.interrupt(e.At, e.Interrupt.Runs)
	case e.Accept != nil:
		s.accept(sequence, e.At, e.Accept.Intents)
	case e.Resolve != nil:
		s.resolve(e.At, e.Resolve.Fingerprints)
	case e.Intent != nil:
		s.updateIntent(e.At, e.Intent)
	case e.Pause != nil:
		s.setPause(*e.Pause)
	case e.Sample != nil:
		s.addSample(e.Sample)
	case e.Drop != nil:
		s.cluster(e.Drop.Cluster).Samples = nil
	case e.Import != nil:
		s.merge(e.At, e.Import)
	default:
		return errors.New("it holds nothing that this version of the program knows")
	}
	return nil
}

// tidy takes out what cannot be there: a state may come from a file that somebody
// else wrote.
func (s *state) tidy() {
	s.Runs = slices.DeleteFunc(s.Runs, func(r *record) bool { return r == nil || r.Head == nil })
	for _, r := range s.Runs {
		r.Head.Steps = nil
		r.Steps = slices.DeleteFunc(r.Steps, func(k kept) bool { return k.Step == nil })
	}
	missing := func(i *Intent) bool { return i == nil }
	s.Intents = slices.DeleteFunc(s.Intents, missing)
	s.Closed = slices.DeleteFunc(s.Closed, missing)
	maps.DeleteFunc(s.Clusters, func(_ string, c *cluster) bool { return c == nil })
	for _, c := range s.Clusters {
		maps.DeleteFunc(c.Policies, func(_ string, p *spent) bool { return p == nil })
	}
	if s.Clusters == nil {
		s.Clusters = map[string]*cluster{}
	}
}

// cluster gives what is kept of a cluster, for changing it.
func (s *state) cluster(name string) *cluster {
	c, ok := s.Clusters[name]
	if !ok {
		c = &cluster{}
		s.Clusters[name] = c
	}
	return c
}

// policy gives what a policy has spent on a cluster, for changing it.
func (c *cluster) policy(name string) *spent {
	p, ok := c.Policies[name]
	if !ok {
		p = &spent{}
		if c.Policies == nil {
			c.Policies = map[string]*spent{}
		}
		c.Policies[name] = p
	}
	return p
}

// look gives the same for reading, empty where nothing is known.
func (s *state) look(clusterName, policy string) spent {
	if c, ok := s.Clusters[clusterName]; ok {
		if p, ok := c.Policies[policy]; ok {
			return *p
		}
	}
	return spent{}
}
