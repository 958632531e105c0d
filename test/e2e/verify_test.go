// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// judged is what verify-snapshot says of one file in JSON.
type judged struct {
	File            string `json:"file"`
	Sound           bool   `json:"sound"`
	SizeBytes       int64  `json:"size_bytes"`
	SnapshotBytes   int64  `json:"snapshot_bytes"`
	Compression     string `json:"compression"`
	SHA256          string `json:"sha256"`
	Walked          bool   `json:"walked"`
	Revision        int64  `json:"revision"`
	CompactRevision int64  `json:"compact_revision"`
	Keys            int64  `json:"keys"`
	Reason          string `json:"reason"`
	Problem         string `json:"problem"`
}

// verifySnapshots runs verify-snapshot with JSON, and checks the exit status.
func verifySnapshots(t *testing.T, args ...string) []judged {
	t.Helper()
	status, stdout, stderr := runExporter(t, append([]string{"verify-snapshot", "--output=json"}, args...)...)
	var all []judged
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || stderr != "" {
		t.Fatalf("exit %d, %v: %s%s", status, err, stdout, stderr)
	}
	want := 0
	for _, v := range all {
		if !v.Sound {
			want = 1
		}
	}
	if status != want {
		t.Errorf("exit %d, want %d: %+v", status, want, all)
	}
	return all
}

func TestVerifySnapshot(t *testing.T) {
	t.Parallel()
	l := backupLab(t, "3.6.16")
	dir := t.TempDir()
	of := takeSnapshot(t, l, "3.6.16", filepath.Join(dir, "sound.db"))
	in := func(name string) string { return filepath.Join(dir, name) }
	copyFile(t, of.file, in("flipped.db"), -1)
	flip(t, in("flipped.db"))
	copyFile(t, of.file, in("cut.db"), 100<<10)
	copyFile(t, of.file, in("odd [name]*\n.db"), -1)
	copyFile(t, of.file, in("future.db"), -1)
	age(t, in("future.db"), -24*time.Hour)
	compress(t, in("a.db.gz"), gz, readAll(t, of.file))
	compress(t, in("a.db.zst"), zst, readAll(t, of.file))
	must(t, os.WriteFile(in("empty.db"), nil, 0o600), syscall.Mkfifo(in("fifo.db"), 0o600), os.Symlink("sound.db", in("link.db")), os.Symlink("gone.db", in("dangling.db")))

	for name, want := range map[string]judged{
		"sound.db": {Sound: true}, "link.db": {Sound: true}, "odd [name]*\n.db": {Sound: true}, "future.db": {Sound: true},
		"a.db.gz": {Sound: true, Compression: "gzip"}, "a.db.zst": {Sound: true, Compression: "zstd"},
		"flipped.db": {Reason: "checksum_mismatch"}, "cut.db": {Reason: "truncated"}, "empty.db": {Reason: "empty"},
		"fifo.db": {Reason: "not_a_regular_file"}, "dangling.db": {Reason: "unreadable"}, "missing.db": {Reason: "unreadable"}, "": {Reason: "not_a_regular_file"},
	} {
		all := verifySnapshots(t, in(name))
		if len(all) != 1 {
			t.Errorf("%s: %d verdicts", name, len(all))
			continue
		}
		got := all[0]
		if got.Sound != want.Sound || got.Reason != want.Reason || got.Compression != want.Compression || got.File != in(name) || strings.Contains(got.Problem, "\n") {
			t.Errorf("%q: %+v, want %+v", name, got, want)
		}
		if want.Sound && (got.Revision != of.revision || got.Keys != of.keys || !got.Walked || len(got.SHA256) != 64) {
			t.Errorf("%q: revision %d, %d keys: want %+v", name, got.Revision, got.Keys, of)
		}
	}
	t.Run("table", func(t *testing.T) { verifyTable(t, of, in) })
	t.Run("many", func(t *testing.T) {
		var names []string
		for range 12 {
			names = append(names, in("sound.db"))
		}
		if all := verifySnapshots(t, append(names, in("cut.db"))...); len(all) != 13 || !all[11].Sound || all[12].Sound {
			t.Errorf("%d verdicts, the last two %+v", len(all), all[max(0, len(all)-2):])
		}
	})
	t.Run("no scratch directory", func(t *testing.T) {
		for _, scratch := range []string{"", in("nowhere")} {
			if got := verifySnapshots(t, "--scratch-directory="+scratch, in("a.db.gz"))[0]; !got.Sound || got.Walked || got.SHA256 == "" {
				t.Errorf("scratch directory %q: %+v", scratch, got)
			}
		}
	})
	t.Run("relative", func(t *testing.T) {
		cmd := exec.CommandContext(patient(t), program, "verify-snapshot", "sound.db")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("sound.db ")) {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("no file", func(t *testing.T) {
		if status, _, stderr := runExporter(t, "verify-snapshot"); status != 1 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("exit %d: %s", status, stderr)
		}
	})
}

// verifyTable shows a line for each file, sound or not.
func verifyTable(t *testing.T, of taken, in func(string) string) {
	status, stdout, stderr := runExporter(t, "verify-snapshot", in("sound.db"), in("flipped.db"), in("odd [name]*\n.db"))
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if status != 1 || stderr != "" || len(lines) != 4 {
		t.Fatalf("exit %d, %d lines: %s%s", status, len(lines), stdout, stderr)
	}
	for i, want := range []string{"VERDICT", "sound", "NOT SOUND: checksum_mismatch", "sound"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %q in it", i, lines[i], want)
		}
	}
	for _, figure := range []string{fmt.Sprint(of.revision), fmt.Sprint(of.keys)} {
		if !strings.Contains(lines[1], " "+figure+" ") {
			t.Errorf("no %s in %q", figure, lines[1])
		}
	}
	if status, stdout, _ := runExporter(t, "verify-snapshot", in("sound.db")); status != 0 || !strings.HasSuffix(strings.TrimSpace(stdout), "sound") {
		t.Errorf("exit %d: %s", status, stdout)
	}
}

// TestVerifySnapshotInterrupted presses Ctrl-C in the middle of a large file.
func TestVerifySnapshotInterrupted(t *testing.T) {
	t.Parallel()
	l := backupLab(t, lab.Embedded)
	of := takeSnapshot(t, l, "3.7.3", filepath.Join(t.TempDir(), "a.db"))
	bombs := filepath.Join(t.TempDir(), "begins.zst")
	bomb(t, bombs, readAll(t, of.file)[:16<<10])
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	var stdout, stderr output
	cmd := exec.CommandContext(ctx, program, "verify-snapshot", "--scratch-directory=", bombs)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &stdout, &stderr, childAttributes()
	must(t, spawn(cmd))
	await(t, soon, "the file is being read", func() error { return reads(cmd.Process.Pid, bombs) })
	began := time.Now()
	must(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	if took := time.Since(began); took > stopTime || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%s after %s", cmd.ProcessState, took)
	}
	if text := stderr.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "interrupted") || stdout.String() != "" {
		t.Errorf("it says %q, and prints %q", text, stdout.String())
	}
}

// reads is an error unless the process has the file open.
func reads(pid int, file string) error {
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return err
	}
	for _, fd := range open {
		if name, _ := os.Readlink(fd); name == file {
			return nil
		}
	}
	return fmt.Errorf("process %d has %s not open", pid, file)
}
