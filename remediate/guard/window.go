// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"

	"github.com/etcdops/etcdops/remediate"
)

// horizon is how far ahead the next window is looked for.
const horizon = 8 * 24 * time.Hour

// window refuses outside the hours that the configuration allows. They bind what an
// alert starts; a person at a terminal chooses the hour.
type window struct{ windows []timeinterval.TimeInterval }

func (window) Name() string { return "window" }

func (g window) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	if len(g.windows) == 0 || byHand(c) {
		return nil
	}
	at, err := now(c)
	if err != nil {
		return err
	}
	for _, w := range g.windows {
		if w.Location != nil && w.Location.Location == nil {
			return errors.New("a window has a location without a time zone")
		}
	}
	if g.open(at) {
		return nil
	}
	// Windows open and close at full minutes.
	for next := at.Truncate(time.Minute).Add(time.Minute); next.Sub(at) < horizon; next = next.Add(time.Minute) {
		if g.open(next) {
			return remediate.RefuseFor(next.Sub(at), "outside the windows; the next one opens at %s", next.UTC().Format(time.RFC3339))
		}
	}
	return remediate.Refuse("outside the windows; none opens within %d days", int(horizon/day))
}

func (g window) open(at time.Time) bool {
	// Alertmanager reads a window without a location in UTC.
	return slices.ContainsFunc(g.windows, func(w timeinterval.TimeInterval) bool { return w.ContainsTime(at.UTC()) })
}

// byHand says whether a person started the run. What is not known was an alert.
func byHand(c *remediate.Cluster) bool {
	return c.Run != nil && c.Run.Trigger.Kind == remediate.TriggerHand
}
