// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// grace is how long the command may take to end when it is asked to.
const grace = 10 * time.Second

// runCommand runs the command of the command line in a process group of its
// own, so that nothing that it started outlives the lab. Its exit status
// becomes the lab's, unless a signal to the lab ended it.
func runCommand(ctx context.Context, f *flags, r *report) (int, error) {
	replace := strings.NewReplacer("{config}", r.config, "{dir}", r.lab.Dir(),
		"{endpoints}", strings.Join(r.lab.Endpoints(), ","))
	var args []string
	for _, arg := range f.command {
		args = append(args, replace.Replace(arg))
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = f.out, f.errOut
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("run %s: %w", args[0], err)
	}
	err := cmd.Wait()
	// What is left of the group has had its time, or lost its head.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 && ctx.Err() == nil {
		return exit.ExitCode(), nil
	}
	if err != nil { // by a signal, which may have been ours
		return ended(ctx, fmt.Errorf("run %s: %w", args[0], err))
	}
	return 0, nil
}
