// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"slices"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

const (
	day          = 24 * time.Hour
	maxSpent     = 1000 // times that are kept of one policy and cluster
	maxSnapshots = 10_000
	poorRuns     = 2 // in a row open the breaker
)

// spent is what a policy has done to a cluster.
type spent struct {
	Last   time.Time   `json:"last,omitzero"`   // end of the last run that took a step
	Day    []time.Time `json:"day,omitempty"`   // of those of the last 24 h, in order
	Poor   int         `json:"poor,omitempty"`  // runs in a row that brought next to nothing
	Opened time.Time   `json:"opened,omitzero"` // of the breaker; zero: it is closed
	Why    string      `json:"why,omitempty"`
}

// Spent implements remediate.Ledger.
func (j *Journal) Spent(cluster, policy string) []time.Time {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return within(j.state.look(cluster, policy).Day, j.now())
}

// within are the times of the last 24 h. One that is yet to come, by a clock that was
// set back, counts as well.
func within(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return now.Sub(t) >= day })
}

// LastSpent implements remediate.Ledger.
func (j *Journal) LastSpent(cluster, policy string) time.Time {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.state.look(cluster, policy).Last
}

// Complete implements remediate.Ledger: the journal is 24 h old, so that it tells of all
// that a budget counts, or a mirror has told of earlier runs, of any cluster.
func (j *Journal) Complete() (ok bool, since time.Time) {
	return j.complete(func(c *cluster) bool { return c.Imported })
}

func (j *Journal) complete(told func(*cluster) bool) (ok bool, since time.Time) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.now().Sub(j.state.Since) >= day {
		return true, j.state.Since
	}
	for _, c := range j.state.Clusters {
		if told(c) {
			return true, j.state.Since
		}
	}
	return false, j.state.Since
}

// Of is the ledger of one cluster: of another one's mirror it says nothing.
func (j *Journal) Of(cluster string) remediate.Ledger { return ledger{j, cluster} }

type ledger struct {
	*Journal
	cluster string
}

// Complete implements remediate.Ledger.
func (l ledger) Complete() (ok bool, since time.Time) {
	l.mu.RLock()
	mine := l.state.Clusters[l.cluster]
	l.mu.RUnlock()
	return l.complete(func(c *cluster) bool { return c == mine && c.Imported })
}

// Breaker implements remediate.Ledger.
func (j *Journal) Breaker(cluster, policy string) (open bool, why string) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	p := j.state.look(cluster, policy)
	return !p.Opened.IsZero(), p.Why
}

// Unfinished says whether the last run of that policy on that cluster was cut short
// while it waited: it is gone on with, and is no new run.
func (j *Journal) Unfinished(cluster, policy string) bool {
	for _, r := range j.runs(0, func(r *record) bool {
		return r.Head.Cluster == cluster && r.Head.Account() == policy && r.Head.Outcome != "" && !r.Head.StartedAt.IsZero()
	}) {
		switch {
		case r.Applied():
			return r.Outcome == remediate.Interrupted && r.Steps[len(r.Steps)-1].Action == remediate.StepWait
		case r.Outcome != remediate.Refused && r.Outcome != remediate.Interrupted: // it found nothing to do, say
			return false
		}
	}
	return false
}

// LastDelete implements remediate.Ledger.
func (j *Journal) LastDelete(cluster string) (revision int64, at time.Time) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if c, ok := j.state.Clusters[cluster]; ok {
		return c.Delete.Revision, c.Delete.At
	}
	return 0, time.Time{}
}

// Snapshots implements remediate.Ledger. The files are paths of all the cluster's
// stores: their directories tell them apart.
func (j *Journal) Snapshots(cluster, _ string) []string {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if c, ok := j.state.Clusters[cluster]; ok {
		return slices.Clone(c.Snapshots)
	}
	return nil
}

// note keeps what of a step must outlive its run.
func (s *state) note(at time.Time, name string, step *remediate.Step) {
	if step.StartedAt.IsZero() {
		return
	}
	switch step.Action {
	case remediate.StepPrune:
		if step.Revision > 0 { // also of one that failed later: the keys are gone
			if !step.FinishedAt.IsZero() {
				at = step.FinishedAt
			}
			s.cluster(name).Delete = deletion{step.Revision, at}
		}
	case remediate.StepSnapshot:
		c := s.cluster(name)
		c.Snapshots = slices.DeleteFunc(c.Snapshots, func(f string) bool { return slices.Contains(step.Removed, f) })
		if step.Done() && step.File != "" && !slices.Contains(c.Snapshots, step.File) {
			c.Snapshots = append(c.Snapshots, step.File)
			c.Snapshots = c.Snapshots[max(len(c.Snapshots)-maxSnapshots, 0):]
		}
	}
}

// account has a run that is over spend its policy's budget, and judges what it brought,
// each once.
func (s *state) account(at time.Time, r *record) {
	if !r.final() || r.Counted && r.Judged {
		return
	}
	run := r.view()
	if !run.Applied() {
		return
	}
	p := s.cluster(run.Cluster).policy(run.Account())
	if !r.Counted {
		r.Counted = true
		p.spend(at, end(run, at))
	}
	if estimated := run.Estimated(); estimated > 0 && !r.Judged {
		r.Judged = true
		p.judge(at, run.ID, run.Reclaimed(), estimated)
	}
}

// end is when a run was last seen to do something.
func end(run *remediate.Run, otherwise time.Time) time.Time {
	if run.Outcome != remediate.Interrupted && !run.FinishedAt.IsZero() {
		return run.FinishedAt
	}
	last := run.StartedAt
	for _, s := range run.Steps {
		for _, t := range []time.Time{s.StartedAt, s.FinishedAt} {
			if t.After(last) {
				last = t
			}
		}
	}
	if last.IsZero() {
		return otherwise
	}
	return last
}

func (p *spent) spend(now, t time.Time) {
	if t.After(p.Last) {
		p.Last = t
	}
	at, found := slices.BinarySearchFunc(p.Day, t, time.Time.Compare)
	if !found {
		p.Day = slices.Insert(p.Day, at, t)
	}
	p.Day = within(p.Day, now)
	p.Day = p.Day[max(len(p.Day)-maxSpent, 0):]
}

func (p *spent) judge(at time.Time, id string, reclaimed, estimated int64) {
	if reclaimed >= estimated/10 {
		p.Poor = 0
		return
	}
	p.Poor++
	if p.Poor >= poorRuns && p.Opened.IsZero() {
		p.Opened = at
		p.Why = fmt.Sprintf("%d runs in a row brought less than a tenth of what they were to: run %s %d of %d bytes", p.Poor, id, reclaimed, estimated)
	}
}
