// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// userPrefix is what the user that --auth makes may read.
const userPrefix = "/registry/"

// run is the life of the lab. It returns the exit status, which is 0 when a
// signal asked for the end.
func run(ctx context.Context, f *flags) (code int, err error) {
	began := time.Now()
	l, err := lab.Start(ctx, f.options)
	if err != nil {
		return ended(ctx, err)
	}
	defer func() {
		if closing := l.Close(); closing != nil && err == nil {
			code, err = 1, fmt.Errorf("stop: %w", closing)
		}
	}()
	r := &report{flags: f, lab: l, started: time.Since(began)}
	if err := furnish(ctx, f, l, r); err != nil {
		return ended(ctx, err)
	}
	r.print()
	if len(f.command) > 0 {
		return runCommand(ctx, f, r)
	}
	<-ctx.Done()
	fmt.Fprintln(f.out, "\nStopping.")
	return 0, nil
}

// ended judges an error: what a signal broke off did not fail.
func ended(ctx context.Context, err error) (int, error) {
	if ctx.Err() == nil {
		return 1, err
	}
	return 0, nil
}

// furnish puts into a fresh lab what the flags ask for.
func furnish(ctx context.Context, f *flags, l *lab.Lab, r *report) error {
	began := time.Now()
	if err := l.Load(ctx, f.load); err != nil {
		return err
	}
	r.loaded = time.Since(began)
	if f.learner {
		if _, err := l.AddLearner(ctx); err != nil {
			return err
		}
	}
	if f.unstarted {
		if _, _, err := l.AddUnstarted(ctx); err != nil {
			return err
		}
	}
	var user *lab.User
	if f.auth {
		user = &lab.User{Name: "etcdops", Password: rand.Text(), Prefix: userPrefix}
		r.rootPassword = rand.Text()
		if err := l.EnableAuth(ctx, r.rootPassword, *user); err != nil {
			return err
		}
	}
	var err error
	r.config, err = l.WriteConfig(user)
	return err
}
