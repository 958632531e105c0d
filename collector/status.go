// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/internal/etcd"
)

var statusMetrics = []Metric{
	gauge("endpoint_up", "1 when the endpoint answered Maintenance.Status in time. One series for every known endpoint, always.", "url"),
	gauge("endpoint_info", "Always 1. Who answers at the endpoint: ids in hex as etcdctl prints them, storage_version since etcd 3.6, unknown values empty.", "url", "member", "member_id", "cluster_id", "version", "storage_version"),
	gauge("endpoint_db_size_bytes", "Size of the endpoint's database file, free pages included.", "url"),
	gauge("endpoint_db_in_use_bytes", "Part of the database that is in use; the rest comes back with a defragmentation.", "url"),
	gauge("endpoint_db_quota_bytes", "Size at which the NOSPACE alarm is raised: from Status where it says so (3.6), else the endpoint's own etcd_server_quota_backend_bytes. Absent when neither is known.", "url"),
	gauge("endpoint_is_leader", "1 when the endpoint's member leads.", "url"),
	gauge("endpoint_has_leader", "1 when the endpoint's member knows a leader.", "url"),
	gauge("endpoint_is_learner", "1 when the endpoint's member is a learner: it does not vote.", "url"),
	gauge("endpoint_raft_term", "Raft term of the endpoint's member.", "url"),
	gauge("endpoint_raft_index", "Raft index that the endpoint's member knows to be committed.", "url"),
	gauge("endpoint_raft_applied_index", "Raft index that the endpoint's member has applied.", "url"),
	gauge("endpoint_revision", "Revision of the endpoint's key space.", "url"),
	gauge("endpoint_failure", "1 while endpoint_up is 0. reason: refused, timeout, defragmenting (answers its member list or HTTP, not Status), tls, auth, dns, other.", "url", "reason"),
	gauge("endpoint_known_issue", "1 when the endpoint's version has a known hazard. issue is a number in etcd's tracker, or a CVE or GHSA id; severity: critical, warning.", "url", "issue", "severity"),
	gauge("endpoint_disk_free_bytes", "Free bytes (for an ordinary user) on the file system of the member's data directory, where data_dirs names one.", "url"),
}

type status struct {
	subject
	dataDirs map[string]string
}

func newStatus(d Deps) Collector {
	return &status{newSubject("status", "What each endpoint says of itself (Maintenance.Status).", statusMetrics), d.DataDirs}
}

// endpointStatus is one endpoint's part of the scrape.
type endpointStatus struct {
	endpoint etcd.Endpoint
	status   etcd.Status
	quota    int64
	err      error
}

func (c *status) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	b := c.batch()
	answers := etcd.Each(view.Endpoints(), func(e etcd.Endpoint) endpointStatus {
		s, err := view.Status(ctx, e)
		return endpointStatus{e, s, view.Quota(ctx, e), err}
	})
	var names map[uint64]string
	if members, err := view.Members(ctx); err == nil { // without a list the names stay empty
		names = members.Names()
	}
	for _, a := range answers {
		url := a.endpoint.URL
		b.add("endpoint_up", number(a.err == nil), url)
		if a.err != nil {
			b.add("endpoint_failure", 1, url, string(view.Failure(a.endpoint, a.err)))
			continue
		}
		addStatus(b, a, names)
		if dir := c.dataDirs[url]; dir != "" {
			free, err := diskFree(dir)
			if err != nil {
				b.fail(err)
				continue
			}
			b.add("endpoint_disk_free_bytes", free, url)
		}
	}
	return b.done()
}

// late keeps endpoint_up there for every endpoint when a starved exporter did not
// come to hear their answers.
func (c *status) late(view *etcd.View) []prometheus.Metric {
	b := c.batch()
	for _, e := range view.Endpoints() {
		b.add("endpoint_up", 0, e.URL)
		b.add("endpoint_failure", 1, e.URL, string(etcd.ReasonTimeout))
	}
	return b.out
}

func addStatus(b *batch, a endpointStatus, names map[uint64]string) {
	s, url := a.status, a.endpoint.URL
	b.add("endpoint_info", 1, url, names[s.MemberID], etcd.FormatID(s.MemberID), etcd.FormatID(s.ClusterID), s.Version, s.StorageVersion)
	b.add("endpoint_db_size_bytes", float64(s.DBSize), url)
	b.add("endpoint_db_in_use_bytes", float64(s.DBInUse), url)
	if a.quota > 0 {
		b.add("endpoint_db_quota_bytes", float64(a.quota), url)
	}
	b.add("endpoint_is_leader", number(s.Leader != 0 && s.Leader == s.MemberID), url)
	b.add("endpoint_has_leader", number(s.Leader != 0), url)
	b.add("endpoint_is_learner", number(s.Learner), url)
	b.add("endpoint_raft_term", float64(s.RaftTerm), url)
	b.add("endpoint_raft_index", float64(s.RaftIndex), url)
	b.add("endpoint_raft_applied_index", float64(s.RaftAppliedIndex), url)
	b.add("endpoint_revision", float64(s.Revision), url)
	for _, issue := range knownIssues(s.Version) {
		b.add("endpoint_known_issue", 1, url, issue.Number, issue.Severity)
	}
}

// diskFree asks statfs(2), in bytes.
func diskFree(dir string) (float64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("free space of data directory %s: %w", dir, err)
	}
	return float64(fs.Bavail) * float64(fs.Bsize), nil
}
