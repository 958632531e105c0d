// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// TestLeaderThatStays: where the leadership does not move, the followers are done and
// the leader is left alone.
func TestLeaderThatStays(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{})
	leader, err := l.Leader(patient(t))
	must(t, err)
	fakes := startFakes(t, l)
	config := before(t, writeConfig(t, l, policyOf(quick)), fakes)
	for _, f := range fakes {
		f.Lie(lies{NoMove: true})
	}
	was := sizes(t, l)
	status, run := byHand(t, "run", "defrag", "--yes", "--config.file="+config)
	if status != 1 || run.Outcome != "failed" || !strings.Contains(run.Reason, "was told to hand over the leadership") {
		t.Errorf("exit %d, %s (%s)", status, run.Outcome, run.Reason)
	}
	if n := len(run.Steps); n != 3 || run.Steps[n-1].Action != "move_leader" || run.Steps[n-1].Error == "" {
		t.Errorf("steps %+v", run.Steps)
	}
	for i, is := range sizes(t, l) {
		if smaller := is < was[i]/2; smaller == (i == leader) {
			t.Errorf("m%d has %d bytes, before %d; m%d led", i, is, was[i], leader)
		}
	}
}

// TestOneClusterAtATime: clusters may share their disks. While a member of one is
// defragmented, a run on another waits for its turn.
func TestOneClusterAtATime(t *testing.T) {
	t.Parallel()
	one, other := plainLab(t, 1), plainLab(t, 1)
	fragment(t, one, 8)
	fragment(t, other, 8)
	h := startHoldup(t, one.Member(0), aDefragment)
	config := h.in(t, writeConfig(t, one, `  policies:
    - {name: reclaim, matchers: ['alertname="EtcdFragmented"'], clusters: [lab, other], action: defrag, `+small+eager+`, defrag: {min_reclaimable: 1MiB}}
`))
	base, err := other.WriteConfig(nil)
	must(t, err)
	text, err := os.ReadFile(base)
	must(t, err)
	_, block, _ := strings.Cut(string(text), "clusters:\n")
	amend(t, config, "remediation:\n", strings.Replace(block, "name: lab", "name: other", 1)+"remediation:\n")

	s := serve(t, config, "--mode=enforce", open)
	for _, cluster := range []string{"lab", "other"} {
		await(t, 30*time.Second, cluster+" has been watched", func() error { return hasPlan(t, config, "--cluster="+cluster) })
	}
	before := sizes(t, other)
	s.Fire("alertname", "EtcdFragmented", "cluster", "lab")
	h.await(t)
	s.Fire("alertname", "EtcdFragmented", "cluster", "other")
	s.awaitMetric("etcdops_remediation_queue_length", 1)
	if runs := s.Runs(); len(runs) != 1 || runs[0].Cluster != "lab" {
		t.Errorf("runs beside the one on lab: %+v", runs)
	}
	if after := sizes(t, other); after[0] != before[0] {
		t.Errorf("size %d, and %d before", after[0], before[0])
	}
	h.free <- struct{}{}
	s.until(30*time.Second, "the other one's turn comes", func(r Run) bool { return r.Cluster == "other" && r.Outcome == "succeeded" })
	if runs := s.Runs(); len(runs) != 2 || runs[1].Outcome != "succeeded" || runs[0].Steps[0].StartedAt < runs[1].Steps[0].FinishedAt {
		t.Errorf("%+v", runs)
	}
}

// TestGuardOldVersion: a real etcd 3.4.23 loses revisions when it crashes in a
// compaction. It is not compacted, unless the policy accepts that; it may be
// defragmented.
func TestGuardOldVersion(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{Members: 1, Version: "3.4.23"})
	config := writeConfig(t, l, policyOf(lone)+`    - {name: history, action: compact, `+lone+`, compact: {keep: 2s}}
    - {name: accepted, action: compact, `+lone+`, accept_known_issues: ["17780"], compact: {keep: 2s}}
`)
	refuses(t, l, config, want{by: "version", saying: "etcd 3.4.23 has issue 17780"}, "compact")
	planRefuses(t, config, want{by: "version", saying: "accept_known_issues"}, "compact")
	status, run := byHand(t, "run", "compact", "--yes", "--policy=accepted", "--wait=20s", "--config.file="+config)
	if status != 0 || run.Outcome != "succeeded" {
		t.Errorf("accepted: exit %d, %s (%s)", status, run.Outcome, run.Reason)
	}
	acts(t, l, config)
}
