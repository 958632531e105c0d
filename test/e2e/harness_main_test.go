// SPDX-License-Identifier: Apache-2.0

// Package e2e runs etcd_exporter as users do, as a process with flags and
// files, against real etcd members of several versions.
//
// Environment: ETCDOPS_E2E_RACE=1 builds the exporter with the race detector,
// ETCDOPS_E2E_EXPORTER=FILE takes one that was built before.
package e2e

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
)

const (
	raceEnv     = "ETCDOPS_E2E_RACE"
	exporterEnv = "ETCDOPS_E2E_EXPORTER"

	// patience bounds what a test waits for in sum, a first build of an etcd
	// binary included.
	patience = 5 * time.Minute
)

// program is the exporter's file name, and raced whether it was built with the
// race detector: it is slower and larger then.
var (
	program string
	raced   = os.Getenv(raceEnv) != ""
)

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "etcdops-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if program, err = buildExporter(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// buildExporter builds the program as it is shipped: without cgo, unless the
// race detector wants it.
func buildExporter(dir string) (string, error) {
	if given := os.Getenv(exporterEnv); given != "" {
		return filepath.Abs(given)
	}
	target := filepath.Join(dir, "etcd_exporter")
	args, env := []string{"build", "-trimpath", "-tags", "disable_grpc_modules", "-o", target}, "CGO_ENABLED=0"
	if raced {
		args, env = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(context.Background(), "go", append(args, "./cmd/etcd_exporter")...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), env)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build etcd_exporter: %w\n%s", err, output)
	}
	return target, nil
}

// patient is a context for everything that a test waits for.
func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// must ends the test on any error.
func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// check notes every error and lets the test go on.
func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// startLab starts members that end with the test.
func startLab(t testing.TB, options lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.Start(patient(t), options)
	must(t, err)
	t.Cleanup(func() { check(t, l.Close()) })
	return l
}

// await tries again until try succeeds. It asks often and waits no fixed time;
// after the deadline the test ends with the last error.
func await(t testing.TB, within time.Duration, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, within, err)
		}
		pause(t, 50*time.Millisecond)
	}
}

// pause waits between two looks; a test that has to wait for a condition uses
// await.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
