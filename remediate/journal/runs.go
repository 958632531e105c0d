// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

var _ remediate.Recorder = (*Journal)(nil)

// stepInterrupted is the error of a step that a crash ended.
const stepInterrupted = "interrupted"

type putStep struct {
	Run   string          `json:"run"`
	Index int             `json:"index"`
	Step  *remediate.Step `json:"step"`
}

type interruption struct {
	Runs []string `json:"runs"`
}

// PutRun keeps a run but for its steps, which PutStep keeps one by one. A run that had
// an outcome and has none now begins anew, without steps.
func (j *Journal) PutRun(ctx context.Context, run *remediate.Run) error {
	if run.ID == "" {
		return fmt.Errorf("journal %s: a run without an id", j.dir)
	}
	head := *run
	head.Steps = nil
	return j.put(ctx, entry{Run: &head})
}

// PutStep keeps the step at that place of a run, in place of what was there.
func (j *Journal) PutStep(ctx context.Context, runID string, index int, s *remediate.Step) error {
	j.mu.RLock()
	r := j.state.find(runID)
	full := r != nil && len(r.Steps) >= endSteps
	j.mu.RUnlock()
	switch {
	case r == nil:
		return fmt.Errorf("journal %s: step of the unknown run %s", j.dir, runID)
	case full || index < 0 || index > maxIndex:
		return fmt.Errorf("journal %s: run %s has more steps than can be kept", j.dir, runID)
	}
	return j.put(ctx, entry{Step: &putStep{Run: runID, Index: index, Step: s}})
}

// Run gives a copy of the run with that id.
func (j *Journal) Run(id string) (*remediate.Run, bool) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if r := j.state.find(id); r != nil {
		return r.run(), true
	}
	return nil, false
}

// Runs gives copies of the newest n runs, newest first; 0: all that are kept, which are
// 500. Of long prunes several steps are shown as one.
func (j *Journal) Runs(n int) []*remediate.Run {
	return j.runs(n, func(*record) bool { return true })
}

// Awaiting gives copies of the runs that wait for approval, newest first.
func (j *Journal) Awaiting() []*remediate.Run {
	return j.runs(0, func(r *record) bool { return r.Head.Outcome == remediate.AwaitingApproval })
}

// Interrupted gives the runs that an earlier process did not bring to an end, newest
// first. Their outcome is interrupted by now.
func (j *Journal) Interrupted() []*remediate.Run {
	return j.runs(0, func(r *record) bool { return slices.Contains(j.interrupted, r.Head.ID) })
}

func (j *Journal) runs(n int, want func(*record) bool) []*remediate.Run {
	j.mu.RLock()
	defer j.mu.RUnlock()
	runs := []*remediate.Run{}
	for _, r := range slices.Backward(j.state.Runs) {
		if n > 0 && len(runs) == n {
			break
		}
		if want(r) {
			runs = append(runs, r.run())
		}
	}
	return runs
}

// find looks at the newest first, which are asked for most.
func (s *state) find(id string) *record {
	for _, r := range slices.Backward(s.Runs) {
		if r.Head.ID == id {
			return r
		}
	}
	return nil
}

// running are the ids of runs without an outcome.
func (s *state) running() []string {
	var ids []string
	for _, r := range s.Runs {
		if !r.ended() {
			ids = append(ids, r.Head.ID)
		}
	}
	return ids
}

func (s *state) putRun(at time.Time, head *remediate.Run) {
	head.Steps = nil
	r := s.find(head.ID)
	switch {
	case r == nil:
		r = &record{Head: head}
		s.Runs = append(s.Runs, r)
		s.forget()
	case r.ended() && head.Outcome == "": // approved: it is planned again
		*r = record{Head: head}
	default:
		r.Head = head
	}
	s.account(at, r)
}

// forget bounds how much is kept of old runs. What they spent is kept elsewhere.
func (s *state) forget() {
	for len(s.Runs) > maxRuns {
		oldest := max(slices.IndexFunc(s.Runs, (*record).final), 0)
		s.Runs = slices.Delete(s.Runs, oldest, oldest+1)
	}
	for _, r := range s.Runs[:max(len(s.Runs)-fullRuns, 0)] {
		r.fold(0)
	}
}

func (s *state) putStep(at time.Time, p *putStep) {
	r := s.find(p.Run)
	if r == nil || p.Index < 0 || p.Index > maxIndex {
		return
	}
	r.put(p.Index, p.Step)
	s.note(at, r.Head.Cluster, p.Step)
	s.account(at, r)
}

// interrupt ends runs that a crash cut short, and their steps that had no end.
func (s *state) interrupt(at time.Time, ids []string) {
	for _, id := range ids {
		r := s.find(id)
		if r == nil || r.ended() {
			continue
		}
		r.Head.Outcome, r.Head.Interrupted, r.Head.FinishedAt = remediate.Interrupted, true, at
		r.Head.Reason = "the program ended in the middle of it; what it was for is looked at afresh"
		for i, k := range r.Steps {
			if k.Step.StartedAt.IsZero() || !k.Step.FinishedAt.IsZero() {
				continue
			}
			open := clone(k.Step)
			open.Error = stepInterrupted
			r.Steps[i].Step = open
		}
		s.account(at, r)
	}
}
