// SPDX-License-Identifier: Apache-2.0

// Package stack runs the whole loop on one machine: a lab of etcd members, the
// exporter, Prometheus with the rendered alerts, Alertmanager, the remediator, and
// the people whom Alertmanager tells. Prometheus and Alertmanager run with the files
// of deploy/; only addresses and times are others.
package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// Options describe a stack. Every field but Root has a default.
type Options struct {
	Root     string // of the repository
	Programs string // directory of etcd_exporter and etcd_remediator; default: bin of Root

	Lab lab.Options // default: three members of 3.6.16 over mTLS, a quota of 64 MiB

	Scale  float64           // divides the times of the alerts
	Knobs  map[string]string // of mixin/config.libsonnet, in jsonnet
	Every  time.Duration     // between scrapes and evaluations
	Repeat time.Duration     // repeat_interval of the route to the webhook
	Mode   string            // of the remediator; default: enforce

	Log func(format string, args ...any) // hears what is started; default: nobody
}

// Stack is the running loop.
type Stack struct {
	Lab          *lab.Lab
	Exporter     *Program
	Remediator   *Program
	Alertmanager *Program
	Prometheus   *Program
	People       *People

	options Options
	dir     string
	nursery *nursery
}

// The lab's version and quota, unless others are asked for.
const (
	version = "3.6.16"
	quota   = 64 << 20
)

func (o Options) resolve() Options {
	if o.Programs == "" {
		o.Programs = filepath.Join(o.Root, "bin")
	}
	if o.Lab.Version == "" {
		o.Lab.Version = version
	}
	if o.Lab.QuotaBytes == 0 {
		o.Lab.QuotaBytes = quota
	}
	if o.Scale == 0 {
		o.Scale = 1
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.Repeat == 0 {
		o.Repeat = 10 * time.Second
	}
	if o.Mode == "" {
		o.Mode = "enforce"
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	return o
}

// Start starts a stack, and returns when each program listens and Prometheus has
// scraped every target. The context bounds the start only: Close ends the stack.
func Start(ctx context.Context, options Options) (_ *Stack, err error) {
	s := &Stack{options: options.resolve(), nursery: newNursery()}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start the loop: %w", err), s.Close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "etcdops-stack-"); err != nil {
		return nil, err
	}
	if s.People, err = startPeople(ctx); err != nil {
		return nil, err
	}
	s.options.Log("starting etcd")
	if s.Lab, err = lab.Start(ctx, s.options.Lab); err != nil {
		return nil, err
	}
	if err := s.configure(); err != nil {
		return nil, err
	}
	for _, start := range []func(context.Context) error{s.TakeBackup, s.StartExporter, s.startRemediator, s.startAlertmanager, s.startPrometheus} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	return s, Await(ctx, startTime, "Prometheus has scraped every target", func() error { return s.scraped(ctx) })
}

// Programs are the processes, in the order in which they were started.
func (s *Stack) Programs() []*Program {
	var all []*Program
	for _, p := range []*Program{s.Exporter, s.Remediator, s.Alertmanager, s.Prometheus} {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

// Close ends everything, those who ask before those who answer, and leaves nothing.
func (s *Stack) Close() error {
	failed := []error{s.Prometheus.stop(), s.Alertmanager.stop(), s.Remediator.stop(), s.Exporter.stop()}
	s.nursery.close()
	if s.Lab != nil {
		failed = append(failed, s.Lab.Close())
	}
	if s.People != nil {
		s.People.close()
	}
	if s.dir != "" {
		failed = append(failed, os.RemoveAll(s.dir))
	}
	return errors.Join(failed...)
}

// Dir is a directory of the stack's own; backups are in `backups` below it.
func (s *Stack) Dir() string { return s.dir }

// BackupDir is the directory of the store `local`.
func (s *Stack) BackupDir() string { return s.path("backups") }

func (s *Stack) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}
