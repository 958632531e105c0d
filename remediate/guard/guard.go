// SPDX-License-Identifier: Apache-2.0

// Package guard holds what must be so before a remedy is begun and before each of
// its steps. Each guard looks at one thing and fails closed: what it cannot tell it
// refuses. None of them asks the cluster; they judge what was observed right before.
package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"

	"github.com/etcdops/etcdops/remediate"
)

// Election says whether this process is the one that may act.
type Election interface {
	// Holds gives the reason where it does not.
	Holds(cluster string) (holds bool, why string)
}

// Options are what guards need beside the cluster.
type Options struct {
	Election Election                    // nil: this process is the only one
	Aside    bool                        // others elect who acts, and this process takes no part: it only plans
	Windows  []timeinterval.TimeInterval // when alerts may start a run; empty: at any time
	// Free gives the free bytes of a directory's file system; nil: statfs(2).
	Free func(dir string) (uint64, error)
	// Query gives how many series or samples a PromQL expression returns; nil: there
	// is no Prometheus to ask.
	Query func(ctx context.Context, promql string) (n int, err error)
}

// All are the guards in the order in which they are shown: whether we may act at all,
// whether the cluster is well, and whether the step is worth its danger.
func All(o Options) []remediate.Guard {
	if o.Free == nil {
		o.Free = statfs
	}
	return []remediate.Guard{
		paused{},
		journal{},
		election{o.Election, o.Aside},
		window{o.Windows},
		breaker{},
		cooldown{},
		budget{},
		members{},
		health{},
		lag{},
		corrupt{},
		version{},
		voters{},
		stable{},
		defragmenting{},
		clock{},
		disk{o.Free},
		queries{o.Query},
		quota{},
		pause{},
		snapshot{},
	}
}

// Names are the names of all guards, for metrics that exist from the start.
func Names() []string {
	var names []string
	for _, g := range All(Options{}) {
		names = append(names, g.Name())
	}
	return names
}

// What keeps a guard from telling.
var (
	errNoLedger  = errors.New("what was done before is not known: there is no journal")
	errNoHistory = errors.New("nobody has watched the cluster")
	errNoClock   = errors.New("there is no clock to go by")
	errNotSeen   = errors.New("the cluster was not observed")
	errNoMembers = errors.New("nothing is known of the cluster's members")
)

// observed gives what was seen of the cluster. Nothing seen is an error, so that a
// guard with nobody to object to does not allow.
func observed(c *remediate.Cluster) (*remediate.Observation, error) {
	switch {
	case c.Seen == nil:
		return nil, errNotSeen
	case c.Seen.ListErr != nil:
		return nil, fmt.Errorf("%w: %s", errNoMembers, plain(c.Seen.ListErr.Error()))
	case len(c.Seen.Voters()) == 0:
		return nil, errNoMembers
	}
	return c.Seen, nil
}

func ledger(c *remediate.Cluster) (remediate.Ledger, error) {
	if c.Ledger == nil {
		return nil, errNoLedger
	}
	return c.Ledger, nil
}

func now(c *remediate.Cluster) (time.Time, error) {
	if c.Now == nil {
		return time.Time{}, errNoClock
	}
	return c.Now(), nil
}

// concerns says whether a guard of steps of these kinds has something to check:
// before such a step, and before the plan of an action that is known to take them.
// recover_space chooses as it goes, so that only its steps tell.
func concerns(c *remediate.Cluster, s *remediate.Step, kinds ...string) bool {
	if isStep(s) {
		return slices.Contains(kinds, s.Action)
	}
	switch action := actionOf(c); action {
	case remediate.ActionDefrag:
		return slices.Contains(kinds, remediate.StepDefrag)
	case remediate.ActionCompact:
		return slices.Contains(kinds, remediate.StepCompact)
	case remediate.ActionPruneEvents:
		return slices.Contains(kinds, remediate.StepPrune)
	default:
		return false
	}
}

// isStep says whether a step is known; before the plan there is none.
func isStep(s *remediate.Step) bool { return s != nil && s.Action != "" }

func actionOf(c *remediate.Cluster) string {
	if c.Run != nil && c.Run.Action != "" {
		return c.Run.Action
	}
	return c.Policy.Action
}

// target gives the member that a step is for.
func target(c *remediate.Cluster, s *remediate.Step) (remediate.Member, error) {
	seen, err := observed(c)
	if err != nil {
		return remediate.Member{}, err
	}
	m, ok := seen.MemberAt(s.URL)
	switch {
	case !ok:
		return m, fmt.Errorf("no member is known at %s", plain(s.URL))
	case m.StatusErr != nil:
		return m, fmt.Errorf("the status of %s is not known: %s", name(m), plain(m.StatusErr.Error()))
	case m.Status.DBInUse <= 0:
		return m, fmt.Errorf("the size of %s is not known", name(m))
	}
	return m, nil
}

// name is a member for a person.
func name(m remediate.Member) string { return plain(m.Label()) }

// maxWord bounds what is repeated of a text that others wrote, in bytes.
const maxWord = 200

// plain makes one clean line of what others wrote: reasons end in logs and on pages.
func plain(s string) string {
	if len(s) > maxWord {
		return fmt.Sprintf("%.*q...", maxWord, s)
	}
	if quoted := strconv.Quote(s); len(quoted) != len(s)+2 {
		return quoted
	}
	return s
}

// span is a length of time for a person.
func span(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Second / 10).String()
	}
	return d.Round(time.Second).String()
}

// size is a number of bytes for a person.
func size(bytes float64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	for bytes >= 1024 && len(units) > 1 {
		bytes, units = bytes/1024, units[1:]
	}
	return fmt.Sprintf("%.4g %s", bytes, units[0])
}
