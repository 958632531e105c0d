// SPDX-License-Identifier: Apache-2.0

//go:build slow

package gallery

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdops/etcdops/test/stack"
)

type member = etcdserverpb.Member

func removeMembers(ctx context.Context, s *stack.Stack, which func(*member) bool) error {
	client, err := s.Lab.Client()
	if err != nil {
		return err
	}
	list, err := client.MemberList(ctx)
	if err != nil {
		return err
	}
	for _, m := range list.Members {
		if !which(m) {
			continue
		}
		if _, err := client.MemberRemove(ctx, m.ID); err != nil {
			return fmt.Errorf("remove member %x: %w", m.ID, err)
		}
	}
	return nil
}

// tracer delays what one member asks of its disk. It is one that follows: were it the
// leader, all would be slow.
var tracer *exec.Cmd

func delayFsync(ctx context.Context, s *stack.Stack) error {
	leader, err := s.Lab.Leader(ctx)
	if err != nil {
		return err
	}
	m := s.Lab.Member((leader + 1) % 3) // a learner that was here comes after the voters
	tracer = exec.CommandContext(ctx, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync",
		"-e", "inject=fdatasync,fsync:delay_enter=400000", "-p", strconv.Itoa(m.PID()))
	tracer.Stderr = os.Stderr
	if err := tracer.Start(); err != nil {
		return fmt.Errorf("strace (apt-get install strace): %w", err)
	}
	return nil
}

func hurryFsync(context.Context, *stack.Stack) error {
	if err := tracer.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = tracer.Wait() // it ends by the signal
	return nil
}
