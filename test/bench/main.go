// SPDX-License-Identifier: Apache-2.0

// Command bench measures what docs/benchmarks.md tells of the exporter: on three
// real members over mutual TLS, each figure a median of several runs, and figures
// that are compared taken in turn within one run.
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
	exporter string
	version  string
	scrapes  int
	names    int
	minutes  float64
}

func main() {
	var o options
	flag.StringVar(&o.exporter, "exporter", "../bin/etcd_exporter", "the program to measure")
	flag.StringVar(&o.version, "version", "3.6.16", "of the etcd members")
	flag.IntVar(&o.scrapes, "scrapes", 1000, "scrapes for the memory figure")
	flag.IntVar(&o.names, "names", 100, "cluster names for the fleet figure")
	flag.Float64Var(&o.minutes, "minutes", 2, "how long the fleet is scraped")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
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
	fmt.Printf("3 members of etcd %s over mTLS, %s\n\n", o.version, time.Now().UTC().Format(time.DateOnly))
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
