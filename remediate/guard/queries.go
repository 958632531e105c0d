// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// queryTime bounds one query.
const queryTime = 10 * time.Second

// queries refuses unless each of the policy's PromQL expressions returns something.
type queries struct {
	ask func(ctx context.Context, promql string) (int, error)
}

func (queries) Name() string { return "queries" }

func (g queries) Check(ctx context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	if len(c.Policy.RequireQueries) > 0 && g.ask == nil {
		return errors.New("require_queries is set, and there is no Prometheus to ask")
	}
	for _, q := range c.Policy.RequireQueries {
		n, err := g.answer(ctx, q)
		if err != nil {
			return fmt.Errorf("query %s: %s", plain(q), plain(err.Error()))
		}
		if n <= 0 {
			return remediate.Refuse("the query %s returns nothing", plain(q))
		}
	}
	return nil
}

func (g queries) answer(ctx context.Context, promql string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	return g.ask(ctx, promql)
}
