// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// defragAgain is when to look again at a member that is being defragmented.
const defragAgain = 30 * time.Second

// defragmenting refuses while a member is being defragmented, by whomever: one at a
// time. A member that is at it blocks its Status and answers the rest.
type defragmenting struct{}

func (defragmenting) Name() string { return "defragmenting" }

func (defragmenting) Check(_ context.Context, c *remediate.Cluster, _ *remediate.Step) error {
	seen, err := observed(c)
	if err != nil {
		return err
	}
	for _, m := range seen.Members {
		switch {
		case m.VitalsErr == nil && m.Vitals.DefragInflight:
			return remediate.RefuseFor(defragAgain, "%s is being defragmented", name(m))
		case m.StatusErr != nil && answersOtherwise(m):
			return remediate.RefuseFor(defragAgain, "%s does not answer its Status and answers the rest, as during a defragmentation", name(m))
		case m.VitalsErr != nil:
			return fmt.Errorf("whether %s is being defragmented is not known: %s", name(m), plain(m.VitalsErr.Error()))
		case !m.Answers():
			return fmt.Errorf("whether %s is being defragmented is not known: it does not answer", name(m))
		}
	}
	return nil
}

// answersOtherwise says whether something of the member answered. Where a question
// was not put there is no error either, so that only an answer counts.
func answersOtherwise(m remediate.Member) bool {
	return m.VitalsErr == nil && !m.Vitals.Started.IsZero() ||
		m.SkewErr == nil && m.SkewMax > m.SkewMin ||
		m.ReadErr == nil && m.ReadTook > 0
}
