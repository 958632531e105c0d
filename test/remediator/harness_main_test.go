// SPDX-License-Identifier: Apache-2.0

// Package remediator runs etcd_remediator as users do, as a process with flags and
// files, against real etcd members: each guard has to be seen refusing, and each
// action doing what it is for.
package remediator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

const (
	// version is what most tests run.
	version = "3.6.16"
	// patience bounds what a test waits for in sum, a first build of an etcd
	// binary included.
	patience = 5 * time.Minute
)

// program is the remediator's file name.
var program string

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "etcdops-remediator-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "etcd_remediator")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-tags", "disable_grpc_modules", "-o", program, "./cmd/etcd_remediator")
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build etcd_remediator: %v\n%s", err, output)
		return 1
	}
	return m.Run()
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

// startLab starts members that end with the test.
func startLab(t testing.TB, options lab.Options) *lab.Lab {
	t.Helper()
	if options.Version == "" {
		options.Version = version
	}
	l, err := lab.Start(patient(t), options)
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// writeConfig writes the lab's configuration with a remediation block below it; the
// block is YAML, two spaces deep. The journal is a directory of the test's own.
func writeConfig(t testing.TB, l *lab.Lab, remediation string) (file string) {
	t.Helper()
	base, err := l.WriteConfig(nil)
	must(t, err)
	text, err := os.ReadFile(base)
	must(t, err)
	dir := t.TempDir()
	file = filepath.Join(dir, "etcdops.yml")
	if !strings.Contains(remediation, "journal:") {
		remediation = "  journal: " + filepath.Join(dir, "journal") + "\n" + remediation
	}
	must(t, os.WriteFile(file, []byte(string(text)+"remediation:\n"+remediation), 0o600))
	return file
}

// await tries again until try succeeds. It asks often and waits no fixed time.
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
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		}
	}
}
