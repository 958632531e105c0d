// SPDX-License-Identifier: Apache-2.0

// Command etcd_lab starts real etcd members with Kubernetes-like keys, for
// trying things out: on its own until Ctrl-C, or around a command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/alecthomas/units"

	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

const help = `Starts real etcd members with Kubernetes-like keys and stops them on Ctrl-C.
With a COMMAND (after --) it runs that, and ends when it ends; {config}, {dir} and {endpoints}
in its arguments become the configuration file, the directory and the client URLs.`

// embedded is what --version calls members inside this process.
const embedded = "embedded"

// flags are the command line.
type flags struct {
	options     lab.Options
	load        lab.LoadOptions
	version     string
	tls         bool
	learner     bool
	unstarted   bool
	auth        bool
	exporter    string // host:port
	command     []string
	out, errOut io.Writer
}

func main() {
	f, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd_lab: %v (see --help)\n", err)
		os.Exit(2)
	}
	f.out, f.errOut = os.Stdout, os.Stderr
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	code, err := run(ctx, f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd_lab:", err)
	}
	os.Exit(code)
}

// parse reads and judges the command line; --help ends the program.
func parse(args []string) (*flags, error) {
	// kingpin sets no defaults where a flag called version is given, so they
	// are set here and its help shows them as placeholders.
	f := &flags{version: embedded, tls: true, load: lab.LoadOptions{Keys: 2000, Events: 5000}}
	f.options.Members = 3
	var quota units.Base2Bytes
	app := kingpin.New("etcd_lab", help)
	app.HelpFlag.Short('h')
	app.Flag("members", "How many voters, 1 to 9.").PlaceHolder("3").IntVar(&f.options.Members)
	app.Flag("version", "embedded (3.7.3, in this process), or a release such as 3.4.23, 3.5.35, 3.6.16, 3.7.3, built at first use.").
		PlaceHolder(embedded).StringVar(&f.version)
	app.Flag("tls", "mTLS on client and peer ports; --no-tls: plain.").BoolVar(&f.tls)
	app.Flag("keys", "How many keys below /registry/, events not counted.").PlaceHolder("2000").IntVar(&f.load.Keys)
	app.Flag("events", "How many keys below /registry/events/.").PlaceHolder("5000").IntVar(&f.load.Events)
	app.Flag("base-port", "Member i listens on this port + 10 i (clients) and the next (peers). 0: free ports.").
		PlaceHolder("0").IntVar(&f.options.BasePort)
	app.Flag("dir", "Directory to make and keep; default: a temporary one, removed at the end.").StringVar(&f.options.Dir)
	app.Flag("quota", "Quota of each member's database, such as 64MB (of 1024 kB each). 0: etcd's own, 2 GiB.").
		PlaceHolder("0").BytesVar(&quota)
	app.Flag("learner", "Add a learner.").BoolVar(&f.learner)
	app.Flag("unstarted", "Add a voter that never starts.").BoolVar(&f.unstarted)
	app.Flag("exporter", "Where COMMAND, an etcd_exporter, will listen: its URLs and a scrape_config are printed too.").
		PlaceHolder("HOST:PORT").StringVar(&f.exporter)
	app.Flag("auth", "Turn etcd's auth on, with a user etcdops that may read /registry/.").BoolVar(&f.auth)
	app.Arg("command", "Command to run, after --.").StringsVar(&f.command)
	if _, err := app.Parse(args); err != nil {
		return nil, err
	}
	f.options.QuotaBytes = int64(quota)
	return f, f.check()
}

func (f *flags) check() error {
	if f.version != embedded {
		f.options.Version = f.version
		if err := etcdbin.Check(f.version, etcdbin.Etcd); err != nil {
			return fmt.Errorf("--version: %w", err)
		}
	}
	if !f.tls {
		f.options.TLS = lab.Plain
	}
	highest := 65535 - 10*(f.options.Members+1)
	switch port := f.options.BasePort; {
	case f.options.Members < 1 || f.options.Members > 9:
		return errors.New("--members must be 1 to 9")
	case f.load.Keys < 0 || f.load.Events < 0:
		return errors.New("--keys and --events must not be negative")
	case port != 0 && (port < 1024 || port > highest):
		return fmt.Errorf("--base-port must be 1024 to %d, or 0", highest)
	case f.options.QuotaBytes < 0:
		return errors.New("--quota must not be negative")
	case f.unstarted && f.options.Members == 1:
		return errors.New("--unstarted needs --members of 2 or more: one of two is no quorum")
	}
	return nil
}
