// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// maxSkew is how far a member's clock may be from ours: what is old is told by both.
const maxSkew = 5 * time.Second

// clock refuses where a member's clock, or ours, is surely wrong, and where one is
// not known (rule 9).
type clock struct{}

func (clock) Name() string { return "clock" }

func (clock) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	seen, err := observed(c)
	if err != nil {
		return err
	}
	for _, m := range seen.Members {
		switch {
		case m.SkewErr != nil:
			return fmt.Errorf("the clock of %s is not known: %s", name(m), plain(m.SkewErr.Error()))
		case m.SkewMax <= m.SkewMin: // one Date header leaves a second open, at least
			return fmt.Errorf("the clock of %s is not known", name(m))
		case m.SkewMin > maxSkew:
			return remediate.Refuse("the clock of %s is at least %s ahead of ours, more than %s", name(m), span(m.SkewMin), maxSkew)
		case m.SkewMax < -maxSkew:
			return remediate.Refuse("the clock of %s is at least %s behind ours, more than %s", name(m), span(-m.SkewMax), maxSkew)
		}
	}
	return nil
}
