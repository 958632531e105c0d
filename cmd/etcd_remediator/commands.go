// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/etcdops/etcdops/internal/app/remediator"
)

// checkConfig is the command check-config.
func (f *flags) checkConfig(stdout, stderr io.Writer) int {
	v, err := remediator.Check(f.options.ConfigFile)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return remediator.ExitUsage
	}
	for _, warning := range v.Warnings {
		fmt.Fprintln(stdout, "warning:", warning)
	}
	fmt.Fprintf(stdout, "the configuration is good: %d cluster(s), %d policies\n", len(v.Clusters), len(v.Remediation.Policies))
	return remediator.ExitDone
}

// serve is the command serve.
func (f *flags) serve(ctx context.Context, stderr io.Writer) int {
	err := remediator.Serve(ctx, f.options, hangups(ctx))
	switch {
	case err == nil:
		return remediator.ExitDone
	case remediator.IsUsage(err):
		fmt.Fprintf(stderr, "etcd_remediator: %v\n", err)
		return remediator.ExitUsage
	default:
		f.options.Logger.Error("etcd_remediator ends", "err", err)
		return remediator.ExitFailed
	}
}

// byHand are the commands plan and run.
func (f *flags) byHand(ctx context.Context, stdin *os.File, stdout, stderr io.Writer) int {
	h := f.hand(stdin, stdout, stderr)
	if f.command == planCommand {
		return remediator.Plan(ctx, h)
	}
	if !f.yes {
		if !term.IsTerminal(int(stdin.Fd())) {
			fmt.Fprintln(stderr, "etcd_remediator: run asks before it acts, and this is no terminal: give --yes")
			return remediator.ExitUsage
		}
		h.Confirm = func(question string) bool { return confirm(ctx, stdin, stderr, question) }
	}
	return remediator.Run(ctx, h)
}

// confirm asks a person, who may also answer with Ctrl-C: then ctx ends.
func confirm(ctx context.Context, stdin io.Reader, stderr io.Writer, question string) bool {
	fmt.Fprint(stderr, question)
	answer := make(chan string, 1)
	go func() { // nothing ends a read from a terminal but the program's end
		line, _ := bufio.NewReader(stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case said := <-answer:
		return strings.EqualFold(said, "y") || strings.EqualFold(said, "yes")
	case <-ctx.Done():
		fmt.Fprintln(stderr)
		return false
	}
}

func (f *flags) hand(_ *os.File, stdout, stderr io.Writer) remediator.Hand {
	h := f.request
	h.ConfigFile, h.Patience, h.JSON = f.options.ConfigFile, f.wait, f.output == "json"
	h.Stdout, h.Stderr, h.Logger = stdout, stderr, f.options.Logger
	if file, ok := stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" {
		h.Terminal = true
	}
	return h
}
