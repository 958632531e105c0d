// SPDX-License-Identifier: Apache-2.0

package web

import (
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// State is what the page and the metrics show of the program, but for the runs.
// Zero times are times that never came.
type State struct {
	Mode string // the ceiling of every policy's mode

	// Election says that replicas elect who acts; without it this process leads.
	Election bool
	Leader   bool   // this process may act
	Holder   string // who leads, where it is known

	PausedSince  time.Time
	PausedBy     string
	JournalFault string // why the journal allows plans only; empty: it is fit

	QueueLength int // runs that wait for their turn
	Policies    []Policy
	Intents     []Intent
	Running     []Running
}

// Policy is one policy of the configuration.
type Policy struct {
	Name     string
	Action   string
	Mode     string // under the ceiling
	Matchers string // as Alertmanager writes them; empty: no alert starts it
	Cooldown time.Duration
	Budget   int // runs in 24 hours
	Clusters []Standing
}

// Standing is how a policy stands with one of its clusters.
type Standing struct {
	Cluster       string
	CooldownUntil time.Time
	BudgetLeft    int
	BreakerOpen   bool
	BreakerWhy    string
	Firing        bool // an alert that starts the policy fires
}

// Intent is an alert that was accepted and is not settled.
type Intent struct {
	Policy, Cluster, Alert string
	Since                  time.Time
	Tries                  int
	Next                   time.Time // of the next try; zero: as soon as it is its turn
	LastReason             string    // why the last try came to nothing
}

// Running is a run under way.
type Running struct {
	Run       remediate.Run // its last step is the one at work
	Done, All int64         // how far that step is; All 0: not known
}
