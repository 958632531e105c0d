// SPDX-License-Identifier: Apache-2.0

package remediate

import "time"

// Outcome is how a run ended, or what it waits for.
type Outcome string

// The outcomes. An empty one is a run that goes on.
const (
	Succeeded        Outcome = "succeeded"
	Failed           Outcome = "failed"
	Refused          Outcome = "refused"
	Planned          Outcome = "planned"
	NothingToDo      Outcome = "nothing_to_do"
	Interrupted      Outcome = "interrupted"
	AwaitingApproval Outcome = "awaiting_approval"
	Expired          Outcome = "expired"
)

// Outcomes are all of them, for metrics that exist at 0 from the start.
var Outcomes = []Outcome{Succeeded, Failed, Refused, Planned, NothingToDo, Interrupted, AwaitingApproval, Expired}

// What a trigger may be.
const (
	TriggerAlert = "alert"
	TriggerHand  = "hand"
)

// Trigger is what began a run.
type Trigger struct {
	Kind        string `json:"kind"` // alert or hand
	Alert       string `json:"alert"`
	Fingerprint string `json:"fingerprint"`
	By          string `json:"by,omitempty"` // the local user of a run by hand
}

// The verdicts of a guard.
const (
	Allow   = "allow"
	Refusal = "refuse"
	Unsure  = "error" // it could not tell, which refuses
)

// Verdict is what one guard said.
type Verdict struct {
	Guard   string `json:"guard"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"` // empty where it allows
}

// Run is one run from its trigger to its outcome. Its JSON is the journal's and
// the API's.
type Run struct {
	ID          string    `json:"id"`
	Cluster     string    `json:"cluster"`
	Policy      string    `json:"policy"` // empty: by hand, with the action's defaults
	Action      string    `json:"action"`
	Mode        string    `json:"mode"`
	Trigger     Trigger   `json:"trigger"`
	AcceptedAt  time.Time `json:"accepted_at"`
	StartedAt   time.Time `json:"started_at,omitzero"`
	FinishedAt  time.Time `json:"finished_at,omitzero"`
	Outcome     Outcome   `json:"outcome"`
	Interrupted bool      `json:"interrupted"`
	Reason      string    `json:"reason"`
	Guards      []Verdict `json:"guards"`
	Steps       []*Step   `json:"steps"`

	// RetryAfter is when a refusal may have passed, if that is known; it is not kept.
	RetryAfter     time.Duration `json:"-"`
	IgnoreCooldown bool          `json:"ignore_cooldown,omitempty"`
	ExpiresAt      time.Time     `json:"expires_at,omitzero"` // of a run that awaits approval
	Waited         time.Duration `json:"waited_ns,omitempty"` // in steps that wait; not part of max_duration
}

// Account is what the run spends from, as of Policy.
func (r *Run) Account() string { return account(r.Policy, r.Action) }

// Whole is the run with lists that are lists, also where they are empty, as JSON shows
// it to others.
func (r *Run) Whole() Run {
	whole := *r
	if whole.Guards == nil {
		whole.Guards = []Verdict{}
	}
	if whole.Steps == nil {
		whole.Steps = []*Step{}
	}
	return whole
}

// Applied says whether the run changed anything: it took a step that was begun
// and is no mere wait. Such a run spends its policy's budget.
func (r *Run) Applied() bool {
	for _, s := range r.Steps {
		if !s.StartedAt.IsZero() && s.Action != StepWait {
			return true
		}
	}
	return false
}

// Reclaimed is by how many bytes the run made databases smaller, and Estimated by
// how many it thought it would.
func (r *Run) Reclaimed() int64 {
	var sum int64
	for _, s := range r.Steps {
		if s.Action == StepDefrag && s.Done() {
			sum += max(s.BeforeBytes-s.AfterBytes, 0)
		}
	}
	return sum
}

// Estimated is how many bytes the run's steps were to reclaim.
func (r *Run) Estimated() int64 {
	var sum int64
	for _, s := range r.Steps {
		if !s.StartedAt.IsZero() {
			sum += s.Estimate
		}
	}
	return sum
}

// Pruned is how many keys the run deleted.
func (r *Run) Pruned() int64 {
	var sum int64
	for _, s := range r.Steps {
		if s.Action == StepPrune && !s.StartedAt.IsZero() && !s.FinishedAt.IsZero() {
			sum += s.Keys
		}
	}
	return sum
}

// Has says whether the run holds a step of that kind on that member (any member
// where url is empty): done, or planned before.
func (r *Run) Has(kind, url string) bool {
	for _, s := range r.Steps {
		if s.Action == kind && (url == "" || s.URL == url) && s.Error == "" {
			return true
		}
	}
	return false
}
