// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/lab"
)

// lone is what a policy for a lab of one member says.
const lone = quick + ", allow_small_cluster: true"

// TestGuardVoters: where nobody stands in, the policy must accept that; then it works.
func TestGuardVoters(t *testing.T) {
	t.Parallel()
	for voters := 1; voters <= 2; voters++ {
		t.Run(fmt.Sprint(voters), func(t *testing.T) {
			l := guardLab(t, lab.Options{Members: voters})
			config := writeConfig(t, l, policyOf(quick))
			w := want{by: "voters", saying: fmt.Sprintf("%d of at least 3 voters", voters)}
			refuses(t, l, config, w, "defrag")
			planRefuses(t, config, w, "defrag")
			defrags := 0
			for _, step := range acts(t, l, writeConfig(t, l, policyOf(lone))).Steps {
				if step.Action == "defrag" {
					defrags++
				}
			}
			if defrags != voters {
				t.Errorf("%d members were defragmented", defrags)
			}
		})
	}
}

// TestGuardClock: a member whose clock is half a minute ahead.
func TestGuardClock(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{Members: 1, Member: map[int]lab.MemberOptions{0: {ClockSkew: 30 * time.Second}}})
	config := writeConfig(t, l, policyOf(lone))
	refuses(t, l, config, want{by: "clock", saying: "ahead of ours"}, "defrag")
}

// TestGuardNoSpace: keys that fill the quota stand in the way, since a defragmentation
// would only thrash. The alarm NOSPACE does not.
func TestGuardNoSpace(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{Members: 1, QuotaBytes: 16 << 20})
	fakes := startFakes(t, l)
	near := before(t, writeConfig(t, l, policyOf(lone)), fakes)
	fakes[0].Lie(lies{Status: func(s *pb.StatusResponse) { s.DbSizeQuota = s.DbSizeInUse + 1 }})
	refuses(t, l, near, want{by: "quota", saying: "a defragmentation would not help for long"}, "defrag")

	must(t, l.FillToNoSpace(patient(t)))
	client, err := l.Client()
	must(t, err)
	gone, err := client.Delete(patient(t), "/lab/fill/000009", clientv3.WithRange("/lab/fill/z"))
	must(t, err)
	_, err = client.Compact(patient(t), gone.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	config := writeConfig(t, l, policyOf(lone))
	i := 0
	await(t, 30*time.Second, "the space is free", func() error {
		_, err := client.Delete(patient(t), fmt.Sprintf("/lab/fill/%06d", i)) // the size in use falls with a later change
		must(t, err)
		i++
		return hasPlan(t, config)
	})
	acts(t, l, config)
	status, err := client.Status(patient(t), l.Endpoints()[0])
	must(t, err)
	if !strings.Contains(strings.Join(status.Errors, " "), "NOSPACE") {
		t.Errorf("a defragmentation alone has disarmed: %q", status.Errors)
	}
}

// TestGuardLone are the guards that look at what is around a cluster and at what was
// done before, on one cluster of one member.
func TestGuardLone(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{Members: 1})
	for _, test := range []struct {
		name string
		run  func(*testing.T, *lab.Lab)
	}{
		{"disk", testDisk},
		{"queries", testQueries},
		{"pause", testMaxPause},
		{"window", testWindow},
		{"paused", testPaused},
		{"journal", testJournal},
		{"cooldown and budget", testBudget},
		{"snapshot", testSnapshot},
	} {
		t.Run(test.name, func(t *testing.T) {
			waste(t, l)
			test.run(t, l)
		})
	}
}
