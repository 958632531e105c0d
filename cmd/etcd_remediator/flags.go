// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/etcdops/etcdops/internal/app/remediator"
	"github.com/etcdops/etcdops/internal/cli"
)

const help = `Acts on an etcd cluster as a careful operator would: defragments, compacts, prunes old Kubernetes events, disarms, takes snapshots and recovers from NOSPACE, when an Alertmanager alert fires (serve) or by hand (run), behind guards. It plans only, until it is told to act.

Exit status: 0 done, or nothing to do; 1 failed; 2 bad usage or configuration; 3 refused by a guard.`

// The commands.
const (
	serveCommand   = "serve"
	runCommand     = "run"
	planCommand    = "plan"
	approveCommand = "approve"
	checkCommand   = "check-config"
)

// flags are the command line of etcd_remediator.
type flags struct {
	app     *kingpin.Application
	options remediator.Options
	request remediator.Hand
	runID   string
	output  string
	yes     bool
	wait    time.Duration
	level   string
	format  string
	command string
	done    bool // --help or --version has been answered
	stderr  io.Writer
}

func newFlags(stdout, stderr io.Writer) *flags {
	f := &flags{app: kingpin.New("etcd_remediator", help), stderr: stderr}
	f.app.UsageWriter(stdout).ErrorWriter(stderr)
	f.app.Terminate(func(int) { // kingpin goes on, and would print its help again
		f.done = true
		f.app.UsageWriter(io.Discard)
	})
	f.app.Version(version.Print("etcd_remediator"))
	f.app.HelpFlag.Short('h')
	f.app.Flag("config.file", "YAML file with clusters and remediation. (needed)").PlaceHolder("FILE").StringVar(&f.options.ConfigFile)
	f.app.Flag("log.level", "Least severe messages to log: debug, info, warn or error. (default: info, by hand warn)").
		PlaceHolder("LEVEL").SetValue(cli.Word{Flag: "log.level", Into: &f.level, Words: []string{"debug", "info", "warn", "error"}})
	f.app.Flag("log.format", "Format of log lines: logfmt or json.").Default("logfmt").SetValue(cli.Word{Flag: "log.format", Into: &f.format, Words: []string{"logfmt", "json"}})
	f.serveFlags()
	f.handFlags()
	f.app.Command(checkCommand, "Check the configuration, print what is wrong, and exit 0 or 2.")
	return f
}

func (f *flags) serveFlags() {
	c := f.app.Command(serveCommand, "Serve Alertmanager's webhook.")
	c.Flag("mode", "Ceiling of every policy's mode: plan changes nothing, approve waits 30m for a person, enforce acts.").
		Default("plan").SetValue(cli.Word{Flag: "mode", Into: &f.options.Mode, Words: []string{"plan", "approve", "enforce"}})
	c.Flag("web.allow-unauthenticated", "Serve although callers need not prove who they are: whoever reaches the port can start a run. (default: off)").
		BoolVar(&f.options.AllowUnauthenticated)
	f.options.Web = kingpinflag.AddFlags(c, "127.0.0.1:10380")
}

func (f *flags) handFlags() {
	for _, command := range []struct{ name, help string }{
		{planCommand, "Print each step that a run would take, on which member and why, and which guard would refuse."},
		{runCommand, "Carry out an action by hand, behind the same guards, cool-down and budget."},
	} {
		c := f.app.Command(command.name, command.help)
		c.Arg("ACTION", "defrag, compact, prune_events, disarm, snapshot or recover_space.").Required().
			SetValue(cli.Word{Flag: "ACTION", Into: &f.request.Action, Words: remediator.Actions(), Arg: true})
		c.Flag("cluster", "Name of the cluster. (default: the only one)").PlaceHolder("NAME").StringVar(&f.request.Cluster)
		c.Flag("policy", "Policy whose parameters count. (default: the first of the action that allows the cluster, else the action's own)").
			PlaceHolder("NAME").StringVar(&f.request.Policy)
		c.Flag("output", "text or json.").Default("text").SetValue(cli.Word{Flag: "output", Into: &f.output, Words: []string{"text", "json"}})
		c.Flag("ignore-cooldown", "Do not wait for the policy's cool-down; this is recorded. (default: off)").BoolVar(&f.request.IgnoreCooldown)
		wait := "5s"
		if command.name == runCommand {
			wait = "2m"
			c.Flag("yes", "Do not ask before acting. (default: off)").BoolVar(&f.yes)
		}
		c.Flag("wait", "How long to wait in all for guards that pass by themselves, such as stable.").Default(wait).
			SetValue(cli.Duration{Flag: "wait", Into: &f.wait})
	}
	c := f.app.Command(approveCommand, "Have the serving process carry out a run that waits for it; it is planned again first.")
	c.Arg("RUN_ID", "Id of the run, as /api/v1/runs shows it.").Required().StringVar(&f.runID)
}

// parse reads the command line. Its errors are one line each.
func (f *flags) parse(args []string) error {
	var err error
	f.command, err = f.app.Parse(args)
	asked := slices.ContainsFunc(args, func(arg string) bool {
		return slices.Contains([]string{"--help", "-h", "--help-long", "--help-man", "--version"}, arg)
	})
	switch {
	case f.done && asked: // arguments may be missing
		return nil
	case f.done: // kingpin prints its help, and finds that good
		return errors.New("a command is needed: serve, plan, run, approve or check-config")
	case err != nil:
		return err
	}
	level := f.level
	if level == "" {
		level = "info"
		if f.command != serveCommand {
			level = "warn" // a person reads the steps themselves
		}
	}
	f.options.Logger = cli.NewLogger(f.stderr, level, f.format)
	if f.options.ConfigFile == "" {
		return errors.New("--config.file is needed: name the YAML file with clusters and remediation")
	}
	return nil
}
