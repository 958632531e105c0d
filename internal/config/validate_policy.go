// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// blocks says which parameters an action takes; it also lists the actions.
var blocks = map[string][]string{
	ActionDefrag:       {"defrag"},
	ActionCompact:      {"compact"},
	ActionPruneEvents:  {"prune_events"},
	ActionDisarm:       {},
	ActionSnapshot:     {"snapshot"},
	ActionRecoverSpace: {"compact", "defrag", "prune_events"},
}

var actionNames = []string{ActionDefrag, ActionCompact, ActionPruneEvents, ActionDisarm, ActionSnapshot, ActionRecoverSpace}

// watcherPatience is how long Kubernetes' watchers count on old revisions.
const watcherPatience = 5 * time.Minute

func (c *checker) policy(path string, p *Policy, clusters []Cluster) {
	if err := checkName(p.Name); err != nil {
		c.fault(path+".name", "%v", err)
	}
	if !slices.Contains([]string{"", ModePlan, ModeApprove, ModeEnforce}, p.Mode) {
		c.fault(path+".mode", "%s is no mode: write plan, approve or enforce", quote(p.Mode))
	}
	c.texts(path+".matchers", p.Matchers, `a matcher, such as alertname="EtcdFragmented"`)
	c.texts(path+".require_queries", p.RequireQueries, "a PromQL expression")
	c.knownIssues(path+".accept_known_issues", p.AcceptKnownIssues)
	if p.Cooldown < 0 {
		c.fault(path+".cooldown", "must be zero (none) or more")
	}
	if p.Cooldown == 0 && !c.given(path+".cooldown") {
		p.Cooldown = DefaultCooldown
	}
	c.atLeastOne(path+".max_runs_per_day", &p.MaxRunsPerDay, DefaultMaxRunsPerDay)
	c.positive(path+".max_duration", &p.MaxDuration, DefaultMaxDuration)
	stable := DefaultStableFor
	if p.Action == ActionRecoverSpace {
		stable = DefaultStableForRecover
	}
	c.positive(path+".stable_for", &p.StableFor, stable)

	allowed := c.allowed(path+".clusters", p.Clusters, clusters)
	c.action(path, p, allowed)
	c.requireSnapshot(path+".require_snapshot", *p, allowed)
}

// texts checks a list of non-empty texts.
func (c *checker) texts(path string, in []string, want string) {
	for i, s := range in {
		if strings.TrimSpace(s) == "" {
			c.fault(fmt.Sprintf("%s[%d]", path, i), "is empty: write %s", want)
		}
	}
}

var issueNumber = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)

func (c *checker) knownIssues(path string, in []string) {
	for i, s := range in {
		if !issueNumber.MatchString(s) {
			c.fault(fmt.Sprintf("%s[%d]", path, i), `%s is no issue number: write one such as "14685"`, quote(s))
		}
	}
}

// allowed finds the clusters that a policy names.
func (c *checker) allowed(path string, names []string, clusters []Cluster) []Cluster {
	var out []Cluster
	seen := c.unique()
	for i, name := range names {
		where := fmt.Sprintf("%s[%d]", path, i)
		seen.check(where, name)
		at := slices.IndexFunc(clusters, func(cl Cluster) bool { return cl.Name == name })
		switch {
		case name == "":
			c.fault(where, "is empty: name a cluster")
		case at < 0:
			c.fault(where, "no cluster is called %s: name one of those under clusters", quote(name))
		default:
			out = append(out, clusters[at])
		}
	}
	return out
}

// action checks the parameters of the policy's action and completes them.
func (c *checker) action(path string, p *Policy, allowed []Cluster) {
	takes, known := blocks[p.Action]
	switch {
	case p.Action == "":
		c.fault(path+".action", "is needed: write %s", strings.Join(actionNames, ", "))
	case !known:
		c.fault(path+".action", "%s is no action: write %s", quote(p.Action), strings.Join(actionNames, ", "))
	}
	for _, b := range []struct {
		name  string
		given bool
	}{
		{"defrag", p.Defrag != nil},
		{"compact", p.Compact != nil},
		{"prune_events", p.PruneEvents != nil},
		{"snapshot", p.Snapshot != nil},
	} {
		if known && b.given && !slices.Contains(takes, b.name) {
			c.fault(path+"."+b.name, "does not fit the action %s: remove it, or change the action", p.Action)
		}
	}
	if slices.Contains(takes, "defrag") {
		p.Defrag = c.defrag(path+".defrag", p.Defrag)
	}
	if slices.Contains(takes, "compact") {
		p.Compact = c.compact(path+".compact", p.Compact)
	}
	if p.Action == ActionPruneEvents && p.PruneEvents == nil {
		c.fault(path+".prune_events", "is needed for this action: write prune_events: {prefix: /registry/events/}")
	}
	if p.Action == ActionSnapshot && p.Snapshot == nil {
		c.fault(path+".snapshot", "is needed for this action: write snapshot: {store: NAME}")
	}
	p.PruneEvents = c.pruneEvents(path+".prune_events", p.PruneEvents)
	p.Snapshot = c.snapshot(path+".snapshot", p.Snapshot, allowed)
}

