// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"fmt"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// silent are the guards that cannot tell while a member answers nothing at all.
var silent = []string{"clock", "defragmenting", "lag", "stable", "version"}

// TestGuardAbsentMembers: nothing is done while a member hangs, is gone, or has never
// come; and it is done when all are there.
func TestGuardAbsentMembers(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{})
	config := writeConfig(t, l, policyOf(quick))
	client, err := l.Client()
	must(t, err)
	leader, err := l.Leader(patient(t))
	must(t, err)
	follower := l.Member((leader + 1) % 3)
	health := want{by: "health", beside: silent, saying: follower.Name() + " does not answer: "}

	must(t, follower.Pause())
	refuses(t, l, config, health, "defrag")
	must(t, follower.Resume(), l.WaitReady(patient(t)))
	plans(t, config)

	must(t, follower.Kill())
	refuses(t, l, config, health, "defrag")
	planRefuses(t, config, health, "defrag")
	must(t, follower.Restart(patient(t)), l.WaitReady(patient(t)))
	plans(t, config)

	id, _, err := l.AddUnstarted(patient(t))
	must(t, err)
	never := want{by: "members", beside: append([]string{"health"}, silent...), saying: fmt.Sprintf("member %x was added and never started", id)}
	refuses(t, l, config, never, "defrag")
	_, err = client.MemberRemove(patient(t), id)
	must(t, err)
	acts(t, l, config)
}

// TestGuardLearner: a learner may exist, but one that hangs, is far behind or that
// nobody can ask stands in the way.
func TestGuardLearner(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{})
	blind := writeConfig(t, l, policyOf(quick)) // it names three endpoints
	learner, err := l.AddLearner(patient(t))
	must(t, err)
	config := writeConfig(t, l, policyOf(quick))

	refuses(t, l, blind, want{by: "members", beside: silent, saying: "no endpoint's Status names member " + learner.Name()}, "defrag")
	must(t, learner.Pause())
	refuses(t, l, config, want{by: "members", beside: silent, saying: "learner " + learner.Name() + " does not answer"}, "defrag")
	must(t, learner.Resume(), l.WaitReady(patient(t)))

	t.Run("behind", func(t *testing.T) {
		fakes := startFakes(t, l)
		config := before(t, writeConfig(t, l, policyOf(quick)), fakes)
		plans(t, config)
		fallBehind(fakes, fakes[3], 1500, "")
		refuses(t, l, config, want{by: "lag", saying: learner.Name() + " is 15"}, "defrag") // 1500, and the few of the last moment
		fallBehind(fakes, fakes[3], 500, "")
		plans(t, config)
	})
	for _, step := range acts(t, l, config).Steps {
		if step.URL == learner.ClientURL() {
			t.Errorf("the learner was worked on: %+v", step)
		}
	}
}

// TestGuardStable: what this very process has seen to change lately, and what was
// started lately, is no cluster to work on. The serving process watches, and a run by
// hand is handed over to it.
func TestGuardStable(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{})
	config := writeConfig(t, l, policyOf("clusters: [lab], stable_for: 4s, cooldown: 0s"))
	refuses(t, l, config, want{by: "stable", saying: "the cluster is stable for"}, "defrag") // nobody has watched it
	serve(t, config)
	watched := func() error { return hasPlan(t, config) }
	await(t, 30*time.Second, "the cluster has been watched", watched)

	client, err := l.Client()
	must(t, err)
	from, err := l.Leader(patient(t))
	must(t, err)
	to := l.Member((from + 1) % 3)
	await(t, 10*time.Second, "the leadership moves", func() error { // each try goes to another member, and only the leader may
		_, err := client.MoveLeader(patient(t), to.ID())
		return err
	})
	refuses(t, l, config, want{by: "stable", saying: "leader moved from"}, "defrag")
	await(t, 30*time.Second, "the cluster has been watched again", watched)

	must(t, l.Member(from).Restart(patient(t)), l.WaitReady(patient(t)))
	refuses(t, l, config, want{by: "stable", saying: l.Member(from).Name() + " "}, "defrag")
	await(t, 30*time.Second, "the cluster has been watched once more", watched)
	acts(t, l, config)
}
