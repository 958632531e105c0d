// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"fmt"
	"slices"

	"github.com/coreos/go-semver/semver"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// catchUp is how many raft entries behind a member may be and not count as catching
// up. Members that are asked at almost the same time differ by a few.
const catchUp = 100

// hazard is a known issue of some versions that makes a kind of step dangerous.
type hazard struct {
	issue    string // in etcd's tracker
	kinds    []string
	ranges   [][2]string // the first version with it, and the first one without
	catching bool        // only while a member catches up
	what     string
}

// hazards keeps to the bounds of collector/knownissue.go, which are those of etcd's
// changelogs.
var hazards = []hazard{
	{"14685", []string{remediate.StepDefrag}, [][2]string{{"3.5.0", "3.5.6"}}, false, "a crash during a defragmentation makes revisions diverge"},
	{"11613", []string{remediate.StepDefrag}, [][2]string{{"3.4.0", "3.4.4"}}, false, "a defragmentation can corrupt data"},
	{"20650", []string{remediate.StepDefrag}, [][2]string{{"3.4.0", "3.4.38"}, {"3.5.0", "3.5.23"}, {"3.6.0", "3.6.5"}}, true, "a defragmentation while a member catches up can corrupt its database"},
	{"17780", []string{remediate.StepCompact}, [][2]string{{"3.4.0", "3.4.32"}, {"3.5.0", "3.5.14"}}, false, "a crash during a compaction can make the revision go backwards"},
}

// version refuses mixed versions, versions it cannot read, and those with a known
// issue that the step could meet, unless the policy accepts it (rule 6).
type version struct{}

func (version) Name() string { return "version" }

func (version) Check(_ context.Context, c *remediate.Cluster, s *remediate.Step) error {
	seen, err := observed(c)
	if err != nil {
		return err
	}
	v, err := oneVersion(seen)
	if err != nil {
		return err
	}
	for _, h := range hazards {
		if !concerns(c, s, h.kinds...) || slices.Contains(c.Policy.AcceptKnownIssues, h.issue) || !h.in(v) {
			continue
		}
		if h.catching {
			if slow := catching(seen); slow != "" {
				return remediate.RefuseFor(lagAgain, "etcd %s has issue %s (%s), and %s", v, h.issue, h.what, slow)
			}
			continue
		}
		return remediate.Refuse("etcd %s has issue %s (%s): upgrade, or name it in accept_known_issues", v, h.issue, h.what)
	}
	return nil
}

// oneVersion gives the version that all members run.
func oneVersion(seen *remediate.Observation) (*semver.Version, error) {
	var first remediate.Member
	for i, m := range seen.Members {
		if !m.Answers() {
			return nil, fmt.Errorf("the version of %s is not known: it does not answer", name(m))
		}
		if i == 0 {
			first = m
		}
		if m.Status.Version != first.Status.Version {
			return nil, remediate.Refuse("versions are mixed: %s runs %s, %s runs %s", name(first), plain(first.Status.Version), name(m), plain(m.Status.Version))
		}
	}
	v, err := semver.NewVersion(first.Status.Version)
	if err != nil {
		return nil, fmt.Errorf("%s is no version: %s", plain(first.Status.Version), plain(err.Error()))
	}
	if v.Major < 3 || v.Major == 3 && v.Minor < 4 {
		return nil, remediate.Refuse("etcd %s is older than 3.4, the first version that this program knows", v)
	}
	return v, nil
}

// in says whether a version has the hazard. A candidate for the first bad release
// has it, and one for the first good release may have it.
func (h hazard) in(v *semver.Version) bool {
	release := *v
	release.PreRelease, release.Metadata = "", ""
	return slices.ContainsFunc(h.ranges, func(r [2]string) bool {
		return !release.LessThan(*semver.New(r[0])) && v.LessThan(*semver.New(r[1]))
	})
}

// catching tells of a member that has not applied all; empty: there is none.
func catching(seen *remediate.Observation) string {
	head := headIndex(seen)
	for _, m := range seen.Members {
		switch {
		case !m.Started():
			return fmt.Sprintf("member %s has yet to join", etcd.FormatID(m.ID))
		case !m.Answers():
			return name(m) + " does not answer"
		case m.Status.RaftAppliedIndex == 0 || head-min(m.Status.RaftAppliedIndex, head) > catchUp:
			return name(m) + " is catching up"
		}
	}
	return ""
}
