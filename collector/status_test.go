// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

func TestStatusOfOne(t *testing.T) {
	t.Parallel()
	url := `{url="https://m0:2379"}`
	tests := map[string]struct {
		change func(f *fakeAPI)
		want   series
	}{
		"all of it": {func(*fakeAPI) {}, series{
			"endpoint_up" + url: 1, "endpoint_db_size_bytes" + url: 2000, "endpoint_db_in_use_bytes" + url: 1000,
			"endpoint_db_quota_bytes" + url: 8000, "endpoint_is_leader" + url: 1, "endpoint_has_leader" + url: 1,
			"endpoint_is_learner" + url: 0, "endpoint_raft_term" + url: 2, "endpoint_raft_index" + url: 120,
			"endpoint_raft_applied_index" + url: 119, "endpoint_revision" + url: 100, "endpoint_disk_free_bytes" + url: absent,
			`endpoint_info{cluster_id="c",member="m0",member_id="a0",storage_version="3.6.0",url="https://m0:2379",version="3.6.16"}`: 1,
		}},
		"quota from Status, although its metrics say otherwise": {func(f *fakeAPI) { f.quota = 1 }, series{"endpoint_db_quota_bytes" + url: 8000}},
		"quota from its metrics":                                {func(f *fakeAPI) { f.status.DBQuota, f.quota = 0, 7000 }, series{"endpoint_db_quota_bytes" + url: 7000}},
		"quota unknown":                                         {func(f *fakeAPI) { f.status.DBQuota = 0 }, series{"endpoint_db_quota_bytes" + url: absent, "endpoint_up" + url: 1}},
		"quota refused": {func(f *fakeAPI) {
			f.status.DBQuota, f.quota, f.fail[qQuota] = 0, 7000, errors.New("404 Not Found")
		}, series{"endpoint_db_quota_bytes" + url: absent, "endpoint_up" + url: 1}},
		"no leader":                      {func(f *fakeAPI) { f.status.Leader = 0 }, series{"endpoint_has_leader" + url: 0, "endpoint_is_leader" + url: 0}},
		"no leader and no id of its own": {func(f *fakeAPI) { f.status.Leader, f.status.MemberID = 0, 0 }, series{"endpoint_is_leader" + url: 0}},
		"a follower":                     {func(f *fakeAPI) { f.status.Leader = 0xa1 }, series{"endpoint_has_leader" + url: 1, "endpoint_is_leader" + url: 0}},
		"a learner":                      {func(f *fakeAPI) { f.status.Learner = true }, series{"endpoint_is_learner" + url: 1}},
		"member not in the list: its name is empty": {func(f *fakeAPI) { f.status.MemberID = 0xbad }, series{
			`endpoint_info{cluster_id="c",member="",member_id="bad",storage_version="3.6.0",url="https://m0:2379",version="3.6.16"}`: 1,
		}},
		"no member list: names are empty": {func(f *fakeAPI) { f.fail[qMemberList] = errRefused }, series{
			`endpoint_info{cluster_id="c",member="",member_id="a0",storage_version="3.6.0",url="https://m0:2379",version="3.6.16"}`: 1,
		}},
		"no version": {func(f *fakeAPI) { f.status.Version, f.status.StorageVersion = "", "" }, series{
			`endpoint_info{cluster_id="c",member="m0",member_id="a0",storage_version="",url="https://m0:2379",version=""}`: 1,
		}},
		"a known issue": {func(f *fakeAPI) { f.status.Version = "3.5.5" }, series{
			`endpoint_known_issue{issue="14685",severity="critical",url="https://m0:2379"}`: 1,
		}},
		"nothing known": {func(*fakeAPI) {}, series{`endpoint_known_issue{issue="14685",severity="critical",url="https://m0:2379"}`: absent}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(1)
			w.fakes[0].status.RaftAppliedIndex = 119
			tt.change(w.fakes[0])
			w.must(t, newStatus(w.deps)).want(t, tt.want)
		})
	}
}

// TestDefragmenting: an endpoint that answers its member list or HTTP while
// Status hangs is in the middle of a defragmentation.
func TestDefragmenting(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		alsoHangs []string
		reason    string
	}{
		"answers both":    {nil, "defragmenting"},
		"answers HTTP":    {[]string{qMemberList}, "defragmenting"},
		"answers a list":  {[]string{qServerTime}, "defragmenting"},
		"answers neither": {[]string{qMemberList, qServerTime}, "timeout"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(3)
				for _, q := range append(tt.alsoHangs, qStatus) {
					w.fakes[1].hang[q] = true
				}
				got := w.must(t, newStatus(w.deps)).about("m1")
				got.want(t, series{`endpoint_up{url="https://m1:2379"}`: 0, `endpoint_failure{reason="` + tt.reason + `",url="https://m1:2379"}`: 1})
				if len(got) != 2 {
					t.Errorf("series are %v", got)
				}
			})
		})
	}
}

// TestRefusalIsAnAnswer: an endpoint whose member list is refused is alive.
func TestRefusalIsAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.fakes[0].hang[qStatus], w.fakes[0].hang[qServerTime] = true, true
		w.fakes[0].fail[qMemberList] = refusal("MemberList", "PermissionDenied", etcd.ErrPermissionDenied)
		w.must(t, newStatus(w.deps)).want(t, series{`endpoint_failure{reason="defragmenting",url="https://m0:2379"}`: 1})
	})
}

// TestQuotaThatHangs: it costs the quota alone.
func TestQuotaThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(2)
		for _, f := range w.fakes {
			f.status.DBQuota, f.quota = 0, 7000
		}
		w.fakes[0].hang[qQuota] = true
		start := time.Now()
		w.must(t, newStatus(w.deps)).want(t, series{
			`endpoint_up{url="https://m0:2379"}`: 1, `endpoint_db_size_bytes{url="https://m0:2379"}`: 2000,
			`endpoint_db_quota_bytes{url="https://m0:2379"}`: absent, `endpoint_db_quota_bytes{url="https://m1:2379"}`: 7000,
		})
		if took := time.Since(start); took > roundTime {
			t.Errorf("it took %v", took)
		}
	})
}

// TestDiskFree: of the data directories that are configured, and that are there.
func TestDiskFree(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.deps.DataDirs = map[string]string{urlOf(0): t.TempDir(), urlOf(1): "/no/such/directory"}
	got, err := w.scrape(t.Context(), newStatus(w.deps))
	if err == nil {
		t.Error("a data directory that is not there is no error")
	}
	free := got.about("endpoint_disk_free_bytes")
	if len(free) != 1 || free[`endpoint_disk_free_bytes{url="https://m0:2379"}`] <= 0 {
		t.Errorf("series are %v", free)
	}
	got.want(t, series{`endpoint_up{url="https://m1:2379"}`: 1, `endpoint_up{url="https://m2:2379"}`: 1})
}
