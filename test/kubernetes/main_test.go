// SPDX-License-Identifier: Apache-2.0

// Package kubernetes shows that what deploy/ has for Kubernetes is right: kustomize and
// helm render it, the API's own types take it, and both programs, run as the pods would
// run them, accept what they are given.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// programs is the directory of the programs under test.
var programs string

var (
	root   = filepath.Join("..", "..")
	deploy = filepath.Join(root, "deploy")
)

func TestMain(m *testing.M) {
	if run := stand[filepath.Base(os.Args[0])]; run != nil {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	log.SetOutput(io.Discard) // helm tells of every symbolic link of the chart
	dir, err := os.MkdirTemp("", "etcdops-kubernetes-")
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
	if err := os.Chmod(dir, 0o755); err != nil { // pods run as other users
		fmt.Fprintln(os.Stderr, err)
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
