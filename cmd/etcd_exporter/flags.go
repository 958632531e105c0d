// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/etcdops/etcdops/internal/app/exporter"
	"github.com/etcdops/etcdops/internal/app/exporter/top"
	"github.com/etcdops/etcdops/internal/app/exporter/verify"
	"github.com/etcdops/etcdops/internal/cli"
)

const help = `A Prometheus exporter for etcd clusters: database size, health, clock skew, membership, quorum, alarms, compaction, certificates, keys by namespace, and the age and soundness of backups. It only reads.

Without a flag it looks at http://127.0.0.1:2379; on a kubeadm control plane give --etcd.kubeadm-manifest=/etc/kubernetes/manifests/etcd.yaml. Several clusters go into --config.file.`

// flags are the command line of etcd_exporter.
type flags struct {
	app        *kingpin.Application
	options    exporter.Options
	collectors map[string]*bool
	external   string
	level      string
	format     string
	check      bool
	done       bool // --help or --version has been answered
	command    string
	verify     verify.Options
	top        top.Options
	cluster    string // that top looks at
	set        map[string]*bool
	stderr     io.Writer
}

func newFlags(stdout, stderr io.Writer) *flags {
	f := &flags{app: kingpin.New("etcd_exporter", help), collectors: map[string]*bool{}, set: map[string]*bool{}, stderr: stderr}
	f.app.UsageWriter(stdout).ErrorWriter(stderr)
	f.app.Terminate(func(int) { f.done = true })
	f.app.Version(version.Print("etcd_exporter"))
	f.app.HelpFlag.Short('h')
	f.etcdFlags()
	f.configFlags()
	f.collectorFlags()
	f.webFlags()
	f.commands()
	return f
}

// flag declares a flag and notes when the user sets it.
func (f *flags) flag(name, help string) *kingpin.FlagClause {
	f.set[name] = new(bool)
	return f.app.Flag(name, help).IsSetByUser(f.set[name])
}

func (f *flags) etcdFlags() {
	o := &f.options.Flags
	f.flag("etcd.endpoints", "Client URLs of the cluster; repeatable, commas allowed.").
		Default("http://127.0.0.1:2379").StringsVar(&o.Endpoints)
	f.flag("etcd.discover", "Also take the client URLs of every member in the member list. (default: off)").BoolVar(&o.Discover)
	f.flag("etcd.kubeadm-manifest", "Take endpoint, CA and client pair from a kubeadm static pod manifest, as /etc/kubernetes/manifests/etcd.yaml. (default: none)").
		PlaceHolder("FILE").StringVar(&o.KubeadmManifest)
	f.flag("etcd.ca-file", "CA certificates (PEM) that the endpoints' certificates are verified with; read again when it changes. (default: the system's)").
		PlaceHolder("FILE").StringVar(&o.CAFile)
	f.flag("etcd.cert-file", "Client certificate (PEM); read again when it changes. (default: none)").PlaceHolder("FILE").StringVar(&o.CertFile)
	f.flag("etcd.key-file", "Key of the client certificate (PEM); read again when it changes. (default: none)").PlaceHolder("FILE").StringVar(&o.KeyFile)
	f.flag("etcd.server-name", "Name that the endpoints' certificates are verified for. (default: the URL's host)").PlaceHolder("NAME").StringVar(&o.ServerName)
	f.flag("etcd.username", "User, where etcd's authentication is on. (default: none)").PlaceHolder("NAME").StringVar(&o.Username)
	f.flag("etcd.password-file", "File with the user's password; read again when it changes. (default: none)").PlaceHolder("FILE").StringVar(&o.PasswordFile)
	f.flag("etcd.probe-key", "Key that health and compaction read; its value is never asked for.").Default("health").StringVar(&o.ProbeKey)
	f.flag("backup.path", "Directory or glob of snapshot files of the cluster; repeatable; the path is the store's name. (default: none)").
		PlaceHolder("PATH").StringsVar(&o.BackupPaths)
	f.flag("backup.interval", "How often a backup is due.").Default("24h").SetValue(cli.Duration{Flag: "backup.interval", Into: &o.BackupInterval})
}

