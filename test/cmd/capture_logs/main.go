// SPDX-License-Identifier: Apache-2.0

// Command capture_logs records what real etcd of each version logs, healthy and
// in each kind of trouble that a rule of alerts/loki watches for, into
// test/loki/testdata, where the rules' test reads it:
//
//	go -C test run ./cmd/capture_logs loki/testdata
//
// It needs strace, for the slow disk, and takes about two minutes a version.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

// timeout bounds one scene.
const timeout = 2 * time.Minute

// textLogger is how a directory is called whose members log etcd 3.4's old text.
const textLogger = "3.4.23-capnslog"

func main() {
	app := kingpin.New("capture_logs", "Records the logs of real etcd for the test of the rules on logs.")
	versions := app.Flag("version", "etcd release; repeatable.").Default(append(etcdbin.Versions(), textLogger)...).Strings()
	only := app.Flag("scene", "Only this scene: "+strings.Join(sceneNames(), ", ")+"; repeatable.").Enums(sceneNames()...)
	dir := app.Arg("directory", "test/loki/testdata.").Required().ExistingDir()
	if _, err := app.Parse(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "capture_logs:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := capture(ctx, *dir, *versions, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "capture_logs:", err)
		os.Exit(1)
	}
}

func capture(ctx context.Context, dir string, versions, only []string) error {
	for _, version := range versions {
		into := filepath.Join(dir, version)
		if err := os.MkdirAll(into, 0o755); err != nil {
			return err
		}
		for _, s := range scenes {
			if len(only) > 0 && !slices.Contains(only, s.name) {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			err := play(ctx, into, version, s)
			cancel()
			if err != nil {
				return fmt.Errorf("etcd %s: %s: %w", version, s.name, err)
			}
		}
	}
	return nil
}

// play starts the scene's lab, and records each of its parts as a file.
func play(ctx context.Context, dir, version string, s scene) (err error) {
	l, err := lab.Start(ctx, s.optionsOf(version))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	log := &recorder{lab: l, version: release(version)}
	if !s.parts[0].all { // the start is of the healthy ones
		if _, err := log.take(false); err != nil {
			return err
		}
	}
	for _, p := range s.parts {
		if err := p.act(ctx, log); err != nil {
			return fmt.Errorf("%s: %w\n%s", p.file, err, strings.Join(log.tail(), "\n"))
		}
		lines, err := log.take(p.all)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, p.file+".log"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			return err
		}
		fmt.Printf("%-16s %-20s %3d lines\n", version, p.file, len(lines))
	}
	return nil
}

// release is the version of the binaries of a directory.
func release(version string) string { return strings.TrimSuffix(version, "-capnslog") }

// optionsOf are the scene's lab for a version.
func (s scene) optionsOf(version string) lab.Options {
	options := s.options
	options.Version = release(version)
	own := map[int]lab.MemberOptions{}
	for i := range 3 {
		var member lab.MemberOptions
		if s.flags != nil {
			member.Args = s.flags(options.Version)
		}
		if i == 2 && s.skew != 0 {
			member.ClockSkew, member.Version = s.skew, skewed(options.Version)
		}
		if version == textLogger && member.Version == "" {
			member.Args = append(member.Args, "--logger=capnslog")
		}
		own[i] = member
	}
	options.Member = own
	return options
}

// skewed is a version of which a member with a wrong clock can be had: 3.4 comes
// as a package, so its two sound members watch a third of 3.5.
func skewed(version string) string {
	if strings.HasPrefix(version, "3.4.") {
		return "3.5.35"
	}
	return ""
}
