// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"regexp"
	"slices"
	"testing"

	"github.com/coreos/go-semver/semver"
)

func numbers(version string) []string {
	found := []string{}
	for _, i := range knownIssues(version) {
		found = append(found, i.Number)
	}
	return found
}

// TestIssuesAreWellFormed: a bound that is no version would panic in a scrape.
func TestIssuesAreWellFormed(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^(\d{4,5}|CVE-\d{4}-\d{4,}|GHSA(-[0-9a-z]{4}){3})$`)
	seen := map[string]bool{}
	for _, i := range issues {
		if !name.MatchString(i.Number) || seen[i.Number] {
			t.Errorf("issue %q is no number or listed twice", i.Number)
		}
		seen[i.Number] = true
		if i.Severity != "critical" && i.Severity != "warning" {
			t.Errorf("issue %s has severity %q", i.Number, i.Severity)
		}
		if i.What == "" || len(i.Ranges) == 0 {
			t.Errorf("issue %s says too little", i.Number)
		}
		for _, r := range i.Ranges {
			checkRange(t, i, r)
		}
	}
}

// checkRange: from is in, fixed is out, and both are of one minor version, since
// an upgrade within it is what the table promises to help.
func checkRange(t *testing.T, i Issue, r Versions) {
	t.Helper()
	from, err := semver.NewVersion(r.From)
	if err != nil {
		t.Fatalf("issue %s: %v", i.Number, err)
	}
	fixed, err := semver.NewVersion(r.Fixed)
	if err != nil {
		t.Fatalf("issue %s: %v", i.Number, err)
	}
	if from.Major != fixed.Major || from.Minor != fixed.Minor || !from.LessThan(*fixed) {
		t.Errorf("issue %s: range from %s to %s", i.Number, from, fixed)
	}
	last := *fixed
	last.Patch--
	for version, want := range map[string]bool{
		from.String(): true, last.String(): true, fixed.String(): false,
		from.String() + "-rc.0": false,
	} {
		if got := slices.Contains(numbers(version), i.Number); got != want {
			t.Errorf("issue %s in %s: %v, want %v", i.Number, version, got, want)
		}
	}
}

func TestKnownIssues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		version string
		has     []string
		hasNot  []string
	}{
		{"3.5.5", []string{"14685", "14571"}, []string{"13766", "14370"}},
		{"3.5.6", []string{"18679"}, []string{"14685", "14571"}},
		{"3.5.2", []string{"13766"}, nil},
		{"3.5.3", nil, []string{"13766"}},
		{"3.4.31", []string{"17780"}, nil},
		{"3.4.32", nil, []string{"17780"}},
		{"3.5.13", []string{"17780"}, nil},
		{"3.5.14", nil, []string{"17780"}},
		{"3.6.4", []string{"20650"}, []string{"20387"}},
		{"3.6.5", nil, []string{"20650"}},
		{"3.5.22", []string{"20650"}, nil},
		{"3.5.23", nil, []string{"20650"}},
		{"3.4.37", []string{"20650"}, nil},
		{"3.4.38", nil, []string{"20650"}},
		{"3.5.5+vendor.1", []string{"14685"}, nil}, // a rebuild is what it was built from
	}
	for _, tt := range tests {
		got := numbers(tt.version)
		for _, number := range tt.has {
			if !slices.Contains(got, number) {
				t.Errorf("%s does not have %s", tt.version, number)
			}
		}
		for _, number := range tt.hasNot {
			if slices.Contains(got, number) {
				t.Errorf("%s has %s", tt.version, number)
			}
		}
	}
}

// TestNoIssuesOfNoVersion: what is no release has none that we know.
func TestNoIssuesOfNoVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []string{
		"", "3", "3.5", "v3.5.5", "3.5.5.5", "-3.5.5", "3.-5.5", "three", "3.5.x", "3.5.5 ", "99999999999999999999.5.5",
		"\x00\xff", "3.5.5\n", "3.6.0-rc.1", "3.6.0-alpha.0", "3.7.0-rc.0", "3.8.0", "4.0.0", "3.3.27", "2.3.8", "3.6.16", "3.7.3", "3.5.35",
	} {
		if got := numbers(version); len(got) != 0 {
			t.Errorf("%q has %v", version, got)
		}
	}
}
