// SPDX-License-Identifier: Apache-2.0

package collector

import "github.com/coreos/go-semver/semver"

// Issue is a known hazard of some versions of etcd.
type Issue struct {
	Number   string // in etcd's tracker, or the id of a security advisory
	Severity string // critical: data, quorum or access is at stake; warning: all else
	Ranges   []Versions
	What     string
}

// Versions is a range of releases: From is the first one with the hazard, Fixed the
// first one without.
type Versions struct{ From, Fixed string }

// issues lists hazards that an upgrade within the minor version ends; one that no
// release of the minor has fixed yet would only be an alert to be silenced. The
// bounds are those of etcd's changelogs (CHANGELOG/CHANGELOG-3.x.md) and release
// notes; where only a fix is named there, the range begins with the minor version.
var issues = []Issue{
	{"13766", "critical", []Versions{{"3.5.0", "3.5.3"}}, "a kill under load can leave members with different data for good"},
	{"14685", "critical", []Versions{{"3.5.0", "3.5.6"}}, "a crash during a defragmentation applies entries twice: revisions diverge"},
	{"20650", "critical", []Versions{{"3.4.0", "3.4.38"}, {"3.5.0", "3.5.23"}, {"3.6.0", "3.6.5"}}, "a defragmentation while the member applies its leader's snapshot can corrupt the database (issue 20271)"},
	{"17780", "critical", []Versions{{"3.4.0", "3.4.32"}, {"3.5.0", "3.5.14"}}, "a crash during a compaction can make the revision go backwards at the restart"},
	{"11613", "critical", []Versions{{"3.4.0", "3.4.4"}}, "a defragmentation can corrupt data"},
	{"14571", "critical", []Versions{{"3.5.5", "3.5.6"}}, "with auth, a member restored from a snapshot silently skips writes"},
	{"17529", "critical", []Versions{{"3.4.0", "3.4.31"}, {"3.5.0", "3.5.13"}}, "slow watchers lose events after a compaction"},
	{"20418", "critical", []Versions{{"3.4.0", "3.4.42"}, {"3.5.0", "3.5.28"}, {"3.6.0", "3.6.9"}}, "a linearizable read can be stale after the process was paused"},
	{"CVE-2026-33413", "critical", []Versions{{"3.4.0", "3.4.42"}, {"3.5.0", "3.5.28"}, {"3.6.0", "3.6.9"}}, "with auth, member list, alarms, leases and compaction are open to everybody"},
	{"CVE-2026-33343", "critical", []Versions{{"3.4.0", "3.4.42"}, {"3.5.0", "3.5.28"}, {"3.6.0", "3.6.9"}}, "with auth, nested transactions go past all key permissions"},
	{"CVE-2026-73500", "critical", []Versions{{"3.5.0", "3.5.33"}, {"3.6.0", "3.6.14"}, {"3.7.0", "3.7.1"}}, "idle TLS connections of anybody exhaust the memory"},
	{"14370", "warning", []Versions{{"3.4.0", "3.4.21"}, {"3.5.0", "3.5.5"}}, "a single-member cluster acknowledges writes before they are durable"},
	{"15247", "warning", []Versions{{"3.4.0", "3.4.31"}, {"3.5.0", "3.5.13"}}, "a stale leader revokes leases that are alive: their keys are lost"},
	{"15271", "warning", []Versions{{"3.4.0", "3.4.25"}, {"3.5.0", "3.5.8"}}, "a watch goes back in time after a member loads a snapshot"},
	{"15402", "warning", []Versions{{"3.5.0", "3.5.8"}}, "over TLS, heavy reads starve the watches of their connection"},
	{"18679", "warning", []Versions{{"3.5.0", "3.5.17"}}, "a transaction that fails can be kept in part before the panic"},
	{"18810", "warning", []Versions{{"3.4.0", "3.4.35"}, {"3.5.0", "3.5.17"}}, "a defragmentation on a full disk ends the process"},
	{"19179", "warning", []Versions{{"3.4.0", "3.4.36"}, {"3.5.0", "3.5.18"}}, "a watch opened at the revision being compacted misses a delete"},
	{"20616", "warning", []Versions{{"3.4.0", "3.4.38"}, {"3.5.0", "3.5.23"}, {"3.6.0", "3.6.5"}}, "renewing a revoked lease reports success"},
	{"20967", "warning", []Versions{{"3.5.0", "3.5.26"}}, "upgraded from here to 3.6, removed members come back: go to 3.5.26 first"},
	{"20387", "warning", []Versions{{"3.6.0", "3.6.4"}}, "a member fails to start when it replays a learner's promotion"},
	{"22340", "warning", []Versions{{"3.5.0", "3.5.35"}, {"3.6.0", "3.6.15"}, {"3.7.0", "3.7.2"}}, "after a power loss a received snapshot can be gone: the member does not start"},
	{"CVE-2026-44283", "warning", []Versions{{"3.4.0", "3.4.44"}, {"3.5.0", "3.5.30"}, {"3.6.0", "3.6.11"}}, "with auth, a put inside a transaction skips checks"},
	{"GHSA-xg4h-6gfc-h4m8", "warning", []Versions{{"3.5.0", "3.5.33"}, {"3.6.0", "3.6.14"}, {"3.7.0", "3.7.1"}}, "with auth, the right to one key allows to watch all later ones"},
}

// KnownIssues lists every hazard in the table.
func KnownIssues() []Issue { return issues }

// knownIssues gives the hazards of a version as Status prints it; of one that is
// no version, none.
func knownIssues(version string) []Issue {
	v, err := semver.NewVersion(version)
	if err != nil {
		return nil
	}
	var found []Issue
	for _, i := range issues {
		for _, r := range i.Ranges {
			if !v.LessThan(*semver.New(r.From)) && v.LessThan(*semver.New(r.Fixed)) {
				found = append(found, i)
				break
			}
		}
	}
	return found
}
