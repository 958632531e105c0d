// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/alertmanager/timeinterval"
	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/webhook"
)

// under gives the mode that is allowed under the program's ceiling.
func under(ceiling, mode string) string {
	if mode == "" || slices.Index(remediate.Modes, mode) > slices.Index(remediate.Modes, ceiling) {
		return ceiling
	}
	return mode
}

// policy is a configured policy in the words of package remediate.
func policy(p config.Policy, ceiling string) remediate.Policy {
	out := remediate.Policy{
		Name: p.Name, Mode: under(ceiling, p.Mode), Clusters: p.Clusters, Action: p.Action,
		Cooldown: p.Cooldown, MaxRunsPerDay: p.MaxRunsPerDay, MaxDuration: p.MaxDuration, StableFor: p.StableFor,
		AllowSmallCluster: p.AllowSmallCluster, AcceptKnownIssues: p.AcceptKnownIssues,
		AcceptUnknownDisk: p.AcceptUnknownDisk, RequireQueries: p.RequireQueries, RequireSnapshot: p.RequireSnapshot.MaxAge,
		Defrag: defragDefaults(), Compact: remediate.Compact{Keep: config.DefaultCompactKeep},
	}
	if d := p.Defrag; d != nil {
		out.Defrag = remediate.Defrag{
			MinReclaimable: int64(d.MinReclaimable), MinFragmentation: d.MinFragmentation,
			Settle: d.Settle, MoveLeader: d.MoveLeader, MaxPause: d.MaxPause,
		}
	}
	if p.Compact != nil {
		out.Compact.Keep = p.Compact.Keep
	}
	if e := p.PruneEvents; e != nil {
		out.PruneEvents = &remediate.PruneEvents{
			Prefix: e.Prefix, OlderThan: e.OlderThan, MaxKeys: e.MaxKeys,
			KeysPerSecond: e.KeysPerSecond, AcceptOpaqueValues: e.AcceptOpaqueValues,
		}
	}
	if p.Snapshot != nil {
		out.Snapshot = &remediate.Snapshot{Store: p.Snapshot.Store, Keep: p.Snapshot.Keep}
	}
	return out
}

func defragDefaults() remediate.Defrag {
	return remediate.Defrag{
		MinReclaimable: int64(config.DefaultMinReclaimable), MinFragmentation: config.DefaultMinFragmentation,
		Settle: config.DefaultSettle, MoveLeader: true, MaxPause: config.DefaultMaxPause,
	}
}

// defaults are the parameters of an action by hand that no policy describes; false
// for those that need one.
func defaults(action string) (remediate.Policy, bool) {
	if slices.Contains([]string{remediate.ActionPruneEvents, remediate.ActionSnapshot}, action) {
		return remediate.Policy{}, false
	}
	p := config.Policy{
		Action: action, Cooldown: config.DefaultCooldown, MaxRunsPerDay: config.DefaultMaxRunsPerDay,
		MaxDuration: config.DefaultMaxDuration, StableFor: config.DefaultStableFor,
	}
	if action == remediate.ActionRecoverSpace {
		p.StableFor = config.DefaultStableForRecover
	}
	return policy(p, remediate.ModeEnforce), true
}

// policies converts all, and finds what only Alertmanager's packages know to be wrong.
func policies(r *config.Remediation, ceiling string) (all []remediate.Policy, rules []webhook.Rule, err error) {
	var errs []error
	for i, p := range r.Policies {
		converted := policy(p, ceiling)
		matchers, err := webhook.CompileMatchers(p.Matchers)
		if err != nil {
			errs = append(errs, fmt.Errorf("remediation.policies[%d].matchers: %w", i, err))
		}
		all = append(all, converted)
		rules = append(rules, webhook.Rule{Policy: converted, Matchers: matchers})
	}
	return all, rules, errors.Join(errs...)
}

// windows reads the time intervals in which alerts may start runs.
func windows(r *config.Remediation) ([]timeinterval.TimeInterval, error) {
	var all []timeinterval.TimeInterval
	var errs []error
	for i, raw := range r.Windows {
		text, err := raw.YAML()
		var one timeinterval.TimeInterval
		if err == nil {
			decoder := yaml.NewDecoder(bytes.NewReader(text))
			decoder.KnownFields(true)
			err = decoder.Decode(&one)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("remediation.windows[%d]: %w", i, err))
			continue
		}
		all = append(all, one)
	}
	return all, errors.Join(errs...)
}
