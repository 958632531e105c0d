// SPDX-License-Identifier: Apache-2.0

// Command etcd_restore_drill restores the newest sound snapshot of a store into a
// directory of its own, brings an etcd member up on it, compares what it holds with
// the snapshot, and removes everything again. What came out of it goes into the
// result file that etcd_exporter reads.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/etcdops/etcdops/drill/internal/drill"
	"github.com/etcdops/etcdops/drill/internal/member"
	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store/judge"
)

// Exit statuses.
const (
	exitSuccess = 0
	exitFailed  = 1 // the drill failed: the result file says why
	exitNotHeld = 2 // it could not be held: the result file is left as it was
)

func main() {
	if child, exit := snapshot.Child(); child {
		os.Exit(exit)
	}
	if child, exit := member.Child(context.Background()); child {
		os.Exit(exit)
	}
	// Never handed back: a second signal must not keep the data from being removed.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	exit := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	os.Exit(exit)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := newFlags(stdout, stderr)
	plan, err := f.parse(args)
	if f.done {
		return exitSuccess
	}
	if err != nil {
		fmt.Fprintf(stderr, "etcd_restore_drill: %v\n", err)
		return exitNotHeld
	}
	defer plan.options.Store.Close()
	log := plan.options.Log
	result, err := drill.Run(ctx, plan.options)
	switch {
	case err != nil && ctx.Err() != nil:
		log.Error("the drill was interrupted: it says nothing of the snapshot, and the result file is left as it was")
		return exitNotHeld
	case err != nil:
		log.Error("the drill could not be held: it says nothing of the snapshot, and the result file is left as it was", "err", err)
		return exitNotHeld
	}
	if plan.resultFile != "" {
		if err := judge.WriteDrill(plan.resultFile, result); err != nil {
			log.Error("the result is lost", "success", result.Success, "reason", result.Reason, "err", err)
			return exitNotHeld
		}
	}
	about := []any{"file", result.Snapshot, "revision", result.Revision, "keys", result.Keys, "seconds", fmt.Sprintf("%.1f", result.Seconds)}
	if !result.Success {
		log.Error("the drill failed", append(about, "reason", result.Reason)...)
		return exitFailed
	}
	log.Info("the drill succeeded", about...)
	return exitSuccess
}
