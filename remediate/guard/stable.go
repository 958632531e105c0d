// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// stable refuses until leader, term, members and versions have been the same for
// some time, seen by this very process, and every member has run for that long.
type stable struct{}

func (stable) Name() string { return "stable" }

func (stable) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	seen, err := observed(c)
	if err != nil {
		return err
	}
	if c.History == nil {
		return errNoHistory
	}
	at, err := now(c)
	if err != nil {
		return err
	}
	want := c.Policy.StableFor
	since, last := c.History.Stable()
	if since.IsZero() {
		return remediate.RefuseFor(max(want, time.Second), "the cluster is not stable: %s", plain(last))
	}
	if have := at.Sub(since); have < want {
		return remediate.RefuseFor(want-have, "the cluster is stable for %s of %s: %s", span(max(have, 0)), span(want), plain(last))
	}
	// The history's last look is some seconds old.
	if h, ok := c.History.(interface {
		Differs(o *remediate.Observation) string
	}); ok {
		if change := h.Differs(seen); change != "" {
			return remediate.RefuseFor(want, "the cluster is not as it was a moment ago: %s", plain(change))
		}
	}
	for _, m := range seen.Members {
		if err := ranFor(m, at, want); err != nil {
			return err
		}
	}
	return nil
}

// ranFor refuses where a member may have been started within that time.
func ranFor(m remediate.Member, at time.Time, want time.Duration) error {
	switch {
	case m.VitalsErr != nil:
		return fmt.Errorf("when %s was started is not known: %s", name(m), plain(m.VitalsErr.Error()))
	case m.Vitals.Started.IsZero():
		return fmt.Errorf("when %s was started is not known", name(m))
	}
	// Its own clock told the time, and that clock is ahead of ours by SkewMin at least.
	// Where the skew is not known the guard clock refuses, and this one goes on with
	// the most that the other lets pass.
	skew := -maxSkew
	if m.SkewErr == nil {
		skew = m.SkewMin
	}
	if age := at.Add(skew).Sub(m.Vitals.Started); age < want {
		return remediate.RefuseFor(want-age, "%s was started %s ago, less than %s", name(m), span(max(age, 0)), span(want))
	}
	return nil
}
