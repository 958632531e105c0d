// SPDX-License-Identifier: Apache-2.0

// Package remediate acts on an etcd cluster as a careful operator would: it
// observes, asks its guards, plans one step, asks the guards again, acts,
// verifies, writes the journal, and observes again.
//
// The alert that began a run is a hint; the live state decides. A guard that
// cannot tell refuses. Every step is safe to run twice.
package remediate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Action is one kind of remedy. It is made anew for each run, and may keep what
// it learned from one step to the next; what must survive a crash is in the live
// state or the journal.
type Action interface {
	// Name is the action's name in the configuration, such as defrag.
	Name() string
	// Plan looks at c.Seen and gives the next step; nil: nothing is left to do. It
	// changes nothing. Steps in c.Run count as done, so that a plan of all steps is
	// had by planning again and again without acting. A *Blocked refuses, and says
	// when waiting may help.
	Plan(ctx context.Context, c *Cluster) (*Step, error)
	// Apply does the step and fills in what it learned by it. When ctx ends it stops
	// after the present transaction or member; an error ends the run.
	Apply(ctx context.Context, c *Cluster, s *Step) error
	// Verify looks whether the step did what it was for. c.Seen is from after Apply.
	Verify(ctx context.Context, c *Cluster, s *Step) error
}

// Guard allows a step, or refuses it.
type Guard interface {
	// Name is the guard's name in records and metrics.
	Name() string
	// Check gives nil to allow, a *Blocked to refuse with a reason, and any other
	// error where it cannot tell, which refuses too. It is asked before the plan
	// with a step that has no Action, before each step, and again after waiting.
	Check(ctx context.Context, c *Cluster, s *Step) error
}

// Blocked is a refusal: by a guard, or by an action that cannot go on as it must.
type Blocked struct { //nolint:errname // it is a refusal first
	Guard  string // empty where a Guard gives it: the runner knows its name
	Reason string // one line for a person
	// After is how long until it may pass by itself, as with a revision that is too
	// young; 0: nobody knows.
	After time.Duration
	// Lasting says that only a person can change it, as with the alarm CORRUPT.
	Lasting bool
}

func (b *Blocked) Error() string {
	if b.Guard == "" {
		return b.Reason
	}
	return b.Guard + ": " + b.Reason
}

// Refuse makes a refusal.
func Refuse(format string, args ...any) error {
	return &Blocked{Reason: fmt.Sprintf(format, args...)}
}

// RefuseFor makes a refusal that may have passed after some time.
func RefuseFor(after time.Duration, format string, args ...any) error {
	return &Blocked{Reason: fmt.Sprintf(format, args...), After: max(after, time.Second)}
}

// AsBlocked gives the refusal in err, if it is one.
func AsBlocked(err error) (*Blocked, bool) { return errors.AsType[*Blocked](err) }

// The kinds of steps. An action may take steps of several kinds.
const (
	StepDefrag     = "defrag"
	StepMoveLeader = "move_leader"
	StepCompact    = "compact"
	StepPrune      = "prune_events"
	StepWait       = "wait"
	StepDisarm     = "disarm"
	StepSnapshot   = "snapshot"
)

// Step is one thing to do on one member, and after it, what came of it. It is
// kept in the journal and shown as it is.
type Step struct {
	Action     string    `json:"action"` // one of the kinds above
	URL        string    `json:"url"`
	Member     string    `json:"member"`
	MemberID   string    `json:"member_id,omitempty"` // in hex, as etcdctl prints it
	Reason     string    `json:"reason"`              // why, in one line
	StartedAt  time.Time `json:"started_at,omitzero"` // zero: planned only
	FinishedAt time.Time `json:"finished_at,omitzero"`
	// BeforeBytes and AfterBytes are the size of the member's database; of a
	// compaction the largest size in use.
	BeforeBytes int64  `json:"before_bytes"`
	AfterBytes  int64  `json:"after_bytes"`
	Keys        int64  `json:"keys"`     // to delete, and once done: deleted
	Revision    int64  `json:"revision"` // of a compaction, a last delete or a snapshot
	Error       string `json:"error"`

	Estimate int64     `json:"estimate_bytes,omitempty"` // that the step should reclaim
	Until    time.Time `json:"until,omitzero"`           // of a wait
	Kept     int64     `json:"kept,omitempty"`           // keys of the window that stay
	Sample   *Sample   `json:"sample,omitempty"`         // of what was deleted
	File     string    `json:"file,omitempty"`           // of a snapshot
	Removed  []string  `json:"removed,omitempty"`        // own older snapshots that went
	Detail   any       `json:"-"`                        // the action's own, from Plan to Apply and Verify
}

// Done says whether the step was carried out.
func (s *Step) Done() bool { return !s.FinishedAt.IsZero() && s.Error == "" }

// Sample is a decoded look at deleted events: the cause, not only the cure. The
// counts are of the sampled ones.
type Sample struct {
	Events     int            `json:"events"`
	Reasons    map[string]int `json:"reasons"`
	Sources    map[string]int `json:"sources"`
	Namespaces map[string]int `json:"namespaces"`
}
