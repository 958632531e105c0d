// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/user"
	"strings"
	"sync"
	"time"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/action"
	"github.com/etcdops/etcdops/remediate/dispatch"
	"github.com/etcdops/etcdops/remediate/journal"
)

// The exit statuses.
const (
	ExitDone    = 0 // or nothing to do
	ExitFailed  = 1
	ExitUsage   = 2 // or configuration
	ExitRefused = 3 // by a guard
)

// Hand is what a person asks for on the command line.
type Hand struct {
	ConfigFile string
	dispatch.Request
	JSON     bool // print the run as the API gives it
	Stdout   io.Writer
	Stderr   io.Writer
	Terminal bool // Stderr is one that takes a progress bar
	// Confirm asks whether to go on; nil: it need not be asked.
	Confirm func(question string) bool
	Logger  *slog.Logger
}

// badUsageError marks an error that has the exit status of bad usage.
type badUsageError struct{ error }

func (e badUsageError) Unwrap() error { return e.error }

// Plan prints what a run would do, and gives the exit status.
func Plan(ctx context.Context, h Hand) int {
	h.Plan = true
	return h.exit(h.carryOut(ctx))
}

// Run carries an action out by hand, and gives the exit status.
func Run(ctx context.Context, h Hand) int {
	return h.exit(h.carryOut(ctx))
}

// Approve has the serving process carry out a run that waits for it.
func Approve(ctx context.Context, h Hand, id string) int {
	v, err := Check(h.ConfigFile)
	if err != nil {
		return h.exit(nil, badUsageError{err})
	}
	s := h.shower()
	run, err := handOver(ctx, v.Remediation.Journal, "/approve", approval{ID: id, By: localUser()}, dispatch.How{Progress: s.progress, Step: s.step})
	s.clear()
	if errors.Is(err, errNobodyServes) {
		err = badUsageError{fmt.Errorf("no process serves with the journal %s: runs are approved where they wait", v.Remediation.Journal)}
	}
	return h.exit(run, err)
}

// exit prints how it ended and gives the exit status.
func (h Hand) exit(run *remediate.Run, err error) int {
	if err != nil {
		fmt.Fprintf(h.Stderr, "etcd_remediator: %v\n", err)
		if _, usage := errors.AsType[badUsageError](err); usage || isUsage(err) {
			return ExitUsage
		}
		if _, usage := errors.AsType[usageError](err); usage {
			return ExitUsage
		}
		if errors.Is(err, errHeld) {
			return ExitRefused
		}
		return ExitFailed
	}
	if h.JSON {
		if err := printJSON(h.Stdout, run); err != nil {
			return ExitFailed
		}
	} else {
		printRun(h.Stdout, run)
		h.hint(run)
	}
	switch run.Outcome {
	case remediate.Succeeded, remediate.Planned, remediate.NothingToDo:
		return ExitDone
	case remediate.Refused:
		return ExitRefused
	default:
		return ExitFailed
	}
}

// hint tells how to get past a guard that wants time.
func (h Hand) hint(run *remediate.Run) {
	if run.Outcome != remediate.Refused {
		return
	}
	for _, v := range run.Guards {
		if v.Verdict == remediate.Allow {
			continue
		}
		if v.Guard != "stable" && v.Guard != "keep" {
			return
		}
	}
	fmt.Fprintln(h.Stdout, "That passes with time: wait for it with --wait, as --wait=15m, or let a serve watch the cluster and hand over to it.")
}

var errHeld = errors.New("another process holds the journal and does not answer on its control socket")

// carryOut hands over to the process that holds the journal, or does it here.
func (h Hand) carryOut(ctx context.Context) (*remediate.Run, error) {
	v, err := Check(h.ConfigFile)
	if err != nil {
		return nil, badUsageError{err}
	}
	if h.Cluster == "" && len(v.Clusters) == 1 {
		h.Cluster = v.Clusters[0].Name
	}
	if h.Cluster == "" {
		return nil, badUsageError{errors.New("several clusters are configured: name one with --cluster")}
	}
	h.By = localUser()
	s := h.shower()
	defer s.clear()
	how := dispatch.How{Progress: s.progress, Step: s.step}
	if h.JSON && !h.Terminal {
		how = dispatch.How{}
	}
	ask, done, err := h.asker(ctx, v)
	if err != nil {
		return nil, err
	}
	defer done()
	if h.Plan || h.Confirm == nil {
		return ask(ctx, h.Request, how)
	}
	return h.confirmed(ctx, ask, how)
}

