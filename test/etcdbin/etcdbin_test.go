// SPDX-License-Identifier: Apache-2.0

package etcdbin

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPathKeepsWhatIsThere(t *testing.T) {
	tools := t.TempDir()
	t.Setenv(toolsEnv, tools)
	want := filepath.Join(tools, "etcd", "3.6.16", "etcdctl")
	if err := os.MkdirAll(filepath.Dir(want), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(want, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := Path(t.Context(), "3.6.16", Etcdctl)
	if err != nil || got != want {
		t.Errorf("Path: %q, %v; want %q", got, err, want)
	}
}

func TestDirIsInTheRepository(t *testing.T) {
	t.Setenv(toolsEnv, "")
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "..", "test", "etcdbin")); err != nil {
		t.Errorf("tools directory %s: %v", dir, err)
	}
}

func TestCheck(t *testing.T) {
	for _, good := range []string{"3.4.23", "3.5.35", "3.6.16-skew", "3.7.3"} {
		if err := Check(good, Etcd); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "3.6", "v3.6.16", "../3.6.16", "3.4.23-skew", "3.6.16-skewed", "3..6", "latest"} {
		if Check(bad, Etcd) == nil {
			t.Errorf("version %q is accepted", bad)
		}
	}
	if Check("3.6.16", "sh") == nil || Check("3.4.23", Etcdutl) == nil {
		t.Error("a program that cannot be had is accepted")
	}
}

func TestLockKeepsOthersOut(t *testing.T) {
	name := filepath.Join(t.TempDir(), "deep", "lock")
	unlock, err := lock(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	unlock, err = lock(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestPatchClock(t *testing.T) {
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patchClock(string(source))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(patched, "skewWall(sec, nsec)\n") || !strings.Contains(patched, `"syscall"`) {
		t.Error("the clock is not patched")
	}
	if _, err := patchClock("package time\n"); err == nil {
		t.Error("an unknown time.go is accepted")
	}
}

func TestFailedStepTellsWhy(t *testing.T) {
	err := run(t.Context(), t.TempDir(), "go", "no-such-command")
	if err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("error %v does not tell why", err)
	}
}
