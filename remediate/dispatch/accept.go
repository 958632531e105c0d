// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/journal"
	"github.com/etcdops/etcdops/remediate/webhook"
)

// Accept keeps what a delivery asks for; it is in the journal when Accept returns.
// The same policy and cluster is one intent, however often it is delivered.
func (d *Dispatcher) Accept(ctx context.Context, hits []webhook.Hit) error {
	d.mu.Lock()
	stopped := d.stopped
	d.mu.Unlock()
	if stopped {
		return fmt.Errorf("%w: %w", webhook.ErrUnavailable, ErrStopping)
	}
	var firing []journal.Intent
	var resolved []string
	for _, h := range hits {
		if h.Status != webhook.Firing {
			resolved = append(resolved, h.Fingerprint)
			continue
		}
		firing = append(firing, journal.Intent{
			Policy: h.Policy.Name, Cluster: h.Cluster, Alert: h.Alert, Fingerprint: h.Fingerprint, AcceptedAt: d.o.Now(),
		})
	}
	if len(resolved) > 0 {
		if err := d.o.Journal.Resolve(ctx, resolved...); err != nil {
			return fmt.Errorf("%w: %w", webhook.ErrUnavailable, err)
		}
	}
	if len(firing) > 0 {
		if err := d.o.Journal.Accept(ctx, firing...); err != nil {
			return fmt.Errorf("%w: %w", webhook.ErrUnavailable, err)
		}
	}
	d.noteFiring(hits)
	d.Wake()
	return nil
}

// maxFiring bounds the alerts of one policy and cluster that are remembered as firing.
const maxFiring = 1000

// noteFiring keeps which alerts fire, also when all was done that could be. Those of
// which nothing was heard for long are let go of: not every alert is resolved.
func (d *Dispatcher) noteFiring(hits []webhook.Hit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.o.Now()
	for _, h := range hits {
		key := intentKey{h.Policy.Name, h.Cluster}
		if h.Status != webhook.Firing {
			delete(d.firing[key], h.Fingerprint)
			continue
		}
		if d.firing[key] == nil {
			d.firing[key] = map[string]time.Time{}
		}
		if len(d.firing[key]) >= maxFiring {
			maps.DeleteFunc(d.firing[key], func(_ string, at time.Time) bool { return now.Sub(at) >= intentAge })
		}
		if _, known := d.firing[key][h.Fingerprint]; known || len(d.firing[key]) < maxFiring {
			d.firing[key][h.Fingerprint] = now
		}
	}
}

// Firing says whether an alert that starts the policy fires, as far as was told in
// the last hours.
func (d *Dispatcher) Firing(policy, cluster string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range d.firing[intentKey{policy, cluster}] {
		if d.o.Now().Sub(at) < intentAge {
			return true
		}
	}
	return slices.ContainsFunc(d.o.Journal.Intents(), func(i journal.Intent) bool {
		return i.Policy == policy && i.Cluster == cluster && len(i.Firing) > 0
	})
}

func intentOf(r *remediate.Run) journal.Intent {
	return journal.Intent{Policy: r.Policy, Cluster: r.Cluster}
}
