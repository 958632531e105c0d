// SPDX-License-Identifier: Apache-2.0

package config

import "time"

// Defaults of the remediation block.
const (
	DefaultJournal           = "/var/lib/etcd_remediator"
	DefaultAlertClusterLabel = "cluster"
	DefaultElectionPrefix    = "/etcdops/remediator/"

	DefaultCooldown         = 6 * time.Hour
	DefaultMaxRunsPerDay    = 4
	DefaultMaxDuration      = time.Hour
	DefaultStableFor        = 10 * time.Minute
	DefaultStableForRecover = time.Minute

	DefaultMinReclaimable   = Size(100 << 20)
	DefaultMinFragmentation = 0.45
	DefaultSettle           = 30 * time.Second
	DefaultMaxPause         = 30 * time.Second
	DefaultCompactKeep      = 10 * time.Minute
	DefaultPruneOlderThan   = 30 * time.Minute
	DefaultPruneMaxKeys     = 500000
	DefaultPruneKeysPerSec  = 1000
)

// The actions a policy may name.
const (
	ActionDefrag       = "defrag"
	ActionCompact      = "compact"
	ActionPruneEvents  = "prune_events"
	ActionDisarm       = "disarm"
	ActionSnapshot     = "snapshot"
	ActionRecoverSpace = "recover_space"
)

// The modes of a policy, from harmless to acting.
const (
	ModePlan    = "plan"
	ModeApprove = "approve"
	ModeEnforce = "enforce"
)

// Remediation is read by etcd_remediator only; etcd_exporter checks it too, so
// that one file is right or wrong for both.
type Remediation struct {
	Journal               string     `yaml:"journal"`             // directory; default /var/lib/etcd_remediator
	AlertClusterLabel     string     `yaml:"alert_cluster_label"` // default "cluster"
	BearerTokenFile       string     `yaml:"bearer_token_file"`   // at least 16 bytes
	AdminTokenFile        string     `yaml:"admin_token_file"`    // at least 16 bytes, another than the bearer's
	Election              Election   `yaml:"election"`
	MaxConcurrentClusters int        `yaml:"max_concurrent_clusters"` // default 1
	Windows               []Raw      `yaml:"windows"`                 // Alertmanager time intervals; empty: any time
	Prometheus            Prometheus `yaml:"prometheus"`
	Notify                Notify     `yaml:"notify"`
	Policies              []Policy   `yaml:"policies"`
}

// Election lets several replicas run of which one acts.
type Election struct {
	Enabled bool   `yaml:"enabled"`
	Prefix  string `yaml:"prefix"` // of keys in etcd; default /etcdops/remediator/
}

// Prometheus answers require_queries.
type Prometheus struct {
	URL string `yaml:"url"`
}

// Notify says who is told of a finished run.
type Notify struct {
	Alertmanager string  `yaml:"alertmanager"` // URL
	Grafana      Grafana `yaml:"grafana"`
}

// Grafana receives an annotation for a finished run.
type Grafana struct {
	URL       string `yaml:"url"`
	TokenFile string `yaml:"token_file"`
}

// Policy says which alert may start which action on which clusters.
type Policy struct {
	Name              string          `yaml:"name"`
	Mode              string          `yaml:"mode"`     // plan, approve, enforce; empty: the program's --mode
	Matchers          []string        `yaml:"matchers"` // Alertmanager syntax; none: no alert starts it
	Clusters          []string        `yaml:"clusters"` // none named: none allowed
	Action            string          `yaml:"action"`
	Cooldown          time.Duration   `yaml:"cooldown"`         // default 6h; 0s in a file: none
	MaxRunsPerDay     int             `yaml:"max_runs_per_day"` // rolling 24 hours; default 4
	MaxDuration       time.Duration   `yaml:"max_duration"`     // of one run; default 1h
	StableFor         time.Duration   `yaml:"stable_for"`       // default 10m; recover_space 1m
	AllowSmallCluster bool            `yaml:"allow_small_cluster"`
	AcceptKnownIssues []string        `yaml:"accept_known_issues"` // etcd issue numbers
	AcceptUnknownDisk bool            `yaml:"accept_unknown_disk"`
	RequireQueries    []string        `yaml:"require_queries"` // PromQL
	RequireSnapshot   RequireSnapshot `yaml:"require_snapshot"`
	Defrag            *Defrag         `yaml:"defrag"`  // filled in for defrag and recover_space
	Compact           *Compact        `yaml:"compact"` // filled in for compact and recover_space
	PruneEvents       *PruneEvents    `yaml:"prune_events"`
	Snapshot          *Snapshot       `yaml:"snapshot"`
}

// Defrag are the parameters of a defragmentation.
type Defrag struct {
	MinReclaimable   Size          `yaml:"min_reclaimable"`   // bytes; default 100MiB
	MinFragmentation float64       `yaml:"min_fragmentation"` // 0 to 1; default 0.45
	Settle           time.Duration `yaml:"settle"`            // between members; default 30s
	MoveLeader       bool          `yaml:"move_leader"`       // default true
	MaxPause         time.Duration `yaml:"max_pause"`         // default 30s
}

// setDefaults fills in what a zero value cannot tell from an absent one.
func (d *Defrag) setDefaults() {
	*d = Defrag{
		MinReclaimable: DefaultMinReclaimable, MinFragmentation: DefaultMinFragmentation,
		Settle: DefaultSettle, MoveLeader: true, MaxPause: DefaultMaxPause,
	}
}

// Compact are the parameters of a compaction.
type Compact struct {
	Keep time.Duration `yaml:"keep"` // age of the youngest revision that may go; default 10m
}

// PruneEvents are the parameters of deleting old Kubernetes events.
type PruneEvents struct {
	Prefix             string        `yaml:"prefix"`          // ends in /events/ or /events/NAMESPACE/
	OlderThan          time.Duration `yaml:"older_than"`      // default 30m
	MaxKeys            int           `yaml:"max_keys"`        // a run; default 500000
	KeysPerSecond      int           `yaml:"keys_per_second"` // default 1000
	AcceptOpaqueValues bool          `yaml:"accept_opaque_values"`
}

// Snapshot are the parameters of taking a snapshot.
type Snapshot struct {
	Store string `yaml:"store"` // a directory store of every cluster of the policy
	Keep  int    `yaml:"keep"`  // own snapshots that stay; 0 (not given): all
}
