// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"

	"github.com/etcdops/etcdops/remediate"
)

// nearQuota is the share of a quota from which on it is the keys that fill it.
const nearQuota = 0.9

// quota refuses to defragment a member whose keys themselves fill its quota: it
// would be full again at once, and the pause for nothing. recover_space may, since
// it deletes. A quota that is not known, or is none, does not refuse: what is at
// stake is a pause, and the guard pause bounds it.
type quota struct{}

func (quota) Name() string { return "quota" }

func (quota) Check(_ context.Context, c *remediate.Cluster, s *remediate.Step) error {
	if _, err := observed(c); err != nil {
		return err
	}
	if !isStep(s) || s.Action != remediate.StepDefrag || actionOf(c) == remediate.ActionRecoverSpace {
		return nil
	}
	m, err := target(c, s)
	if err != nil {
		return err
	}
	if m.Quota > 0 && float64(m.Status.DBInUse) > nearQuota*float64(m.Quota) {
		return remediate.Refuse("%s of the quota of %s are in use on %s: a defragmentation would not help for long (delete keys, or raise the quota)", size(float64(m.Status.DBInUse)), size(float64(m.Quota)), name(m))
	}
	return nil
}
