// SPDX-License-Identifier: Apache-2.0

package web

import (
	"time"

	"github.com/etcdops/etcdops/remediate"
)

const (
	gib = 1 << 30
	mib = 1 << 20
)

// busy is a bad night: something of everything that the page can show.
func busy() subject {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	defragmentation := remediate.Run{
		ID: "20261124T030412Z-4f1c", Cluster: "prod", Policy: "reclaim", Action: "defrag", Mode: "enforce",
		Trigger:    remediate.Trigger{Kind: remediate.TriggerAlert, Alert: "EtcdFragmented", Fingerprint: "cc3c9ebc00ae7b7c"},
		AcceptedAt: ago(170 * time.Second), StartedAt: ago(168 * time.Second),
		Guards: []remediate.Verdict{{Guard: "members", Verdict: remediate.Allow}, {Guard: "health", Verdict: remediate.Allow}, {Guard: "stable", Verdict: remediate.Allow}},
		Steps: []*remediate.Step{
			{Action: "defrag", URL: "https://10.0.0.2:2379", Member: "etcd-2", Reason: "1.5 GiB of 2.1 GiB reclaimable (71 %)", StartedAt: ago(160 * time.Second), FinishedAt: ago(148 * time.Second), BeforeBytes: 21 * gib / 10, AfterBytes: 640 * mib, Estimate: 3 * gib / 2},
			{Action: "defrag", URL: "https://10.0.0.3:2379", Member: "etcd-3", Reason: "1.4 GiB of 2 GiB reclaimable (70 %)", StartedAt: ago(8 * time.Second), BeforeBytes: 2 * gib, Estimate: 14 * gib / 10},
		},
	}
	prune := remediate.Run{
		ID: "20261124T021500Z-90aa", Cluster: "prod", Policy: "flood", Action: "prune_events", Mode: "approve",
		Trigger:    remediate.Trigger{Kind: remediate.TriggerAlert, Alert: "EtcdEventsFlood", Fingerprint: "8e5c42cd4e06b5ef"},
		AcceptedAt: ago(52 * time.Minute), StartedAt: ago(52 * time.Minute), FinishedAt: ago(46 * time.Minute), Outcome: remediate.Failed,
		Reason: "prune_events on etcd-2: pressure: the member's memory grew by 31 % and did not fall within 30 s",
		Guards: []remediate.Verdict{{Guard: "members", Verdict: remediate.Allow}, {Guard: "clock", Verdict: remediate.Unsure, Reason: "etcd-3: no Date header: context deadline exceeded"}, {Guard: "snapshot", Verdict: remediate.Refusal, Reason: "the newest sound snapshot is 31 h old, older than 24 h"}},
		Steps: []*remediate.Step{
			{
				Action: "prune_events", URL: "https://10.0.0.2:2379", Member: "etcd-2", Reason: "18,204 events older than 30 m in the first window", StartedAt: ago(51 * time.Minute), FinishedAt: ago(50 * time.Minute), Keys: 18204, Kept: 312, Revision: 18734512,
				Sample: &remediate.Sample{Events: 1000, Reasons: map[string]int{"BackOff": 812, "FailedScheduling": 120, "Pulled": 40, "Created": 20, "Started": 8}, Sources: map[string]int{"kubelet": 880, "default-scheduler": 120}, Namespaces: map[string]int{"argo-workflows-production": 970, "kube-system": 30}},
			},
			{Action: "prune_events", URL: "https://10.0.0.2:2379", Member: "etcd-2", Reason: "17,990 events older than 30 m in the next window", StartedAt: ago(50 * time.Minute), FinishedAt: ago(46 * time.Minute), Keys: 2048, Error: "pressure: the member's memory grew by 31 %"},
		},
	}
	return subject{
		Now: now, Version: "0.4.0", Heartbeat: ago(41 * time.Minute),
		State: State{
			Mode: "enforce", Election: true, Leader: true, Holder: "remediator-0", QueueLength: 1,
			Policies: []Policy{
				{Name: "reclaim", Action: "defrag", Mode: "enforce", Matchers: `{alertname="EtcdFragmented"}`, Cooldown: 6 * time.Hour, Budget: 4, Clusters: []Standing{
					{Cluster: "prod", BudgetLeft: 3, Firing: true},
					{Cluster: "staging", BudgetLeft: 2, CooldownUntil: now.Add(5*time.Hour + 12*time.Minute), BreakerOpen: true, BreakerWhy: "two runs brought 12 MiB of 3.1 GiB"},
				}},
				{Name: "flood", Action: "prune_events", Mode: "approve", Matchers: `{alertname="EtcdEventsFlood"}`, Cooldown: 6 * time.Hour, Budget: 4, Clusters: []Standing{{Cluster: "prod", Firing: true}}},
				{Name: "full", Action: "recover_space", Mode: "plan", Matchers: `{alertname="EtcdAlarmNoSpace"}`, Budget: 4, Clusters: []Standing{{Cluster: "prod", BudgetLeft: 4}}},
				{Name: "backup", Action: "snapshot", Mode: "enforce", Matchers: `{alertname=~"EtcdBackup(TooOld|Missing)",store="local"}`, Cooldown: time.Hour, Budget: 4},
			},
			Intents: []Intent{
				{Policy: "reclaim", Cluster: "prod", Alert: "EtcdFragmented", Since: ago(170 * time.Second)},
				{Policy: "flood", Cluster: "prod", Alert: "EtcdEventsFlood", Since: ago(time.Hour), Tries: 4, Next: now.Add(9 * time.Minute), LastReason: "snapshot: the newest sound snapshot is 31 h old, older than 24 h"},
			},
			Running: []Running{{Run: defragmentation, Done: 730 * mib, All: 2 * gib}},
		},
		Runs: []remediate.Run{
			defragmentation,
			{
				ID: "20261124T025900Z-11ab", Cluster: "staging", Policy: "flood", Action: "prune_events", Mode: "approve", Trigger: remediate.Trigger{Kind: remediate.TriggerAlert, Alert: "EtcdEventsFlood"},
				AcceptedAt: ago(8 * time.Minute), StartedAt: ago(8 * time.Minute), Outcome: remediate.AwaitingApproval, ExpiresAt: now.Add(22 * time.Minute), Reason: "2 steps are planned",
				Steps: []*remediate.Step{{Action: "prune_events", Member: "etcd-a", URL: "https://10.1.0.1:2379", Reason: "events older than 30 m below /registry/events/", Keys: 52000}, {Action: "wait", Reason: "until the last delete is 10 m old"}},
			},
			prune,
			{
				ID: "20261123T210000Z-77c1", Cluster: "prod", Policy: "backup", Action: "snapshot", Mode: "enforce", Trigger: remediate.Trigger{Kind: remediate.TriggerAlert, Alert: "EtcdBackupTooOld"},
				AcceptedAt: ago(6 * time.Hour), StartedAt: ago(6 * time.Hour), FinishedAt: ago(6*time.Hour - 21*time.Second), Outcome: remediate.Succeeded,
				Steps: []*remediate.Step{{Action: "snapshot", URL: "https://10.0.0.3:2379", Member: "etcd-3", Reason: "to the store local", StartedAt: ago(6 * time.Hour), FinishedAt: ago(6*time.Hour - 21*time.Second), BeforeBytes: 2 * gib, Keys: 412345, Revision: 18511020, File: "/var/backups/etcd/prod-20261123T210000Z.db", Removed: []string{"/var/backups/etcd/prod-20261116T210000Z.db"}}},
			},
			{
				ID: "20261123T110000Z-0d0d", Cluster: "prod", Action: "disarm", Mode: "enforce", Trigger: remediate.Trigger{Kind: remediate.TriggerHand, By: "root"}, Outcome: remediate.Refused, Reason: "corrupt: the alarm CORRUPT is raised", AcceptedAt: ago(16 * time.Hour), FinishedAt: ago(16 * time.Hour),
				Guards: []remediate.Verdict{{Guard: "corrupt", Verdict: remediate.Refusal, Reason: "the alarm CORRUPT is raised on etcd-1: only a person can help"}},
			},
			{ID: "20261122T110000Z-1e1e", Cluster: "prod", Policy: "reclaim", Action: "defrag", Mode: "enforce", Trigger: remediate.Trigger{Kind: remediate.TriggerAlert, Alert: "EtcdFragmented"}, Outcome: remediate.NothingToDo, AcceptedAt: ago(40 * time.Hour), StartedAt: ago(40 * time.Hour), FinishedAt: ago(40 * time.Hour)},
			{ID: "20261121T110000Z-2f2f", Cluster: "staging", Policy: "reclaim", Action: "defrag", Mode: "enforce", Trigger: remediate.Trigger{Kind: remediate.TriggerAlert, Alert: "EtcdFragmented"}, Outcome: remediate.Interrupted, Interrupted: true, Reason: "the program ended", AcceptedAt: ago(64 * time.Hour), StartedAt: ago(64 * time.Hour), FinishedAt: ago(64 * time.Hour)},
		},
	}
}

// quiet is a program with nothing to do.
func quiet() subject {
	return subject{Now: now, Version: "0.4.0", State: State{Mode: "plan", Leader: true}}
}
