// SPDX-License-Identifier: Apache-2.0

//go:build slow

// Package gallery holds the alerts against a real cluster: one fault after the other,
// where the right alerts must fire, and a long quiet time, where none may. It takes
// longer than make test should: make gallery and make soak run it.
package gallery

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/stack"
)

var root = filepath.Join("..", "..")

// heartbeat always fires.
const heartbeat = "EtcdRemediationHeartbeat"

// must ends the test on any error.
func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// start starts a stack on a disk that is really written to, with a key space.
func start(t *testing.T, options stack.Options) *stack.Stack {
	t.Helper()
	options.Root, options.Log, options.Lab.Fsync = root, t.Logf, true
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a first build of etcd included
	defer cancel()
	s, err := stack.Start(ctx, options)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for _, p := range s.Programs() {
			if log := p.Log(); t.Failed() {
				t.Logf("the log of %s ends:\n%s", p.Name, log[max(0, len(log)-4000):])
			}
		}
	})
	// A backup of the empty cluster would be called too small.
	must(t, s.Lab.Load(ctx, lab.LoadOptions{Keys: 500}), s.TakeBackup(ctx))
	return s
}

// fired is an alert that fired: its name and severity.
type fired struct{ name, severity string }

func (f fired) String() string { return f.name + " (" + f.severity + ")" }

// firing are the alerts that fire now, the heartbeat left out.
func firing(ctx context.Context, s *stack.Stack) (map[fired]stack.Alert, error) {
	alerts, err := s.Alerts(ctx)
	all := map[fired]stack.Alert{}
	for _, a := range alerts {
		if a.State == "firing" && a.Name() != heartbeat {
			all[fired{a.Name(), a.Labels["severity"]}] = a
		}
	}
	return all, err
}

// quiet waits until nothing fires, and nothing is about to.
func quiet(t *testing.T, s *stack.Stack, within time.Duration) {
	t.Helper()
	must(t, stack.Await(t.Context(), within, "nothing fires", func() error {
		alerts, err := s.Alerts(t.Context())
		if err != nil {
			return err
		}
		alerts = slices.DeleteFunc(alerts, func(a stack.Alert) bool { return a.Name() == heartbeat })
		if len(alerts) > 0 {
			return fmt.Errorf("%d are %s, the first %v", len(alerts), alerts[0].State, alerts[0].Labels)
		}
		return nil
	}))
}
