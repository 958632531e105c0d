// SPDX-License-Identifier: Apache-2.0

package etcdbin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// build makes a program from its module. `go install` refuses modules with
// replace directives, which etcd's have, so a throwaway module depends on it.
func build(ctx context.Context, work, version, program string) (string, error) {
	release := strings.TrimSuffix(version, SkewSuffix)
	pkg := packageOf(program)
	steps := [][]string{
		{"go", "mod", "init", "w"},
		{"go", "get", "-tool", pkg + "@v" + release},
	}
	for _, step := range steps {
		if err := run(ctx, work, step...); err != nil {
			return "", err
		}
	}
	target := filepath.Join(work, program)
	compile := []string{"go", "build", "-trimpath", "-o", target}
	if version != release {
		overlay, err := writeOverlay(ctx, work)
		if err != nil {
			return "", fmt.Errorf("patch the clock: %w", err)
		}
		compile = append(compile, "-overlay", overlay)
	}
	return target, run(ctx, work, append(compile, pkg)...)
}

func packageOf(program string) string {
	if program == Etcd {
		return "go.etcd.io/etcd/server/v3"
	}
	return "go.etcd.io/etcd/" + program + "/v3"
}

// run executes one step in dir. The environment is kept but for what would
// make the throwaway module depend on its surroundings.
func run(ctx context.Context, dir string, command ...string) error {
	_, err := output(ctx, dir, command...)
	return err
}

func output(ctx context.Context, dir string, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PWD="+dir, "GOFLAGS=-buildvcs=false", "GOWORK=off", "CGO_ENABLED=0",
		"GOOS=", "GOARCH=", "GOEXPERIMENT=", "DEBIAN_FRONTEND=noninteractive")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	detail := lastLines(out, 5)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && len(exit.Stderr) > 0 {
		detail = lastLines(exit.Stderr, 5)
	}
	return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, detail)
}

// lastLines joins the last lines of an output for an error message.
func lastLines(out []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