func (c *checker) defrag(path string, in *Defrag) *Defrag {
	out := Defrag{}
	out.setDefaults()
	if in == nil {
		return &out
	}
	out = *in
	if out.MinReclaimable < 0 {
		c.fault(path+".min_reclaimable", "must be zero or more")
	}
	if out.MinFragmentation < 0 || out.MinFragmentation > 1 {
		c.fault(path+".min_fragmentation", "must be between 0 and 1, such as 0.45")
	}
	if out.Settle < 0 {
		c.fault(path+".settle", "must be zero or more")
	}
	c.positive(path+".max_pause", &out.MaxPause, DefaultMaxPause)
	return &out
}

func (c *checker) compact(path string, in *Compact) *Compact {
	out := Compact{}
	if in != nil {
		out = *in
	}
	c.positive(path+".keep", &out.Keep, DefaultCompactKeep)
	if out.Keep > 0 && out.Keep < watcherPatience {
		c.warn(path+".keep", "below 5m: Kubernetes' watchers may lose their place and list everything again")
	}
	return &out
}

func (c *checker) pruneEvents(path string, in *PruneEvents) *PruneEvents {
	if in == nil {
		return nil
	}
	out := *in
	if err := checkPrunePrefix(out.Prefix); err != nil {
		c.fault(path+".prefix", "%v", err)
	}
	c.positive(path+".older_than", &out.OlderThan, DefaultPruneOlderThan)
	c.atLeastOne(path+".max_keys", &out.MaxKeys, DefaultPruneMaxKeys)
	c.atLeastOne(path+".keys_per_second", &out.KeysPerSecond, DefaultPruneKeysPerSec)
	return &out
}

func (c *checker) snapshot(path string, in *Snapshot, allowed []Cluster) *Snapshot {
	if in == nil {
		return nil
	}
	out := *in
	if out.Keep < 0 || out.Keep == 0 && c.given(path+".keep") {
		c.fault(path+".keep", "must be 1 or more: the snapshot just taken is never removed (leave it out to keep all)")
	}
	if out.Store == "" {
		c.fault(path+".store", "is needed: name a directory store of the policy's clusters")
		return &out
	}
	for _, cluster := range allowed {
		at := slices.IndexFunc(cluster.Backups, func(b Backup) bool { return b.Name == out.Store })
		switch {
		case at < 0:
			c.fault(path+".store", "cluster %s has no backup store called %s", cluster.Name, quote(out.Store))
		case cluster.Backups[at].Path == "" || cluster.Backups[at].Glob:
			c.fault(path+".store", "the store %s of cluster %s is no directory: snapshots are written to directories only", quote(out.Store), cluster.Name)
		default:
			continue
		}
		break // one cluster says enough
	}
	return &out
}

// requireSnapshot makes the policies that delete say which snapshot they need.
func (c *checker) requireSnapshot(path string, p Policy, allowed []Cluster) {
	deletes := p.Action == ActionPruneEvents || p.Action == ActionRecoverSpace && p.PruneEvents != nil
	r := p.RequireSnapshot
	switch {
	case deletes && !r.Given():
		c.fault(path, "is needed, because events are deleted: write an age such as 24h, or off")
	case r.Given() && p.Action == ActionSnapshot:
		c.fault(path, "does not fit the action snapshot: remove it")
	case r.MaxAge > 0:
		for _, cluster := range allowed {
			if len(cluster.Backups) == 0 {
				c.fault(path, "cluster %s has no backups, so no run could start: name a store there, or write off", cluster.Name)
				return
			}
		}
	}
}
