// SPDX-License-Identifier: Apache-2.0

// Package loop closes the loop with real parts: something goes wrong in etcd, an alert
// of the mixin fires in a real Prometheus, a real Alertmanager with the configuration
// of deploy/ tells etcd_remediator and people, and the alert goes because etcd is well.
package loop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/stack"
)

// programs is the directory of the programs under test.
var programs string

var root = filepath.Join("..", "..")

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "etcdops-loop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-tags", "disable_grpc_modules", "-o", dir, "./cmd/etcd_exporter", "./cmd/etcd_remediator")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// must ends the test on any error.
func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

const (
	// The times of the alerts are divided by scale: two hours are a minute. What bridges
	// a missed scrape, four minutes, must still hold some scrapes.
	scale = 120
	every = 500 * time.Millisecond
	// The remediator tries an open intent again after a minute that nothing divides.
	refusedRange = "'3h'"
)

// startStack starts the loop. Without the tools that it needs the test is skipped on a
// developer's machine, and fails in CI.
func startStack(t *testing.T) *stack.Stack {
	t.Helper()
	for _, tool := range []string{"alertmanager", "jsonnet", "prometheus"} {
		_, err := stack.Tool(root, tool)
		if _, missing := errors.AsType[*stack.NoToolError](err); missing && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		must(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a first build of etcd included
	defer cancel()
	s, err := stack.Start(ctx, stack.Options{
		Root: root, Programs: programs, Scale: scale, Every: every, Repeat: 10 * time.Second,
		Knobs: map[string]string{"floodKeys": "5000", "floodKeysYoung": "5000", "remediationRefusedRange": refusedRange},
		Log:   t.Logf,
	})
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for _, p := range s.Programs() {
			if t.Failed() {
				log := p.Log()
				t.Logf("the log of %s ends:\n%s", p.Name, log[max(0, len(log)-8000):])
			}
		}
	})
	must(t, s.Lab.Load(ctx, lab.LoadOptions{Keys: 500}))
	return s
}
