// SPDX-License-Identifier: Apache-2.0

// Package journal kills processes in the middle of writing the remediator's journal.
package journal

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/journal"
)

// childDir tells a child of this program where to write.
const childDir = "ETCDOPS_TEST_JOURNAL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := write(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// options make a new file every few hundred lines.
func options() journal.Options {
	return journal.Options{MaxBytes: 50_000, Log: slog.New(slog.DiscardHandler)}
}

// write accepts alerts side by side for ever, begins a run, and tells of each alert that
// is reported as written.
func write(dir string) error {
	j, err := journal.Open(dir, options())
	if err != nil {
		return err
	}
	run := &remediate.Run{ID: fmt.Sprint("run-", os.Getpid()), Cluster: "prod"}
	if err := j.PutRun(context.Background(), run); err != nil {
		return err
	}
	failed := make(chan error)
	for writer := range 8 {
		go func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("%d-%d-%d", os.Getpid(), writer, n)
				if err := j.Accept(context.Background(), journal.Intent{Policy: name, Cluster: "prod", Fingerprint: name}); err != nil {
					failed <- err
					return
				}
				fmt.Fprintln(os.Stdout, name) // one write: it arrives whole or not at all
			}
		}()
	}
	return <-failed
}

// TestKill kills a writing process again and again: what it was told to be written is
// there, nothing is damaged, and its run is found as interrupted.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	var told []string
	for round := range 10 {
		pid, names := killed(t, dir, 20+rand.IntN(400))
		told = append(told, names...)
		j, err := journal.Open(dir, options())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := j.Fit(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		there := map[string]bool{}
		for _, i := range j.Intents() {
			there[i.Policy] = true
		}
		lost := slices.DeleteFunc(slices.Clone(told), func(name string) bool { return there[name] })
		if len(lost) > 0 {
			t.Fatalf("round %d: %d of %d are lost, such as %s", round, len(lost), len(told), lost[0])
		}
		if runs := j.Interrupted(); len(runs) != 1 || runs[0].ID != fmt.Sprint("run-", pid) {
			t.Errorf("round %d: interrupted %v", round, runs)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "journal-*.jsonl")); len(files) < 2 {
		t.Errorf("no rotation came in between: %v", files)
	}
}

// killed runs a writing process, kills it after it told of some entries, and gives all
// that it told of.
func killed(t *testing.T, dir string, after int) (pid int, told []string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { _ = child.Process.Kill() })
	defer watchdog.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if told = append(told, lines.Text()); len(told) == after {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait()
	if len(told) < after {
		t.Fatalf("it ended by itself after %d entries", len(told))
	}
	return child.Process.Pid, told
}
