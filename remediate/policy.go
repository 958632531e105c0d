// SPDX-License-Identifier: Apache-2.0

package remediate

import (
	"cmp"
	"time"
)

// The modes, from harmless to acting.
const (
	ModePlan    = "plan"
	ModeApprove = "approve"
	ModeEnforce = "enforce"
)

// Modes in the order of what they allow.
var Modes = []string{ModePlan, ModeApprove, ModeEnforce}

// The names of the actions.
const (
	ActionDefrag       = "defrag"
	ActionCompact      = "compact"
	ActionPruneEvents  = "prune_events"
	ActionDisarm       = "disarm"
	ActionSnapshot     = "snapshot"
	ActionRecoverSpace = "recover_space"
)

// Policy is what a run may do, and how. Sizes are in bytes.
type Policy struct {
	Name              string // empty: by hand, with the action's defaults
	Mode              string // already under the ceiling of the program's --mode
	Clusters          []string
	Action            string
	Cooldown          time.Duration // 0: none
	MaxRunsPerDay     int           // in any 24 hours
	MaxDuration       time.Duration // of a run, waits not counted
	StableFor         time.Duration
	AllowSmallCluster bool     // fewer than three voters
	AcceptKnownIssues []string // etcd issue numbers
	AcceptUnknownDisk bool
	RequireQueries    []string      // PromQL that must return something
	RequireSnapshot   time.Duration // a sound one younger than this; 0: none is needed

	Defrag      Defrag
	Compact     Compact
	PruneEvents *PruneEvents // nil: the action may not prune
	Snapshot    *Snapshot
}

// Account is the name under which the ledger keeps what was spent: the policy's, and
// without one a name for each action, so that a compaction by hand does not use up the
// budget of the defragmentation after it. No policy may be called so.
func (p Policy) Account() string { return account(p.Name, p.Action) }

func account(policy, action string) string { return cmp.Or(policy, "(by hand) "+action) }

// Defrag are the parameters of a defragmentation.
type Defrag struct {
	MinReclaimable   int64   // bytes, size minus in use
	MinFragmentation float64 // 0 to 1, of the size that is not in use
	Settle           time.Duration
	MoveLeader       bool
	MaxPause         time.Duration
}

// Compact are the parameters of a compaction.
type Compact struct {
	Keep time.Duration // a revision must have been current that long ago
}

// PruneEvents are the parameters of deleting old Kubernetes events.
type PruneEvents struct {
	Prefix             string // ends in /events/ or /events/NAMESPACE/
	OlderThan          time.Duration
	MaxKeys            int // in one run
	KeysPerSecond      int
	AcceptOpaqueValues bool
}

// Snapshot are the parameters of taking a snapshot.
type Snapshot struct {
	Store string // name of a directory store of the cluster
	Keep  int    // own snapshots that stay; 0: all
}
