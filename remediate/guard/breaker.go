// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"cmp"
	"context"

	"github.com/etcdops/etcdops/remediate"
)

// breaker refuses after runs that brought next to nothing, until a person resumes
// (rule 11). Like a pause it is not lasting: open alerts are tried again.
type breaker struct{}

func (breaker) Name() string { return "breaker" }

func (breaker) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	l, err := ledger(c)
	if err != nil {
		return err
	}
	if open, why := l.Breaker(c.Name, c.Policy.Account()); open {
		return remediate.Refuse("the breaker is open until a person resumes: %s", plain(cmp.Or(why, "runs brought nothing")))
	}
	return nil
}
