// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// TestSnapshotRetention: only what the journal says is ours, and still looks like it,
// is ever removed.
func TestSnapshotRetention(t *testing.T) {
	s := newShelf(t)
	oldest := s.put(t, "prod-20261119T120000Z.db", 96*time.Hour)
	old := s.put(t, "prod-20261120T120000Z.db", 72*time.Hour)
	newer := s.put(t, "prod-20261122T120000Z.db", 24*time.Hour)
	others := []string{
		s.put(t, "by-hand.db", 100*time.Hour),                  // in the journal by mistake
		s.put(t, "prod-20261121T120000Z.db", 48*time.Hour),     // of a name like ours, and not in the journal
		s.put(t, "prod-20261101T120000Z.db", 22*24*time.Hour),  // the journal has one of that name elsewhere
		s.put(t, "other-20261101T120000Z.db", 22*24*time.Hour), // another cluster's
	}
	elsewhere := filepath.Join(t.TempDir(), "prod-20261101T120000Z.db")
	if err := os.WriteFile(elsewhere, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(s.dir, "prod-20261102T120000Z.db")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	s.snapshots = []string{
		others[0], others[3], elsewhere, link, filepath.Join(s.dir, "..", filepath.Base(s.dir), "prod-20261119T120000Z.db"),
		filepath.Join(s.dir, "prod-20261118T120000Z.db"), // gone
		oldest, old, newer, newer,
	}
	run := s.take(t.Context(), t)
	wantOutcome(t, run, remediate.Succeeded, "")
	if want := []string{oldest, old}; !slices.Equal(run.Steps[0].Removed, want) {
		t.Errorf("removed %q, want %q", run.Steps[0].Removed, want)
	}
	for _, file := range append(others, elsewhere, link, newer, run.Steps[0].File) {
		if _, err := os.Lstat(file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, file := range []string{oldest, old} {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", file, err)
		}
	}
}

func TestSnapshotKeepsAll(t *testing.T) {
	s := newShelf(t)
	s.cluster.Policy.Snapshot.Keep = 0
	s.snapshots = []string{s.put(t, "prod-20261119T120000Z.db", 96*time.Hour)}
	wantOutcome(t, s.take(t.Context(), t), remediate.Succeeded, "")
	if got := s.files(t); len(got) != 2 {
		t.Errorf("files %q", got)
	}
}

// TestSnapshotSweeps: what a crash left an hour ago goes, and nothing else.
func TestSnapshotSweeps(t *testing.T) {
	s := newShelf(t)
	s.put(t, ".partial-prod-20261123T100000Z.db", 2*time.Hour)
	stay := []string{
		".partial-other-20261123T100000Z.db",
		".partial-prod-20261123T113000Z.db", // half an hour old
		".partial-prod-b-20261123T100000Z.db",
		".partial-prod-yesterday.db",
		".partial-x",
		"prod-20261123T100000Z.db",
	}
	for _, name := range stay {
		age := 2 * time.Hour
		if strings.Contains(name, "T1130") {
			age = 30 * time.Minute
		}
		s.put(t, name, age)
	}
	wantOutcome(t, s.take(t.Context(), t), remediate.Succeeded, "")
	want := slices.Sorted(slices.Values(append(stay, noonName)))
	if got := s.files(t); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestSnapshotNames(t *testing.T) {
	tests := []struct{ cluster, want string }{
		{"prod", "prod-20261123T120000Z.db"},
		{"eu-west.1_a", "eu-west.1_a-20261123T120000Z.db"},
		{"../../etc/passwd", "_.._etc_passwd-"},
		{"", "cluster-"},
		{".hidden", "hidden-"},
		{"prod/a", "prod_a-"},
		{"prod a", "prod_a-"},
		{strings.Repeat("long", 100), strings.Repeat("long", 25) + "-"},
		{"Köln\n", "K_ln_-"},
	}
	seen := map[string]bool{}
	for _, test := range tests {
		name := snapshotName(test.cluster, noon)
		if !strings.HasPrefix(name, test.want) || strings.ContainsAny(name, "/\n") || len(name) > 200 {
			t.Errorf("%q gives %q, want %s...", test.cluster, name, test.want)
		}
		if seen[name] {
			t.Errorf("%q gives %q, as another does", test.cluster, name)
		}
		seen[name] = true
		if !isOwnName(test.cluster, name) || isOwnName(test.cluster+"x", name) || isOwnName(test.cluster, "x"+name) || isOwnName(test.cluster, name+"x") {
			t.Errorf("%q: own names are not told from others", name)
		}
	}
	if isOwnName("prod", "prod-b-20261123T120000Z.db") || isOwnName("prod", "prod-20261323T120000Z.db") {
		t.Error("another cluster's, or a time that is none, is taken for our own")
	}
}
