// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/remediate"
)

func TestLock(t *testing.T) {
	r := newRig(t, Options{})
	_, err := Open(r.dir, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second Open: %v", err)
	}
	r.ok(r.accept("p"))
	r.ok(r.Close())
	r.open()
}

func TestPrivate(t *testing.T) {
	r := newRig(t, Options{})
	r.ok(r.accept("p"))
	if info, err := os.Stat(r.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: mode %v, %v", info.Mode(), err)
	}
	for _, name := range files(t, r.dir, "*") {
		if info, err := os.Stat(filepath.Join(r.dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	r.ok(r.Close())
	for _, mode := range []os.FileMode{0o777, 0o770, 0o702} {
		r.ok(os.Chmod(r.dir, mode))
		for _, readOnly := range []bool{false, true} {
			if _, err := Open(r.dir, Options{ReadOnly: readOnly}); err == nil || !strings.Contains(err.Error(), "chmod 700") {
				t.Errorf("mode %o: %v", mode, err)
			}
		}
	}
	r.ok(os.Chmod(r.dir, 0o755))
	r.open()
}

func TestNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{}); err == nil {
		t.Error("a file passes for a directory")
	}
}

// TestReadOnly shows that a look beside the writing process changes nothing.
func TestReadOnly(t *testing.T) {
	r := newRig(t, Options{})
	r.ok(r.accept("p"))
	r.ok(r.PutRun(t.Context(), &remediate.Run{ID: "1", Cluster: "prod"}))
	name, text, _ := newest(t, r.dir)
	r.ok(os.WriteFile(name, append(text, `{"v":1,"se`...), 0o600)) // the other one is writing
	before := files(t, r.dir, "*")

	j, err := Open(r.dir, Options{ReadOnly: true})
	r.ok(err)
	r.ok(j.Fit())
	if len(j.Intents()) != 1 || len(j.Interrupted()) != 0 {
		t.Errorf("%d intents, %d interrupted", len(j.Intents()), len(j.Interrupted()))
	}
	if run, ok := j.Run("1"); !ok || run.Outcome != "" {
		t.Errorf("the run that goes on: %+v", run)
	}
	if err := j.Pause(t.Context(), "me"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Pause() = %v", err)
	}
	j.AddSample("prod", 1, start, 1)
	if err := j.DropSamples("prod", "x"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("DropSamples() = %v", err)
	}
	r.ok(j.Close())
	if after := files(t, r.dir, "*"); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("files %v, were %v", after, before)
	}
	if _, now, _ := newest(t, r.dir); len(now) != len(text)+len(`{"v":1,"se`) {
		t.Error("the file was changed")
	}
}

func TestReadOnlyNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	j, err := Open(dir, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if complete, _ := j.Complete(); complete || j.Fit() != nil || len(j.Runs(0)) != 0 {
		t.Errorf("complete %t, Fit() = %v", complete, j.Fit())
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}
