// SPDX-License-Identifier: Apache-2.0

// Command etcd_binaries makes etcd's programs ahead of the tests that use them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/etcdops/etcdops/test/etcdbin"
)

func main() {
	app := kingpin.New("etcd_binaries", "Makes etcd's programs and keeps them in .tools/etcd.")
	programs := app.Flag("program", "Program to make: etcd, etcdctl or etcdutl; repeatable.").Default(etcdbin.Etcd).
		Enums(etcdbin.Etcd, etcdbin.Etcdctl, etcdbin.Etcdutl)
	versions := app.Arg("version", "Versions, such as 3.6.16 or 3.6.16-skew; all the tests' versions unless given.").
		Default(append(etcdbin.Versions(), "3.6.16"+etcdbin.SkewSuffix)...).Strings()
	app.HelpFlag.Short('h')
	if _, err := app.Parse(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "etcd_binaries:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := provide(ctx, *versions, *programs)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd_binaries:", err)
		os.Exit(1)
	}
}

// provide makes every program of every version, one after another: a build
// uses all processors by itself.
func provide(ctx context.Context, versions, programs []string) error {
	for _, version := range versions {
		for _, program := range programs {
			began := time.Now()
			path, err := etcdbin.Path(ctx, version, program)
			if err != nil {
				return err
			}
			fmt.Printf("%-24s %6.1fs  %s\n", strings.Join([]string{program, version}, " "), time.Since(began).Seconds(), path)
		}
	}
	return nil
}
