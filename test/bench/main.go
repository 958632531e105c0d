// SPDX-License-Identifier: Apache-2.0

// Command bench measures what docs/benchmarks.md tells of the exporter: on real
// members, each figure a median of several runs unless it says otherwise, and
// figures that are compared taken in turn within one run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

type options struct {
	exporter   string
	remediator string
	version    string
	scrapes    int
	names      int
	minutes    float64
	only       string
	sizes      string
	rates      string
	runs       int
}

// part is a section of docs/benchmarks.md.
type part struct {
	name    string
	measure func(context.Context, options) error
}

func parts() []part {
	return []part{{"scrapes", scrapes}, {"keyspace", keySpaces}, {"snapshots", snapshots}, {"prune", prunes}, {"webhook", webhooks}, {"defrag", defrags}}
}

func main() {
	var o options
	flag.StringVar(&o.exporter, "exporter", "../bin/etcd_exporter", "the program to measure")
	flag.StringVar(&o.remediator, "remediator", "../bin/etcd_remediator", "the program to measure")
	flag.StringVar(&o.version, "version", "3.6.16", "of the etcd members")
	flag.IntVar(&o.scrapes, "scrapes", 1000, "scrapes for the memory figure")
	flag.IntVar(&o.names, "names", 100, "cluster names for the fleet figure")
	flag.Float64Var(&o.minutes, "minutes", 2, "how long the fleet is scraped")
	flag.StringVar(&o.only, "only", "", "one part alone: scrapes, keyspace, snapshots, prune, webhook or defrag")
	flag.StringVar(&o.sizes, "keys", "100000,1000000", "sizes of the key space that is counted, each larger than the one before")
	flag.StringVar(&o.rates, "rates", "1000,2000,3000,4000", "keys a second that are tried, each for 25 s, to prune events")
	flag.IntVar(&o.runs, "runs", 5, "of what is compared in turn")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	child, err := pruneChild(ctx)
	if !child {
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	known := false
	for _, p := range parts() {
		if o.only != "" && o.only != p.name {
			continue
		}
		known = true
		fmt.Printf("== %s, etcd %s, %s\n", p.name, o.version, time.Now().UTC().Format(time.DateOnly))
		if err := p.measure(ctx, o); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Println()
	}
	if !known {
		return fmt.Errorf("no part is called %q", o.only)
	}
	return nil
}

// scrapes measures on three members over mutual TLS.
func scrapes(ctx context.Context, o options) error {
	members, err := lab.Start(ctx, lab.Options{Version: o.version})
	if err != nil {
		return err
	}
	defer members.Close()
	if err := members.Load(ctx, lab.LoadOptions{Keys: 2000, Events: 5000}); err != nil {
		return err
	}
	etcdctl, err := etcdbin.Path(ctx, o.version, "etcdctl")
	if err != nil {
		return err
	}
	config, err := members.WriteConfig(nil)
	if err != nil {
		return err
	}
	e, err := start(ctx, o.exporter, "--config.file="+config)
	if err != nil {
		return err
	}
	defer e.stop()
	for _, measure := range []func() error{
		func() error { return latency(ctx, e, members, etcdctl) },
		func() error { return cost(ctx, e, members) },
		func() error { return memory(ctx, e, o.scrapes) },
		func() error { return hung(ctx, e, members) },
		func() error { return fleet(ctx, o, members) },
	} {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}
