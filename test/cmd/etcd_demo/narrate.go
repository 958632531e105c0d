// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/test/stack"
)

const (
	lookEvery = 300 * time.Millisecond
	// countEvery is how often a number of events that changes is worth a line.
	countEvery = 3 * time.Second
	// fragmentMebibytes is enough of the lab's quota of 64 MiB to be worth a word.
	fragmentMebibytes = 24
	staleAge          = 3 * time.Hour // of a store whose backups are due every hour
)

// cause is something that goes wrong on demand.
type cause struct {
	key, typed, what string
	do               func(ctx context.Context, f *flags, s *stack.Stack) error
}

var causes = []cause{
	{"Enter", "", "a flood of Kubernetes events", func(ctx context.Context, f *flags, s *stack.Stack) error { return s.Flood(ctx, f.events) }},
	{"f Enter", "f", "databases that are mostly air", func(ctx context.Context, _ *flags, s *stack.Stack) error { return s.Fragment(ctx, fragmentMebibytes) }},
	{"n Enter", "n", "a database that is full (NOSPACE)", func(ctx context.Context, _ *flags, s *stack.Stack) error { return s.Fill(ctx) }},
	{"b Enter", "b", "backups that are three hours old", func(_ context.Context, _ *flags, s *stack.Stack) error { return s.AgeBackups(staleAge) }},
}

// narrator tells what changes.
type narrator struct {
	stack *stack.Stack
	say   func(string, ...any)
	began time.Time

	alerts map[string]string // name to state
	runs   map[string]*told  // by id
	heard  int               // how many messages to people were told
	events int64             // that were told
	counts time.Time         // when they were
	fired  bool              // something fired since the last cause
	cured  bool              // and all of it is resolved
}

// told is what was said of a run.
type told struct {
	steps   int
	outcome string
}

func (n *narrator) tell(who, format string, args ...any) {
	n.say("%6.1f s  %-12s  %s", time.Since(n.began).Seconds(), who, fmt.Sprintf(format, args...))
}

// watch looks and tells until ctx ends, or until the first cure with --once.
func (n *narrator) watch(ctx context.Context, f *flags, typed <-chan string) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	alone := time.NewTimer(f.after)
	defer alone.Stop()
	if err := n.look(ctx, false); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-alone.C:
			if err := n.cause(ctx, f, ""); err != nil {
				return err
			}
		case word := <-typed:
			alone.Stop()
			if err := n.cause(ctx, f, strings.TrimSpace(word)); err != nil {
				return err
			}
		case <-tick.C:
		}
		if err := n.look(ctx, true); err != nil {
			return err
		}
		if n.cured {
			n.cured = false
			n.tell("etcd", "is well again.")
			if f.once {
				return nil
			}
			n.say("Another one? (Enter, f, n, b)")
		}
	}
}

func (n *narrator) cause(ctx context.Context, f *flags, typed string) error {
	i := slices.IndexFunc(causes, func(c cause) bool { return c.typed == typed })
	if i < 0 {
		n.tell("you", "said %q, which means nothing here", typed)
		return nil
	}
	n.began, n.fired = time.Now(), false
	n.say("")
	n.tell("you", "cause %s", causes[i].what)
	if err := causes[i].do(ctx, f, n.stack); err != nil {
		return err
	}
	n.tell("etcd", "has it")
	return nil
}

// look compares what is with what was told. Quietly, it only takes note.
func (n *narrator) look(ctx context.Context, aloud bool) error {
	say := n.say
	if !aloud {
		n.say = func(string, ...any) {}
		defer func() { n.say = say }()
	}
	for _, look := range []func(context.Context) error{n.lookAtAlerts, n.lookAtRuns, n.lookAtEvents} {
		if err := look(ctx); err != nil {
			return err
		}
	}
	n.lookAtPeople()
	return nil
}

// ours says whether an alert is part of the story: the others are as they are because
// time runs faster here.
func ours(name string) bool {
	return slices.Contains(stack.Triggers, name) || (strings.HasPrefix(name, "EtcdRemediation") && name != "EtcdRemediationHeartbeat")
}

func (n *narrator) lookAtAlerts(ctx context.Context) error {
	alerts, err := n.stack.Alerts(ctx)
	if err != nil {
		return err
	}
	now := map[string]string{}
	for _, a := range alerts {
		if name := a.Name(); ours(name) && now[name] != "firing" { // one name may have several alerts
			now[name] = a.State
		}
	}
	for name, state := range now {
		if n.alerts[name] == state {
			continue
		}
		n.tell("Prometheus", "%s is %s", name, state)
		n.fired = n.fired || state == "firing"
	}
	for name, state := range n.alerts {
		if now[name] == "" && state == "firing" {
			n.tell("Prometheus", "%s is resolved", name)
		}
	}
	n.alerts = now
	if n.fired && len(now) == 0 {
		n.fired, n.cured = false, true
	}
	return nil
}

func (n *narrator) lookAtRuns(ctx context.Context) error {
	runs, err := n.stack.Runs(ctx)
	if err != nil {
		return err
	}
	for _, r := range slices.Backward(runs) {
		n.lookAtRun(r)
	}
	return nil
}

func (n *narrator) lookAtRun(r stack.Run) {
	known := n.runs[r.ID]
	if known == nil {
		known = &told{}
		n.runs[r.ID] = known
		n.tell("remediator", "has taken the webhook: policy %s, a run of %s", r.Policy, r.Action)
	}
	for _, step := range r.Steps[min(known.steps, len(r.Steps)):] {
		if step.FinishedAt.IsZero() && step.Error == "" {
			break // it is told of when it is done
		}
		known.steps++
		if text := stepText(step); text != "" {
			n.tell("remediator", "%s", text)
		}
	}
	if r.Outcome != known.outcome {
		known.outcome = r.Outcome
		text := r.Policy + ": " + strings.ReplaceAll(r.Outcome, "_", " ")
		if r.Reason != "" {
			text += ", " + r.Reason
		}
		n.tell("remediator", "%s", text)
	}
}

// stepText is one step in words. A prune has hundreds of them, which the falling number
// of events tells of.
func stepText(s stack.Step) string {
	text := "step " + s.Action
	switch {
	case s.Keys > 0 && s.Error == "":
		return ""
	case s.Member != "":
		text += " on " + s.Member
	case s.URL != "":
		text += " on " + s.URL
	}
	if s.BeforeBytes > 0 && s.AfterBytes > 0 {
		text += fmt.Sprintf(": %.1f MB, before %.1f MB", float64(s.AfterBytes)/1e6, float64(s.BeforeBytes)/1e6)
	}
	if s.Error != "" {
		text += ": " + s.Error
	}
	return text
}

func (n *narrator) lookAtEvents(ctx context.Context) error {
	events, err := n.stack.Events(ctx)
	if err != nil {
		return nil //nolint:nilerr // etcd may be busy, that is what this is about
	}
	if events == n.events || (events != 0 && time.Since(n.counts) < countEvery) {
		return nil
	}
	n.events, n.counts = events, time.Now()
	n.tell("etcd", "holds %d events", events)
	return nil
}

func (n *narrator) lookAtPeople() {
	heard := n.stack.People.Heard(time.Time{})
	for _, notice := range heard[n.heard:] {
		if ours(notice.Name()) {
			n.tell("people", "hear on %s: %s %s", notice.To, notice.Name(), notice.Status)
		}
	}
	n.heard = len(heard)
}
