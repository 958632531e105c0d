// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/stack"
)

// patience bounds each thing that a scene waits for.
const patience = 100 * time.Second

// scene is one cause and what came of it.
type scene struct {
	*stack.Stack
	t     *testing.T
	began time.Time
}

// begin notes the time and brings the cause about.
func begin(t *testing.T, s *stack.Stack, cause func(context.Context) error) *scene {
	t.Helper()
	c := &scene{Stack: s, t: t, began: time.Now()}
	must(t, cause(t.Context()))
	t.Logf("%5.1f s  the cause is there", time.Since(c.began).Seconds())
	return c
}

// after waits for something, and tells how long after the cause it came.
func (s *scene) after(what string, try func() error) {
	s.t.Helper()
	must(s.t, stack.Await(s.t.Context(), patience, what, try))
	s.t.Logf("%5.1f s  %s", time.Since(s.began).Seconds(), what)
}

func (s *scene) fires(alert string) {
	s.t.Helper()
	s.after(alert+" fires", func() error { return s.is(alert, true) })
}

func (s *scene) resolved(alert string) {
	s.t.Helper()
	s.after(alert+" is resolved", func() error { return s.is(alert, false) })
}

func (s *scene) is(alert string, want bool) error {
	firing, err := s.Firing(s.t.Context(), alert)
	if err == nil && firing != want {
		err = fmt.Errorf("firing: %t", firing)
	}
	return err
}

// run waits for a run of a policy, begun after the cause, that has that outcome.
func (s *scene) run(policy, outcome string) (found stack.Run) {
	s.t.Helper()
	s.after(fmt.Sprintf("a run of policy %s: %s", policy, outcome), func() error {
		runs, err := s.Runs(s.t.Context())
		if err != nil {
			return err
		}
		runs = slices.DeleteFunc(runs, func(r stack.Run) bool { return r.Policy != policy || r.AcceptedAt.Before(s.began) })
		for _, found = range runs {
			if found.Outcome == outcome {
				return nil
			}
		}
		return fmt.Errorf("runs: %+v", runs)
	})
	return found
}

// people waits until those who read there heard of an alert.
func (s *scene) people(to, status, alert string) {
	s.t.Helper()
	s.after(fmt.Sprintf("people hear on %s: %s %s", to, alert, status), func() error {
		heard := s.People.Heard(s.began)
		if slices.ContainsFunc(heard, func(n stack.Notice) bool { return n.Name() == alert && n.To == to && n.Status == status }) {
			return nil
		}
		return errors.New("they did not")
	})
}

// cured waits until an alert is gone and people know.
func (s *scene) cured(to, alert string) {
	s.t.Helper()
	s.resolved(alert)
	s.people(to, "resolved", alert)
}
