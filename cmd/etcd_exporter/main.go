// SPDX-License-Identifier: Apache-2.0

// Command etcd_exporter serves metrics of etcd clusters to Prometheus. It only
// reads.
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

	"github.com/etcdops/etcdops/internal/app/exporter"
)

func main() {
	if child, exit := exporter.Child(); child { // a look into a snapshot, for the process that started this one
		os.Exit(exit)
	}
	if os.Getenv("GOGC") == "" { // the heap is small: to collect twice as often costs next to nothing
		debug.SetGCPercent(50)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run gives the exit status: 0 done, 1 anything that is wrong.
func run(args []string, stdout, stderr io.Writer) int {
	flags := newFlags(stdout, stderr)
	options, err := flags.parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "etcd_exporter: %v; see etcd_exporter --help\n", err)
		return 1
	}
	if flags.done {
		return 0
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	switch {
	case flags.command == verifyCommand:
		return flags.verifySnapshots(ctx, stdout, stderr)
	case flags.check:
		return check(options, stdout, stderr)
	case flags.command == topCommand:
		return flags.showTop(ctx, options, stdout, stderr)
	}
	// net/http writes to the standard log what it thinks odd, such as bytes that a
	// server sends unasked.
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(options.Logger.Handler(), slog.LevelDebug).Writer())
	if err := exporter.Run(ctx, options, hangups(ctx)); err != nil {
		options.Logger.Error("etcd_exporter ends", "err", err)
		return 1
	}
	return 0
}

// check is --config.check.
func check(options exporter.Options, stdout, stderr io.Writer) int {
	validated, err := exporter.Check(options)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	for _, warning := range validated.Warnings {
		fmt.Fprintln(stdout, "warning:", warning)
	}
	fmt.Fprintf(stdout, "the configuration is good: %d cluster(s)\n", len(validated.Clusters))
	return 0
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