// confirmed plans, shows the plan, asks, and acts. What a guard refuses is not asked for.
func (h Hand) confirmed(ctx context.Context, ask asker, how dispatch.How) (*remediate.Run, error) {
	first := h.Request
	first.Plan = true
	plan, err := ask(ctx, first, dispatch.How{})
	if err != nil || plan.Outcome == remediate.NothingToDo || plan.Outcome == remediate.Refused {
		return plan, err // there is nothing to ask for
	}
	printRun(h.Stderr, plan)
	if !h.Confirm(fmt.Sprintf("\nCarry this out on cluster %s? It is planned again before each step. [y/N] ", clean(h.Cluster))) {
		return nil, badUsageError{errors.New("not confirmed; nothing was changed")}
	}
	return ask(ctx, h.Request, how)
}

type asker func(ctx context.Context, q dispatch.Request, how dispatch.How) (*remediate.Run, error)

// asker finds who carries a request out: the process that holds the journal, or
// this one.
func (h Hand) asker(ctx context.Context, v *config.Validated) (asker, func(), error) {
	dir := v.Remediation.Journal
	over := func(ctx context.Context, q dispatch.Request, how dispatch.How) (*remediate.Run, error) {
		return handOver(ctx, dir, "/run", q, how)
	}
	if socketAnswers(ctx, dir) {
		return over, func() {}, nil
	}
	// A plan changes nothing, and may be made beside any process.
	kept, err := journal.Open(dir, journal.Options{Log: h.Logger, ReadOnly: h.Plan})
	switch {
	case errors.Is(err, journal.ErrLocked):
		return nil, nil, fmt.Errorf("%w (%w)", errHeld, err)
	case err != nil:
		return nil, nil, err
	}
	local, err := newLocal(ctx, v, kept, h)
	if err != nil {
		_ = kept.Close()
		return nil, nil, err
	}
	return local.dispatcher.ByHand, local.close, nil
}

// local is a run in this very process.
type local struct {
	dispatcher *dispatch.Dispatcher
	clusters   *clusters
	journal    *journal.Journal
	stop       context.CancelFunc
	told       sync.WaitGroup // whoever is to hear of the run has heard of it
}

func newLocal(ctx context.Context, v *config.Validated, kept *journal.Journal, h Hand) (*local, error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &local{clusters: &clusters{log: h.Logger, journal: kept, idle: h.Plan}, journal: kept, stop: stop}
	one := *v
	one.Clusters = nil
	for _, c := range v.Clusters {
		if c.Name == h.Cluster { // the others are none of its business
			one.Clusters = append(one.Clusters, c)
		}
	}
	if len(one.Clusters) == 0 {
		stop()
		return nil, badUsageError{fmt.Errorf("no cluster is called %q: configured are %s", h.Cluster, strings.Join(clusterNames(v), ", "))}
	}
	all, _, err := policies(v.Remediation, remediate.ModeEnforce)
	if err != nil {
		stop()
		return nil, badUsageError{err}
	}
	if err := l.clusters.apply(ctx, &one, nil); err != nil {
		stop()
		return nil, err
	}
	guards, err := l.clusters.guards(v.Remediation)
	if err != nil {
		l.close()
		return nil, badUsageError{err}
	}
	notifier := newNotifier(v.Remediation, h.Logger)
	l.told.Go(func() { notifier.Run(ctx) })
	l.dispatcher = dispatch.New(dispatch.Options{
		Finished: func(run *remediate.Run) { notifier.Ended(*run) },
		Journal:  kept, Targets: l.clusters.targets(), Policies: all, Guards: guards, Action: action.New,
		Default: defaults, Concurrent: v.Remediation.MaxConcurrentClusters, Log: h.Logger, Now: time.Now,
	})
	if err := l.dispatcher.Check(h.Request); err != nil {
		l.close()
		return nil, err
	}
	l.clusters.firstLook(ctx)
	return l, nil
}

func (l *local) close() {
	l.stop()
	l.told.Wait()
	l.clusters.close()
	_ = l.journal.Close()
}

func clusterNames(v *config.Validated) []string {
	var names []string
	for _, c := range v.Clusters {
		names = append(names, c.Name)
	}
	return names
}

func localUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func (h Hand) shower() *shower { return &shower{out: h.Stderr, terminal: h.Terminal} }
