// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"cmp"
	"context"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// paused refuses while a person has paused everything. A resume is all it takes, so
// that the refusal is not a lasting one: open alerts are tried again.
type paused struct{}

func (paused) Name() string { return "paused" }

func (paused) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	l, err := ledger(c)
	if err != nil {
		return err
	}
	if since, by := l.Paused(); !since.IsZero() {
		return remediate.Refuse("paused by %s since %s", plain(cmp.Or(by, "somebody")), since.UTC().Format(time.RFC3339))
	}
	return nil
}
