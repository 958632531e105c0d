// SPDX-License-Identifier: Apache-2.0

package action

import (
	"testing"
	"testing/synctest"

	"github.com/etcdops/etcdops/remediate"
)

func TestPlanOfRecovery(t *testing.T) {
	for name, test := range map[string]struct {
		fill func(t *testing.T, f *field)
		want string
	}{
		"history": {func(_ *testing.T, f *field) { rewrite(f) }, "compact defrag move_leader defrag disarm"},
		"room":    {func(_ *testing.T, f *field) { f.full() }, "disarm"},
		"fragments": {func(_ *testing.T, f *field) {
			f.put("/registry/leases/a", nil)
			for i := range f.members {
				f.members[i].Status.DBSize, f.members[i].Status.DBInUse = 15*mib, 2*mib
			}
			f.full()
		}, "defrag move_leader defrag disarm"},
		"events": {func(t *testing.T, f *field) {
			f.put("/registry/pods/shop/web", podValue(t))
			flood(t, f, fill)
			f.compacted = f.revision - 1 // there is no history
			f.full()
		}, "prune_events wait"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newField()
				test.fill(t, f)
				c := f.cluster(pruningPolicy())
				c.Acting = false
				run := f.run(t.Context(), t, c, newRecoverSpace())
				wantOutcome(t, run, remediate.Planned, "")
				wantKinds(t, run, test.want)
				if len(f.calls)+len(f.batches) > 0 {
					t.Errorf("a plan did something: %v", f.calls)
				}
			})
		})
	}
}
