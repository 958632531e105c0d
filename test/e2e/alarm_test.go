// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/lab"
)

// TestNoSpace fills one member alone: its quota is smaller than the others'.
func TestNoSpace(t *testing.T) {
	for _, version := range []string{"3.4.23", "3.5.35", "3.6.16", "3.7.3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			const full, small, large = 1, 16 << 20, 64 << 20
			l := startLab(t, lab.Options{Version: version, QuotaBytes: large, Member: map[int]lab.MemberOptions{
				full: {Args: []string{fmt.Sprintf("--quota-backend-bytes=%d", small)}},
			}})
			e := exportLab(t, l)
			s := e.Scrape("/metrics")
			checkNoAlarms(t, l, s)
			check(t, s.Want(small, "endpoint_db_quota_bytes", "url", l.Member(full).ClientURL()),
				s.Want(large, "endpoint_db_quota_bytes", "url", l.Member(0).ClientURL()))
			must(t, l.FillToNoSpace(patient(t)))
			raised := func() error {
				s := e.Scrape("/metrics")
				errs := each(l, func(m *lab.Member) error {
					active := 0.0
					if m == l.Member(full) {
						active = 1
					}
					id := fmt.Sprintf("%x", m.ID())
					return errors.Join(s.Want(active, "alarm_active", "member_id", id, "member", m.Name(), "alarm", "NOSPACE"),
						s.Want(0, "alarm_active", "member_id", id, "alarm", "CORRUPT"), s.Up(m.ClientURL()),
						s.Want(1, "endpoint_healthy", "url", m.ClientURL(), "check", "linearizable_read"))
				})
				if n := s.Count("alarm_active"); n != 6 {
					errs = append(errs, fmt.Errorf("%d series of alarms", n))
				}
				return errors.Join(errs...)
			}
			must(t, raised())
			if size := e.Scrape("/metrics").Value("endpoint_db_size_bytes", "url", l.Member(full).ClientURL()); size < small*0.9 {
				t.Errorf("the full database has %v bytes", size)
			}
			idle(t, l)
			unwritten(t, l, e)
			must(t, raised())
			if n := native(t, l, l.Member(0)).Sum("grpc_server_started_total", "grpc_method", "Alarm"); n != 0 {
				t.Errorf("%v calls of Alarm", n)
			}
			must(t, l.RecoverSpace(patient(t)))
			checkNoAlarms(t, l, e.Scrape("/metrics"))
		})
	}
}

// TestNothingIsWritten scrapes an idle cluster.
func TestNothingIsWritten(t *testing.T) {
	for _, version := range []string{"3.4.23", "3.6.16"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			l := startLab(t, lab.Options{Version: version})
			e := exportLab(t, l)
			e.Scrape("/metrics")
			idle(t, l)
			unwritten(t, l, e)
		})
	}
}

// unwritten scrapes an idle cluster 20 times and compares the members' raft
// indexes, of which the first and the last scrape are not among those.
func unwritten(t *testing.T, l *lab.Lab, e *Exporter) {
	t.Helper()
	before := raftIndexes(t, l)
	for range 20 {
		must(t, e.Scrape("/metrics").Up(l.Endpoints()[0]))
	}
	if after := raftIndexes(t, l); after != before {
		t.Errorf("20 scrapes wrote to the raft log: %v, then %v", before, after)
	}
}

// idle waits until a young cluster has written what it writes by itself: its
// version, some seconds after the start.
func idle(t *testing.T, l *lab.Lab) {
	t.Helper()
	last, since := raftIndexes(t, l), time.Now()
	await(t, time.Minute, "the cluster is idle", func() error {
		if now := raftIndexes(t, l); now != last {
			last, since = now, time.Now()
		}
		if quiet := time.Since(since); quiet < 6*time.Second {
			return fmt.Errorf("raft indexes are %v for %s", last, quiet)
		}
		return nil
	})
}

func raftIndexes(t *testing.T, l *lab.Lab) [3]uint64 {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	var indexes [3]uint64
	for i := range indexes {
		indexes[i] = committed(t, client, l.Member(i).ClientURL())
	}
	return indexes
}

func committed(t *testing.T, client *clientv3.Client, url string) uint64 {
	t.Helper()
	status, err := client.Status(patient(t), url)
	must(t, err)
	return status.RaftIndex
}
