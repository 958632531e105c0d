// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"cmp"
	"regexp"
	"slices"
)

// issueView is one known hazard of a member's version.
type issueView struct {
	Number   string
	Severity string
	Level    level
	Link     string // where it can be read; empty: nowhere known
}

// trackers are the forms of a hazard's number and where each is described. The
// forms are strict, since the number becomes a part of a link.
var trackers = []struct {
	form           *regexp.Regexp
	prefix, shared string
}{
	{regexp.MustCompile(`^[0-9]{1,9}$`), "#", "https://github.com/etcd-io/etcd/issues/"},
	{regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,9}$`), "", "https://www.cve.org/CVERecord?id="},
	{regexp.MustCompile(`^GHSA(-[0-9a-z]{4}){3}$`), "", "https://github.com/advisories/"},
}

func newIssueView(number, severity string) issueView {
	v := issueView{Number: clean(number), Severity: clean(severity), Level: warning}
	if severity == "critical" {
		v.Level = bad
	}
	for _, t := range trackers {
		if t.form.MatchString(number) {
			v.Number, v.Link = t.prefix+number, t.shared+number
		}
	}
	return v
}

// sortIssues puts the critical ones first and gives their number.
func sortIssues(issues []issueView) (critical int) {
	slices.SortStableFunc(issues, func(a, b issueView) int { return cmp.Compare(b.Level, a.Level) })
	for _, i := range issues {
		if i.Level == bad {
			critical++
		}
	}
	return critical
}
