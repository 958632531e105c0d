// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/drill/internal/drill"
	"github.com/etcdops/etcdops/internal/app/setup"
	"github.com/etcdops/etcdops/internal/cli"
	"github.com/etcdops/etcdops/internal/config"
)

const help = `Restores the newest sound snapshot of a backup store into a directory of its own, brings an etcd member up on it, compares revision and keys, removes everything again, and writes the result file that etcd_exporter reads.

It asks no cluster anything and opens no port. Exit status: 0 the drill succeeded; 1 it failed, and the result file says why; 2 it could not be held (usage, configuration, no room, a store that does not answer, a signal), and the result file is left as it was.`

// flags are the command line.
type flags struct {
	app        *kingpin.Application
	configFile string
	cluster    string
	store      string
	snapshot   string
	directory  string
	resultFile string
	timeout    string
	bound      time.Duration // what timeout says
	level      string
	format     string
	done       bool // --help or --version has been answered
	stderr     io.Writer
}

// plan is what the flags and the configuration come to.
type plan struct {
	options    drill.Options
	resultFile string
}

func newFlags(stdout, stderr io.Writer) *flags {
	f := &flags{app: kingpin.New("etcd_restore_drill", help), stderr: stderr}
	f.app.UsageWriter(stdout).ErrorWriter(stderr)
	f.app.Terminate(func(int) { f.done = true })
	f.app.Version(version.Print("etcd_restore_drill"))
	f.app.HelpFlag.Short('h')
	f.app.Flag("config.file", "YAML file of etcd_exporter with the store in it. (default: none)").PlaceHolder("FILE").StringVar(&f.configFile)
	f.app.Flag("cluster", "Name of the cluster in --config.file. (default: the only one)").PlaceHolder("NAME").StringVar(&f.cluster)
	f.app.Flag("store", "Name of the cluster's backup store. (default: the only one)").PlaceHolder("NAME").StringVar(&f.store)
	f.app.Flag("snapshot", "One snapshot file, plain or compressed, instead of --config.file. (default: none)").PlaceHolder("FILE").StringVar(&f.snapshot)
	f.app.Flag("directory", "Where to restore to, with room for three times the snapshot and 256 MiB. The data lies there for as long as the drill takes, readable for this user alone.").
		Required().PlaceHolder("DIR").StringVar(&f.directory)
	f.app.Flag("result-file", "Where to write the result. (default: the store's drill_result_file)").PlaceHolder("FILE").StringVar(&f.resultFile)
	f.app.Flag("timeout", "How long the drill may take in all; one that is restoring by then has failed.").Default("30m").StringVar(&f.timeout)
	f.app.Flag("log.level", "Least severe messages to log: debug, info, warn or error.").Default("info").StringVar(&f.level)
	f.app.Flag("log.format", "Format of log lines: logfmt or json.").Default("logfmt").StringVar(&f.format)
	return f
}

// parse reads the command line and the configuration.
func (f *flags) parse(args []string) (plan, error) {
	if _, err := f.app.Parse(args); err != nil && !f.done {
		return plan{}, fmt.Errorf("%w; see etcd_restore_drill --help", err)
	}
	if f.done {
		return plan{}, nil
	}
	if err := f.check(); err != nil {
		return plan{}, fmt.Errorf("%w; see etcd_restore_drill --help", err)
	}
	log := cli.NewLogger(f.stderr, f.level, f.format)
	backup, err := f.backup()
	if err != nil {
		return plan{}, err
	}
	if f.resultFile == "" {
		f.resultFile = backup.DrillResultFile
	}
	if err := writable(f.resultFile); err != nil {
		return plan{}, err
	}
	return f.plan(backup, log)
}

func (f *flags) check() error {
	var err error
	if f.bound, err = config.ParseDuration(f.timeout); err != nil {
		return fmt.Errorf("--timeout: %w", err)
	}
	switch {
	case !slices.Contains([]string{"debug", "info", "warn", "error"}, f.level):
		return fmt.Errorf("--log.level=%q is none of debug, info, warn, error", f.level)
	case !slices.Contains([]string{"logfmt", "json"}, f.format):
		return fmt.Errorf("--log.format=%q is none of logfmt, json", f.format)
	case f.snapshot == "" && f.configFile == "":
		return errors.New("--config.file or --snapshot is needed")
	case f.snapshot != "" && f.configFile+f.cluster+f.store != "":
		return errors.New("--snapshot cannot go together with --config.file, --cluster or --store")
	case f.bound <= 0:
		return errors.New("--timeout must be more than zero")
	case f.directory == "":
		return errors.New("--directory is empty")
	}
	return nil
}

func (f *flags) plan(b config.Backup, log *slog.Logger) (plan, error) {
	opened, err := setup.Store(b, log)
	if err != nil {
		return plan{}, fmt.Errorf("backup store %s: %w", b.Name, err)
	}
	return plan{resultFile: f.resultFile, options: drill.Options{
		Store: opened, Name: b.Name, Atomic: f.snapshot != "",
		Directory: f.directory, Timeout: f.bound, Log: log,
	}}, nil
}

// writable finds out early what would make the whole drill be for nothing.
func writable(name string) error {
	if name == "" {
		return nil
	}
	directory := filepath.Dir(name)
	if err := unix.Access(directory, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("result file %s cannot be written: directory %s: %w", name, directory, err)
	}
	return nil
}

// quoteGlob keeps the characters of a name from being read as a pattern.
func quoteGlob(name string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(name)
}
