// SPDX-License-Identifier: Apache-2.0

// Package table lists the remediator's metrics: its registry and docs/metrics.md are
// both made from it. It imports nothing of the program, so that writing the
// documentation links nothing that changes etcd.
package table

// Namespace is the prefix of every metric.
const Namespace = "etcdops_remediation_"

// Kind is a metric's type, as Prometheus calls it.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Metric is one row.
type Metric struct {
	Name   string // without the namespace
	Help   string
	Kind   Kind
	Labels []string
}

// FullName is the name as it is scraped.
func (m Metric) FullName() string { return Namespace + m.Name }

// The names.
const (
	Runs            = "runs_total"
	Refused         = "refused_total"
	InProgress      = "in_progress"
	LastRun         = "last_run_timestamp_seconds"
	Duration        = "duration_seconds"
	ReclaimedBytes  = "reclaimed_bytes_total"
	PrunedKeys      = "pruned_keys_total"
	BudgetRemaining = "budget_remaining"
	BreakerOpen     = "breaker_open"
	AlertFiring     = "alert_firing"
	Paused          = "paused"
	Leader          = "leader"
	Mode            = "mode"
	QueueLength     = "queue_length"
	Heartbeat       = "heartbeat_timestamp_seconds"
	WebhookRequests = "webhook_requests_total"
	WebhookAlerts   = "webhook_alerts_total"
	TruncatedAlerts = "webhook_truncated_alerts_total"
)

// Metrics are all of them, in the order of their documentation.
func Metrics() []Metric {
	return []Metric{
		{Runs, "Runs that came to an outcome. outcome: succeeded, failed, refused (by a guard), planned (mode plan), nothing_to_do, interrupted (by the program's end), awaiting_approval, expired (not approved in time). policy is empty for a run by hand without one.", Counter, []string{"cluster", "policy", "action", "outcome"}},
		{Refused, "Refusals, by the guard that refused first. An accepted alert is tried again until it is resolved, so that one alert may count many.", Counter, []string{"cluster", "policy", "guard"}},
		{InProgress, "Runs under way.", Gauge, []string{"cluster", "action"}},
		{LastRun, "Unix time at which a run last came to that outcome, also in an earlier process; 0: never.", Gauge, []string{"cluster", "policy", "outcome"}},
		{Duration, "How long runs took from their first look to their end, waits included.", Histogram, []string{"action"}},
		{ReclaimedBytes, "Bytes by which defragmentations made database files smaller, summed over members.", Counter, []string{"cluster"}},
		{PrunedKeys, "Keys that were deleted.", Counter, []string{"cluster"}},
		{BudgetRemaining, "Runs that the policy may still make on the cluster: max_runs_per_day less those of the last 24 hours that changed something.", Gauge, []string{"cluster", "policy"}},
		{BreakerOpen, "1 while the policy is held back from the cluster, because two runs brought less than a tenth of what they should; POST /-/resume closes it.", Gauge, []string{"cluster", "policy"}},
		{AlertFiring, "1 while an alert that starts the policy on the cluster fires.", Gauge, []string{"cluster", "policy"}},
		{Paused, "1 while a person has paused every run.", Gauge, nil},
		{Leader, "1 while this process is the one that may act; always without an election.", Gauge, nil},
		{Mode, "1 for the mode of --mode, the ceiling of every policy's: plan, approve, enforce.", Gauge, []string{"mode"}},
		{QueueLength, "Runs that wait for their turn.", Gauge, nil},
		{Heartbeat, "Unix time at which the alert EtcdRemediationHeartbeat last came by the webhook; 0: not since the start of the process.", Gauge, nil},
		{WebhookRequests, "Requests to the webhook by the code of their answer. Those that the server refuses before (certificates, basic auth) are not among them.", Counter, []string{"code"}},
		{WebhookAlerts, "Alerts in accepted requests. status: firing, resolved; matched: whether they started or ended at least one policy's. The heartbeat counts as not matched.", Counter, []string{"status", "matched"}},
		{TruncatedAlerts, "Alerts that Alertmanager says it left out of its requests, by max_alerts.", Counter, nil},
	}
}

// DurationBuckets are those of the histogram, in seconds: from a disarm to a prune
// that waits for its compaction.
func DurationBuckets() []float64 {
	return []float64{1, 3, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400}
}
