// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/etcdops/etcdops/remediate"
)

const (
	maxRuns  = 500
	fullRuns = 20   // the newest; of older ones prune steps in a row are shown as one
	maxSteps = 200  // of a run, then the oldest prune steps become one
	endSteps = 1000 // beyond which a run is not recorded, and so fails
	maxIndex = 1 << 30
	largest  = 20 // names in each part of a sample
	others   = "other"
)

// record is a run with its steps.
type record struct {
	Head    *remediate.Run `json:"head"`              // without steps
	Steps   []kept         `json:"steps,omitempty"`   // in order
	Counted bool           `json:"counted,omitempty"` // it has spent its policy's budget
	Judged  bool           `json:"judged,omitempty"`  // the breaker knows of it
}

// kept is a step, or several of a prune as one, by their place in the run. What is at
// Step never changes: it is replaced.
type kept struct {
	From   int             `json:"from"`
	To     int             `json:"to"`
	Reason string          `json:"reason,omitempty"` // of the last one of several
	Step   *remediate.Step `json:"step"`
}

// ended says whether the run has an outcome, or waits for approval.
func (r *record) ended() bool { return r.Head.Outcome != "" }

// final says whether nothing more can come of it.
func (r *record) final() bool { return r.ended() && r.Head.Outcome != remediate.AwaitingApproval }

// put places a step. One that has become part of another is done and stays so.
func (r *record) put(index int, s *remediate.Step) {
	at := len(r.Steps)
	for at > 0 && r.Steps[at-1].To >= index {
		at--
	}
	switch {
	case at == len(r.Steps) || r.Steps[at].From > index:
		r.Steps = slices.Insert(r.Steps, at, kept{From: index, To: index, Step: s})
	case r.Steps[at].From == r.Steps[at].To:
		r.Steps[at].Step = s
	}
	r.fold(maxSteps)
}

// fold joins prune steps that follow each other, the oldest first, until no more than
// limit steps are left or none can be joined. Totals stay what they were.
func (r *record) fold(limit int) {
	for i := 0; len(r.Steps) > limit && i+1 < len(r.Steps); {
		a, b := r.Steps[i], r.Steps[i+1]
		if !pruned(a.Step) || !pruned(b.Step) {
			i++
			continue
		}
		r.Steps[i] = join(a, b)
		r.Steps = slices.Delete(r.Steps, i+1, i+2)
	}
}

func pruned(s *remediate.Step) bool { return s.Action == remediate.StepPrune && s.Done() }

func join(a, b kept) kept {
	k := kept{From: a.From, To: b.To, Reason: cmp.Or(b.Reason, b.Step.Reason)}
	s := clone(b.Step)
	s.Reason = fmt.Sprintf("%d steps in a row; the last: %s", k.To-k.From+1, k.Reason)
	s.StartedAt = a.Step.StartedAt
	s.Keys += a.Step.Keys
	s.Kept += a.Step.Kept
	s.Estimate += a.Step.Estimate
	s.Revision = cmp.Or(s.Revision, a.Step.Revision)
	s.Removed = append(slices.Clone(a.Step.Removed), s.Removed...)
	s.Sample = joinSamples(a.Step.Sample, s.Sample)
	k.Step = s
	return k
}

func joinSamples(a, b *remediate.Sample) *remediate.Sample {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return &remediate.Sample{
		Events:     a.Events + b.Events,
		Reasons:    joinCounts(a.Reasons, b.Reasons),
		Sources:    joinCounts(a.Sources, b.Sources),
		Namespaces: joinCounts(a.Namespaces, b.Namespaces),
	}
}

// joinCounts adds up, and keeps the largest by name.
func joinCounts(a, b map[string]int) map[string]int {
	sum := make(map[string]int, len(a)+len(b))
	for _, m := range []map[string]int{a, b} {
		for name, n := range m {
			sum[name] += n
		}
	}
	rest := sum[others]
	delete(sum, others)
	names := slices.SortedFunc(maps.Keys(sum), func(a, b string) int {
		return cmp.Or(cmp.Compare(sum[b], sum[a]), cmp.Compare(a, b))
	})
	for _, name := range names[min(largest, len(names)):] {
		rest += sum[name]
		delete(sum, name)
	}
	if rest > 0 {
		sum[others] = rest
	}
	return sum
}

// view is the run with its steps, for arithmetic: nothing in it may be changed.
func (r *record) view() *remediate.Run {
	run := *r.Head
	run.Steps = make([]*remediate.Step, len(r.Steps))
	for i, k := range r.Steps {
		run.Steps[i] = k.Step
	}
	return &run
}

// run is a copy for others.
func (r *record) run() *remediate.Run {
	run := r.view()
	run.Guards = append([]remediate.Verdict{}, run.Guards...)
	for i, s := range run.Steps {
		run.Steps[i] = clone(s)
	}
	return run
}

func clone(s *remediate.Step) *remediate.Step {
	c := *s
	c.Removed = slices.Clone(s.Removed)
	if s.Sample != nil {
		sample := *s.Sample
		sample.Reasons = maps.Clone(sample.Reasons)
		sample.Sources = maps.Clone(sample.Sources)
		sample.Namespaces = maps.Clone(sample.Namespaces)
		c.Sample = &sample
	}
	return &c
}