func (f *flags) configFlags() {
	f.flag("config.file", "YAML file with several clusters, key spaces and backup stores; not together with --etcd.* or --backup.*. (default: none)").
		PlaceHolder("FILE").StringVar(&f.options.ConfigFile)
	f.flag("config.check", "Check the configuration, print what is wrong and exit 0 or 1. (default: off)").BoolVar(&f.check)
	f.flag("scrape.timeout", "Upper bound on one scrape; the scraper's own timeout lowers it.").Default("5s").SetValue(cli.Duration{Flag: "scrape.timeout", Into: &f.options.ScrapeTimeout})
	f.flag("scrape.timeout-offset", "Taken off the timeout that Prometheus sends, so that the answer is there in time.").
		Default("250ms").SetValue(cli.Duration{Flag: "scrape.timeout-offset", Into: &f.options.TimeoutOffset})
	f.flag("log.level", "Least severe messages to log: debug, info, warn or error.").Default("info").SetValue(cli.Word{Flag: "log.level", Into: &f.level, Words: []string{"debug", "info", "warn", "error"}})
	f.flag("log.format", "Format of log lines: logfmt or json.").Default("logfmt").SetValue(cli.Word{Flag: "log.format", Into: &f.format, Words: []string{"logfmt", "json"}})
}

func (f *flags) collectorFlags() {
	for _, c := range exporter.Collectors() {
		enabled := new(bool)
		f.collectors[c.Name] = enabled
		state := "(default: off)"
		if c.Default {
			state = fmt.Sprintf("(default: on; --no-collector.%s switches it off)", c.Name)
		}
		f.flag("collector."+c.Name, c.Help+" "+state).
			Default(fmt.Sprint(c.Default)).BoolVar(enabled)
	}
}

func (f *flags) webFlags() {
	f.options.Web = kingpinflag.AddFlags(f.app, ":10379")
	f.flag("web.external-url", "What /sd names as the exporter's own address, as https://exporter.example:10379. (default: the request's Host)").
		PlaceHolder("URL").StringVar(&f.external)
	f.flag("web.enable-pprof", "Serve Go's profiles under /debug/pprof/. (default: off)").BoolVar(&f.options.Pprof)
}

// parse reads the command line. Its errors are one line each.
func (f *flags) parse(args []string) (exporter.Options, error) {
	if err := f.checkValues(args); err != nil {
		return exporter.Options{}, err
	}
	var err error
	if f.command, err = f.app.Parse(args); err != nil {
		return exporter.Options{}, err
	}
	o := &f.options
	if f.done {
		return *o, nil
	}
	o.Flags.EndpointsSet, o.Flags.BackupIntervalSet = *f.set["etcd.endpoints"], *f.set["backup.interval"]
	for _, c := range exporter.Collectors() {
		if *f.collectors[c.Name] {
			o.Collectors = append(o.Collectors, c.Name)
		}
	}
	o.Logger = cli.NewLogger(f.stderr, f.level, f.format)
	return *o, errors.Join(f.checkConfigFile(), f.checkProbeKey(), f.checkTimes(), f.checkExternalURL())
}

// checkValues names a flag without its value: where there is a default command,
// kingpin names the one after it, and lets the last one pass.
func (f *flags) checkValues(args []string) error {
	for i, arg := range args {
		name, isFlag := strings.CutPrefix(arg, "--")
		flag := f.app.GetFlag(name)
		if !isFlag || flag == nil || flag.Model().IsBoolFlag() {
			continue
		}
		if i+1 == len(args) || strings.HasPrefix(args[i+1], "--") {
			return fmt.Errorf("expected argument for flag '--%s'", name)
		}
	}
	return nil
}

// checkConfigFile refuses flags that a configuration file would make meaningless.
func (f *flags) checkConfigFile() error {
	if f.options.ConfigFile == "" {
		if *f.set["config.file"] {
			return errors.New("--config.file is empty")
		}
		return nil
	}
	var both []string
	for name, set := range f.set {
		if *set && (strings.HasPrefix(name, "etcd.") || strings.HasPrefix(name, "backup.")) {
			both = append(both, "--"+name)
		}
	}
	if len(both) == 0 {
		return nil
	}
	slices.Sort(both)
	return fmt.Errorf("--config.file cannot go together with %s: put it into the file", strings.Join(both, ", "))
}

func (f *flags) checkProbeKey() error {
	if *f.set["etcd.probe-key"] && f.options.Flags.ProbeKey == "" {
		return errors.New("--etcd.probe-key is empty: name a key that may be read; it need not exist")
	}
	return nil
}

func (f *flags) checkTimes() error {
	if f.options.ScrapeTimeout < 10*time.Millisecond {
		return fmt.Errorf("--scrape.timeout=%s is too short, give at least 10ms", f.options.ScrapeTimeout)
	}
	if f.options.TimeoutOffset < 0 {
		return fmt.Errorf("--scrape.timeout-offset=%s is negative", f.options.TimeoutOffset)
	}
	return nil
}

func (f *flags) checkExternalURL() error {
	if f.external == "" {
		return nil
	}
	u, err := url.Parse(f.external)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("--web.external-url is not of the form http://host:port or https://host:port") // it may hold a password
	}
	f.options.ExternalURL = u
	return nil
}
