// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"

	"github.com/etcdops/etcdops/remediate"
)

// journal refuses where the journal cannot be relied on: what is not on record must
// not be done (rule 14).
type journal struct{}

func (journal) Name() string { return "journal" }

func (journal) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	l, err := ledger(c)
	if err != nil {
		return err
	}
	if err := l.Fit(); err != nil {
		return remediate.Refuse("%s", plain(err.Error()))
	}
	return nil
}
