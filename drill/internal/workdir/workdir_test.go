// SPDX-License-Identifier: Apache-2.0

package workdir

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func names(t *testing.T, directory string) []string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func newDir(t *testing.T, parent string) *Dir {
	t.Helper()
	d, err := New(parent, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// kill leaves a directory as a killed drill does: with its data, without its lock.
func kill(t *testing.T, d *Dir) string {
	t.Helper()
	path := filepath.Join(d.Path, "member", "snap")
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "db"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Lock.Close(); err != nil {
		t.Fatal(err)
	}
	return d.name
}

// TestLeftOvers: the next drill removes what a killed one left, and leaves alone what
// a living one uses.
func TestLeftOvers(t *testing.T) {
	parent := t.TempDir()
	living, killed := newDir(t, parent), newDir(t, parent)
	gone := kill(t, killed)
	d := newDir(t, parent)
	if all := names(t, parent); slices.Contains(all, gone) || !slices.Contains(all, living.name) || len(all) != 2 {
		t.Errorf("%v are there; want %s and %s", all, living.name, d.name)
	}
	for _, d := range []*Dir{living, d} {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	}
	if all := names(t, parent); len(all) > 0 {
		t.Errorf("%v are left", all)
	}
}

// TestForeign: what a drill did not make stays, whatever it is called.
func TestForeign(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, lockName), []byte(marker), 0o600); err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	for name, place := range map[string]func(path string) error{
		prefix + "1": func(path string) error { return os.WriteFile(path, []byte(marker), 0o600) },
		prefix + "2": func(path string) error { return os.Symlink(outside, path) },
		prefix + "3": func(path string) error { return lay(path, 0o700, "") },
		prefix + "4": func(path string) error { return lay(path, 0o700, "my own") },
		prefix + "5": func(path string) error { return lay(path, 0o755, marker) },
		prefix + "6": func(path string) error { return lay(path, 0o700, marker+"and more") },
		prefix + "7": func(path string) error {
			if err := os.Mkdir(path, 0o700); err != nil {
				return err
			}
			return os.Symlink(filepath.Join(outside, lockName), filepath.Join(path, lockName))
		},
		prefix + "my-data": func(path string) error { return lay(path, 0o700, marker) },
		"etcd":             func(path string) error { return lay(path, 0o700, marker) },
	} {
		if err := place(filepath.Join(parent, name)); err != nil {
			t.Fatal(err)
		}
	}
	before := names(t, parent)
	if err := newDir(t, parent).Remove(); err != nil {
		t.Fatal(err)
	}
	if after := names(t, parent); !slices.Equal(before, after) {
		t.Errorf("%v are left of %v", after, before)
	}
	if _, err := os.Stat(filepath.Join(outside, lockName)); err != nil {
		t.Error(err)
	}
}

func lay(path string, mode os.FileMode, lock string) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	if lock == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(path, lockName), []byte(lock), 0o600)
}

// TestLaidOverIsTaken shows that the table above would be removed but for what is
// wrong with each.
func TestLaidOverIsTaken(t *testing.T) {
	parent := t.TempDir()
	if err := lay(filepath.Join(parent, prefix+"1"), 0o700, marker); err != nil {
		t.Fatal(err)
	}
	if err := newDir(t, parent).Remove(); err != nil {
		t.Fatal(err)
	}
	if all := names(t, parent); len(all) > 0 {
		t.Errorf("%v are left", all)
	}
}

// TestUnusable: one clear error, nothing made.
func TestUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, parent := range []string{file, filepath.Join(file, "below"), filepath.Join(t.TempDir(), "missing")} {
		if d, err := New(parent, quiet()); err == nil {
			t.Errorf("%s: %v", parent, d.Path)
		}
	}
}
