// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

func TestDisk(t *testing.T) {
	free := func(n uint64) func(*scene) {
		return func(s *scene) { s.options.Free = func(string) (uint64, error) { return n, nil } }
	}
	elsewhere := func(s *scene) { s.DataDirs = map[string]string{"https://a:2379": "/x"} }
	nowhere := func(s *scene) { s.DataDirs = nil }
	before := func(s *scene) { s.step.Action = "" }
	const need = gib*12/10 + gib
	verdicts(t, "disk", unseen(
		row{"just enough", free(need + 1), "", 0},
		row{"too little", free(need - mib), "2.199 GiB free in /var/lib/etcd of b, 2.2 GiB needed", 0},
		row{"none", free(0), "0 B free", 0},
		row{"cannot be asked", func(s *scene) {
			s.options.Free = func(string) (uint64, error) { return 0, errors.New("permission denied") }
			s.Policy.AcceptUnknownDisk = true // what was to be asked has to answer
		}, "error: free space of /var/lib/etcd: permission denied", 0},
		row{"another member's directory", elsewhere, "the free space is not known", 0},
		row{"no directory", nowhere, "the free space is not known", 0},
		row{"no directory, accepted", func(s *scene) { nowhere(s); s.Policy.AcceptUnknownDisk = true }, "", 0},
		row{"no directory, queries tell", func(s *scene) { nowhere(s); s.Policy.RequireQueries = []string{"up"} }, "", 0},
		row{"before the plan", before, "", 0},
		row{"before the plan, one is known", func(s *scene) { before(s); elsewhere(s) }, "", 0},
		row{"before the plan, none is known", func(s *scene) { before(s); nowhere(s) }, "the free space is not known", 0},
		row{"no step to defragment", func(s *scene) { nowhere(s); s.step.Action = remediate.StepMoveLeader }, "", 0},
		row{"recover_space defragments", func(s *scene) { nowhere(s); s.become(remediate.ActionRecoverSpace, remediate.StepDefrag) }, "the free space is not known", 0},
		row{"unknown member", func(s *scene) { s.DataDirs["https://z:2379"] = "/z"; s.step.URL = "https://z:2379" }, "error: no member is known at https://z:2379", 0},
		row{"silent member", func(s *scene) { s.member("b").StatusErr = errRefused }, "error: the status of b is not known", 0},
		row{"no size", func(s *scene) { s.member("b").Status.DBInUse = 0 }, "error: the size of b is not known", 0},
		row{"absurd size", func(s *scene) { s.member("b").Status.DBInUse = math.MaxInt64 }, "needed", 0},
		row{"below zero", func(s *scene) { s.member("b").Status.DBInUse = -5 }, "error: the size of b is not known", 0},
	))
}

// TestStatfs: the real thing, on a real directory and on none.
func TestStatfs(t *testing.T) {
	if free, err := statfs(t.TempDir()); err != nil || free == 0 {
		t.Errorf("%d bytes free, %v", free, err)
	}
	if _, err := statfs("/nowhere/at/all"); err == nil {
		t.Error("a directory that is not there has free space")
	}
}

func TestQueries(t *testing.T) {
	answer := func(n int, err error) func(*scene) {
		return func(s *scene) {
			s.Policy.RequireQueries = []string{"up == 1", "node_filesystem_avail_bytes > 1e10"}
			s.options.Query = func(_ context.Context, q string) (int, error) {
				if q == "up == 1" {
					return 3, nil
				}
				return n, err
			}
		}
	}
	verdicts(t, "queries", []row{
		{"something", answer(1, nil), "", 0},
		{"nothing", answer(0, nil), "the query node_filesystem_avail_bytes > 1e10 returns nothing", 0},
		{"below zero", answer(-1, nil), "returns nothing", 0},
		{"an error", answer(1, errors.New("bad_data:\nparse error")), `error: query node_filesystem_avail_bytes > 1e10: "bad_data:\nparse error"`, 0},
		{"nobody to ask", func(s *scene) { answer(1, nil)(s); s.options.Query = nil }, "error: require_queries is set, and there is no Prometheus", 0},
		{"any step", func(s *scene) { answer(0, nil)(s); s.step.Action = remediate.StepPrune }, "returns nothing", 0},
	})
}

