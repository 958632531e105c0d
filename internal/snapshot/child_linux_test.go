// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const parentVariable = "SNAPSHOT_TEST_PARENT" // the file that a second test program walks

// runAsParent walks a file until this process is killed.
func runAsParent() bool {
	name := os.Getenv(parentVariable)
	if name == "" {
		return false
	}
	file, err := os.Open(name)
	if err == nil {
		_, err = Walk(context.Background(), file, Limits{Time: time.Minute})
	}
	fmt.Fprintln(os.Stderr, "walk ended:", err)
	return true
}

// walkers are the children of a process that have begun their walk.
func walkers(parent int) (found []string) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for pid := range strings.FieldsSeq(string(text)) {
			if line, _ := os.ReadFile("/proc/" + pid + "/cmdline"); bytes.HasPrefix(line, []byte(childName)) {
				found = append(found, pid)
			}
		}
	}
	return found
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within 20 s", what)
		}
	}
}

// started waits for a walk of this process that has confined itself.
func started(t *testing.T, parent int) (pid string) {
	t.Helper()
	await(t, "confined child", func() bool {
		for _, pid = range walkers(parent) {
			if limits, _ := os.ReadFile("/proc/" + pid + "/limits"); limitOf(limits, "Max data size") != "unlimited" && len(limits) > 0 {
				return true
			}
		}
		return false
	})
	return pid
}

// limitOf gives the soft limit out of /proc/PID/limits.
func limitOf(limits []byte, what string) string {
	for line := range strings.Lines(string(limits)) {
		if rest, ok := strings.CutPrefix(line, what); ok {
			return strings.Fields(rest)[0]
		}
	}
	return ""
}

func TestChildIsConfinedAndGoesWithTheContext(t *testing.T) {
	t.Setenv("SECRET_PASSWORD", "swordfish")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	file := openFile(t, endless())
	ended := make(chan error)
	go func() {
		_, err := Walk(ctx, file, Limits{Time: time.Minute})
		ended <- err
	}()
	pid := started(t, os.Getpid())
	environment, err := os.ReadFile("/proc/" + pid + "/environ")
	if err != nil || bytes.Contains(environment, []byte("swordfish")) || !bytes.Contains(environment, []byte("GOMAXPROCS=1")) {
		t.Errorf("the child's environment is %q, %v", environment, err)
	}
	limits, _ := os.ReadFile("/proc/" + pid + "/limits")
	for what, want := range map[string]string{"Max core file size": "0", "Max file size": "0", "Max open files": "16", "Max cpu time": "61"} {
		if got := limitOf(limits, what); got != want {
			t.Errorf("%s is %q, want %s", what, got, want)
		}
	}
	threads, _ := filepath.Glob("/proc/" + pid + "/task/*/stat")
	if len(threads) == 0 {
		t.Error("the child has no threads")
	}
	for _, thread := range threads { // every thread is nice, not the first alone
		text, _ := os.ReadFile(thread)
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 16 && fields[16] != "19" {
			t.Errorf("%s: nice value %s", thread, fields[16])
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := walkers(os.Getpid()); slices.Contains(left, pid) {
		t.Errorf("the child %s is left", pid)
	}
	// Its lock went with it, though we have the file open still: somebody else may lock
	// it for writing.
	other, err := os.Open(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Errorf("the file is still locked: %v", err)
	}
}

func TestChildDiesWithItsParent(t *testing.T) {
	name := filepath.Join(t.TempDir(), "endless.db")
	if err := os.WriteFile(name, endless(), 0o600); err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(context.WithoutCancel(t.Context()), "/proc/self/exe")
	parent.Env = append(os.Environ(), parentVariable+"="+name)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := started(t, parent.Process.Pid)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	await(t, "end of the orphan", func() bool {
		line, err := os.ReadFile("/proc/" + pid + "/cmdline")
		return err != nil || !bytes.HasPrefix(line, []byte(childName))
	})
}

// Somebody cuts or kills while the child reads.
func TestWalkOfAFileThatChanges(t *testing.T) {
	for _, test := range []struct {
		name   string
		harm   func(file *os.File, pid string) error
		reason string
	}{
		{"cut short", func(file *os.File, _ string) error { return os.Truncate(file.Name(), 0) }, ReasonDamaged},
		{"killed", func(_ *os.File, pid string) error {
			return exec.CommandContext(t.Context(), "kill", "-KILL", pid).Run()
		}, ReasonMemory},
		{"aborted", func(_ *os.File, pid string) error {
			return exec.CommandContext(t.Context(), "kill", "-ABRT", pid).Run()
		}, ReasonDamaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := openFile(t, endless())
			result := make(chan Contents)
			go func() {
				c, err := Walk(t.Context(), file, Limits{Time: time.Minute})
				if err != nil {
					t.Error(err)
				}
				result <- c
			}()
			if err := test.harm(file, started(t, os.Getpid())); err != nil {
				t.Fatal(err)
			}
			if c := <-result; reasonOf(c.Problem) != test.reason || strings.Contains(c.Problem.Error(), "\n") {
				t.Errorf("problem %v, want %s", c.Problem, test.reason)
			}
		})
	}
}

// A file that a writer holds is not judged, and never waited for.
func TestWalkDoesNotWaitForALock(t *testing.T) {
	file := openFile(t, small(t))
	other, err := os.Open(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := Walk(t.Context(), file, Limits{}); err == nil || !strings.Contains(err.Error(), "holds a lock") {
		t.Errorf("got %v", err)
	}
}

// A compaction that is still going on makes the child remember keys: the bound on
// memory holds for it, too.
func TestWalkBoundsItsTable(t *testing.T) {
	h := newHistory()
	for i := range 100 {
		names := make([]string, 1000)
		for j := range names {
			names[j] = fmt.Sprint(i, "/", j)
		}
		h.write(names...)
	}
	content := seal(h.buckets(0, h.revision).database(t))
	if c := walk(t, content, Limits{}); c.Problem != nil || c.Keys != 100_000 {
		t.Errorf("got %+v", c)
	}
	if c := walk(t, content, Limits{Memory: 1 << 20}); reasonOf(c.Problem) != ReasonMemory {
		t.Errorf("with 1 MiB: %+v", c)
	}
}
