// SPDX-License-Identifier: Apache-2.0

// Command etcd_remediator runs defragmentation, compaction, event pruning and what
// else an alert asks for, behind guards. It plans only, until it is told to act.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/etcdops/etcdops/internal/app/remediator"
)

func main() {
	if child, exit := remediator.Child(); child { // a look into a snapshot, for the process that started this one
		os.Exit(exit)
	}
	if os.Getenv("GOGC") == "" { // the heap is small: to collect twice as often costs next to nothing
		debug.SetGCPercent(50)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run gives the exit status: 0 done or nothing to do, 1 failed, 2 bad usage or
// configuration, 3 refused by a guard.
func run(args []string, stdin *os.File, stdout, stderr io.Writer) int {
	flags := newFlags(stdout, stderr)
	if err := flags.parse(args); err != nil {
		fmt.Fprintf(stderr, "etcd_remediator: %v; see etcd_remediator --help\n", err)
		return remediator.ExitUsage
	}
	if flags.done {
		return remediator.ExitDone
	}
	ctx, cancel := untilTold(flags.options.Logger)
	defer cancel()
	// net/http writes to the standard log what it thinks odd, such as bytes that a
	// server sends unasked.
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(flags.options.Logger.Handler(), slog.LevelDebug).Writer())
	switch flags.command {
	case checkCommand:
		return flags.checkConfig(stdout, stderr)
	case serveCommand:
		return flags.serve(ctx, stderr)
	case approveCommand:
		return remediator.Approve(ctx, flags.hand(stdin, stdout, stderr), flags.runID)
	default:
		return flags.byHand(ctx, stdin, stdout, stderr)
	}
}

// untilTold gives a context that the first SIGTERM or interrupt ends: what is under
// way comes to the end of its transaction or member. A second one ends the program
// at once.
func untilTold(logger *slog.Logger) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		told := <-signals
		logger.Warn("told to stop: the present transaction or member is brought to its end; a second signal ends at once", "signal", told.String())
		cancel()
		<-signals
		logger.Error("ended at once; a run under way is recorded as interrupted at the next start")
		os.Exit(remediator.ExitFailed)
	}()
	return ctx, cancel
}

// hangups turns each SIGHUP into a reload.
func hangups(ctx context.Context) <-chan struct{} {
	reload := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-signals:
				select {
				case reload <- struct{}{}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return reload
}