// TestQueryHangs: a Prometheus that does not answer refuses after a while.
func TestQueryHangs(t *testing.T) {
	s := well()
	s.Policy.RequireQueries = []string{"up"}
	var left time.Duration
	s.options.Query = func(ctx context.Context, _ string) (int, error) {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return 0, context.DeadlineExceeded
	}
	if says, _ := s.ask(t.Context(), "queries"); says != "error: query up: context deadline exceeded" || left <= 0 || left > queryTime {
		t.Errorf("%s, with %s left", says, left)
	}
}

func TestQuota(t *testing.T) {
	use := func(inUse, quota int64) func(*scene) {
		return func(s *scene) { s.member("b").Status.DBInUse, s.member("b").Quota = inUse, quota }
	}
	verdicts(t, "quota", unseen(
		row{"at the bound", use(900*mib, 1000*mib), "", 0},
		row{"near it", use(901*mib, 1000*mib), "901 MiB of the quota of 1000 MiB are in use on b: a defragmentation would not help for long", 0},
		row{"beyond it", use(3*gib, 2*gib), "are in use on b", 0},
		row{"another member's", func(s *scene) { s.member("c").Status.DBInUse, s.member("c").Quota = 9*gib, gib }, "", 0},
		row{"not known", use(gib, 0), "", 0},
		row{"none", use(gib, -1), "", 0},
		row{"recover_space", func(s *scene) {
			use(901*mib, 1000*mib)(s)
			s.become(remediate.ActionRecoverSpace, remediate.StepDefrag)
		}, "", 0},
		row{"no step to defragment", func(s *scene) { use(901*mib, 1000*mib)(s); s.step.Action = remediate.StepMoveLeader }, "", 0},
		row{"no size", use(0, gib), "error: the size of b is not known", 0},
		row{"unknown member", func(s *scene) { s.step.URL = "" }, "error: no member is known at", 0},
	))
}

func TestPause(t *testing.T) {
	inUse := func(n int64) func(*scene) { return func(s *scene) { s.member("b").Status.DBInUse = n } }
	done := func(after int64, took time.Duration) *remediate.Step {
		return &remediate.Step{Action: remediate.StepDefrag, Member: "c", AfterBytes: after, StartedAt: noon, FinishedAt: noon.Add(took)}
	}
	after := func(size int64, steps ...*remediate.Step) func(*scene) {
		return func(s *scene) { inUse(size)(s); s.Run.Steps = steps }
	}
	planned := done(gib, 0)
	planned.StartedAt, planned.FinishedAt = time.Time{}, time.Time{}
	failed := done(gib, 500*time.Second)
	failed.Error = "context deadline exceeded"
	verdicts(t, "pause", unseen(
		row{"just short enough", inUse(3_000_000_000), "", 0},
		row{"too long", inUse(3_100_000_000), "b would not answer for about 31s (2.887 GiB at 95.37 MiB/s, not measured yet), longer than max_pause (30s): an API server beside it loses its leases after 10s, and kubeadm's probe kills etcd after 80s", 0},
		row{"a slow member showed", after(gib, done(gib, 40*time.Second)), "b would not answer for about 40s (1 GiB at 25.6 MiB/s, as c showed)", 0},
		row{"a fast member showed", after(6_000_000_000, done(gib, 3*time.Second)), "", 0},
		row{"the slowest counts", after(gib, done(gib, 40*time.Second), done(gib, 2*time.Second)), "about 40s", 0},
		row{"the slowest counts, in any order", after(gib, done(gib, 2*time.Second), done(gib, 40*time.Second)), "about 40s", 0},
		row{"a small one tells nothing", after(gib, done(mib, 10*time.Second)), "", 0},
		row{"planned ones tell nothing", after(gib, planned), "", 0},
		row{"failed ones tell nothing", after(gib, failed), "", 0},
		row{"clock set back", after(4*gib, done(gib, -time.Hour)), "not measured yet", 0},
		row{"no run", func(s *scene) { inUse(gib)(s); s.Run = nil }, "", 0},
		row{"no bound given", func(s *scene) { s.Policy.Defrag.MaxPause = 0 }, "longer than max_pause (0s)", 0},
		row{"absurd size", inUse(math.MaxInt64), "longer than max_pause", 0},
		row{"absurdly slow", after(math.MaxInt64, done(tellingSize, math.MaxInt64)), "longer than max_pause", 0},
		row{"no size", inUse(0), "error: the size of b is not known", 0},
		row{"before the plan", func(s *scene) { inUse(100 * gib)(s); s.step.Action = "" }, "", 0},
		row{"no step to defragment", func(s *scene) { inUse(100 * gib)(s); s.step.Action = remediate.StepCompact }, "", 0},
	))
}
