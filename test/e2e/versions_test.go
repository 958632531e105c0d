// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// matrix is what differs between the versions.
var matrix = []struct {
	version string
	storage string   // what Status says of it; since 3.6
	issues  []string // some that the version must be known for; none: it has none
}{
	{"3.4.23", "", []string{"17780", "20650"}},
	{"3.5.35", "", nil},
	{"3.6.16", "3.6.0", nil},
	{"3.7.3", "3.7.0", nil},
}

// defaultQuota is etcd's own.
const defaultQuota = 2 << 30

// perEndpoint are the metrics that every endpoint has that answers.
var perEndpoint = []string{
	"certificate_not_after_timestamp_seconds", "endpoint_check_duration_seconds",
	"endpoint_clock_skew_error_seconds", "endpoint_clock_skew_seconds", "endpoint_clock_source",
	"endpoint_db_in_use_bytes", "endpoint_db_quota_bytes", "endpoint_db_size_bytes", "endpoint_disk_free_bytes",
	"endpoint_flag_info", "endpoint_has_leader", "endpoint_healthy", "endpoint_info", "endpoint_is_leader", "endpoint_is_learner",
	"endpoint_raft_applied_index", "endpoint_raft_index", "endpoint_raft_term", "endpoint_revision", "endpoint_up",
}

func TestVersions(t *testing.T) {
	for _, row := range matrix {
		t.Run(row.version, func(t *testing.T) {
			t.Parallel()
			l := startLab(t, lab.Options{Version: row.version})
			must(t, l.Load(patient(t), lab.LoadOptions{Keys: 200}))
			config, err := l.WriteConfig(nil)
			must(t, err)
			e := startExporter(t, "--config.file="+config)
			await(t, 15*time.Second, "the members know their storage version, and their flags are read", func() error {
				return errors.Join(each(l, func(m *lab.Member) error {
					s := e.Scrape("/metrics")
					return errors.Join(s.Want(1, "endpoint_info", "url", m.ClientURL(), "storage_version", row.storage),
						flag(s, m, "initial-cluster-state", "new"))
				})...)
			})
			s := e.Scrape("/metrics")
			t.Run("status", func(t *testing.T) { checkStatus(t, l, s, row.version, row.issues) })
			t.Run("health", func(t *testing.T) { checkHealth(t, l, s) })
			t.Run("clock", func(t *testing.T) { checkClock(t, l, s) })
			t.Run("members", func(t *testing.T) { checkMembers(t, l, s) })
			t.Run("alarms", func(t *testing.T) { checkNoAlarms(t, l, s) })
			t.Run("tls", func(t *testing.T) { checkCertificates(t, l, s) })
			t.Run("own", func(t *testing.T) { checkOwn(t, s) })
			t.Run("compaction", func(t *testing.T) { checkCompaction(t, l, e) })
		})
	}
}

func each(l *lab.Lab, f func(m *lab.Member) error) []error {
	var errs []error
	for _, m := range l.Members() {
		errs = append(errs, f(m))
	}
	return errs
}

func checkStatus(t *testing.T, l *lab.Lab, s *Scrape, version string, issues []string) {
	s = s.with(t)
	leaders, clusters := 0.0, map[string]bool{}
	for _, m := range l.Members() {
		url := m.ClientURL()
		want := slices.Clone(perEndpoint)
		if len(issues) > 0 {
			want = append(want, "endpoint_known_issue")
		}
		if got := s.Of(url); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s has %q, want %q", url, got, want)
		}
		check(t, s.Up(url), s.Want(1, "endpoint_has_leader", "url", url), s.Want(0, "endpoint_is_learner", "url", url))
		info := s.LabelsOne("endpoint_info", "url", url)
		if id := fmt.Sprintf("%x", m.ID()); info["member"] != m.Name() || info["member_id"] != id || info["version"] != version {
			t.Errorf("endpoint_info %v, want %s %s %s", info, m.Name(), id, version)
		}
		clusters[info["cluster_id"]] = true
		leaders += s.Value("endpoint_is_leader", "url", url)
		size, used := s.Value("endpoint_db_size_bytes", "url", url), s.Value("endpoint_db_in_use_bytes", "url", url)
		if size < 200*300 || used <= 0 || used > size {
			t.Errorf("%s: %v of %v bytes in use", url, used, size)
		}
		check(t, s.Want(defaultQuota, "endpoint_db_quota_bytes", "url", url))
		if free := s.Value("endpoint_disk_free_bytes", "url", url); free < 1<<20 {
			t.Errorf("%s: %v bytes of disk left", url, free)
		}
		index, applied := s.Value("endpoint_raft_index", "url", url), s.Value("endpoint_raft_applied_index", "url", url)
		if applied < 4 || applied > index {
			t.Errorf("%s: applied %v of %v", url, applied, index)
		}
		check(t, s.Want(s.Value("cluster_revision"), "endpoint_revision", "url", url))
		if term := s.Value("endpoint_raft_term", "url", url); term < 2 || term != s.Value("endpoint_raft_term", "url", l.Endpoints()[0]) {
			t.Errorf("%s: term %v", url, term)
		}
		for _, issue := range issues {
			check(t, s.Want(1, "endpoint_known_issue", "url", url, "issue", issue, "severity", "critical"))
		}
	}
	if len(clusters) != 1 || clusters[""] {
		t.Errorf("cluster ids %v", clusters)
	}
	if leaders != 1 {
		t.Errorf("%v leaders", leaders)
	}
	check(t, s.WantNone("endpoint_failure"))
}

func checkHealth(t *testing.T, l *lab.Lab, s *Scrape) {
	s = s.with(t)
	for _, url := range l.Endpoints() {
		for _, name := range []string{"linearizable_read", "serializable_read"} {
			check(t, s.Want(1, "endpoint_healthy", "url", url, "check", name))
			if took := s.Value("endpoint_check_duration_seconds", "url", url, "check", name); took <= 0 || took > 2 {
				t.Errorf("%s of %s took %v s", name, url, took)
			}
		}
	}
}

func checkClock(t *testing.T, l *lab.Lab, s *Scrape) {
	s = s.with(t)
	for _, url := range l.Endpoints() {
		check(t, s.Want(1, "endpoint_clock_source", "url", url, "source", "client_port"), within(s, url, 0))
	}
}

func checkMembers(t *testing.T, l *lab.Lab, s *Scrape) {
	s = s.with(t)
	check(t,
		s.Want(3, "cluster_members", "role", "voter"), s.Want(0, "cluster_members", "role", "learner"),
		s.Want(0, "cluster_members_unstarted"), s.Want(3, "cluster_voters_healthy"), s.Want(2, "cluster_quorum_size"),
		s.Want(1, "cluster_failure_tolerance"), s.Want(1, "cluster_has_leader"),
		s.Want(1, "cluster_views", "of", "membership"), s.Want(1, "cluster_views", "of", "leader"), s.Want(1, "cluster_views", "of", "cluster_id"),
		s.Want(0, "cluster_endpoints_unlisted"), s.Want(0, "cluster_members_unmonitored"))
	for _, m := range l.Members() {
		id := fmt.Sprintf("%x", m.ID())
		check(t, s.Want(1, "member_started", "member_id", id, "member", m.Name()),
			s.Want(1, "member_info", "member_id", id, "member", m.Name(),
				"peer_urls", m.PeerURL(), "client_urls", m.ClientURL(), "learner", "false"))
	}
	if n := s.Count("member_info"); n != 3 {
		t.Errorf("%d members", n)
	}
}

func checkNoAlarms(t *testing.T, l *lab.Lab, s *Scrape) {
	s = s.with(t)
	for _, m := range l.Members() {
		for _, alarm := range []string{"NOSPACE", "CORRUPT"} {
			check(t, s.Want(0, "alarm_active", "member_id", fmt.Sprintf("%x", m.ID()), "member", m.Name(), "alarm", alarm))
		}
	}
	if n := s.Count("alarm_active"); n != 6 {
		t.Errorf("%d series of alarms", n)
	}
}

func checkCertificates(t *testing.T, l *lab.Lab, s *Scrape) {
	s = s.with(t)
	const name = "certificate_not_after_timestamp_seconds"
	expiry := func(file, role, url string) error {
		cert := readCertificate(t, file)
		return s.Want(float64(cert.NotAfter.Unix()), name, "role", role, "url", url, "subject", cert.Subject.String())
	}
	for _, m := range l.Members() {
		check(t, expiry(m.ServerCert(), "server", m.ClientURL()),
			expiry(strings.Replace(m.ServerCert(), "-server", "-peer", 1), "peer", m.PeerURL()))
	}
	check(t, expiry(l.ClientCert(), "client", ""), expiry(l.CAFile(), "issuer", ""))
	if n := s.Count(name); n != 8 {
		t.Errorf("%d certificates: %v", n, s.Labels(name))
	}
}

func readCertificate(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return cert
}

// checkOwn looks at the exporter's own metrics, and at what no metric may have.
func checkOwn(t *testing.T, s *Scrape) {
	s = s.with(t)
	for _, collector := range []string{"status", "health", "clock", "members", "alarms", "compaction", "tls", "flags"} {
		check(t, s.Want(1, "exporter_collector_success", "collector", collector))
		if !s.Has("exporter_collector_duration_seconds", "collector", collector) {
			t.Errorf("collector %s has no duration", collector)
		}
	}
	check(t, s.Want(1, "exporter_config_last_reload_successful"), s.WantNone("exporter_rpc_errors_total"))
	for _, name := range []string{"etcd_exporter_build_info", "go_goroutines", "process_resident_memory_bytes"} {
		if !s.Has(name) {
			t.Errorf("no %s", name)
		}
	}
	taken := []string{"endpoint", "instance", "job", "namespace", "pod", "service", "container", "cluster"}
	for name := range s.Families {
		for _, labels := range s.Labels(name) {
			for label := range maps.Keys(labels) {
				if slices.Contains(taken, label) {
					t.Errorf("%s has a label %s, which is the scrape configuration's", name, label)
				}
			}
		}
	}
}

// checkCompaction compacts twice, and to a revision that is not the newest.
func checkCompaction(t *testing.T, l *lab.Lab, e *Exporter) {
	e = e.with(t)
	s := e.Scrape("/metrics")
	check(t, s.Want(0, "cluster_compact_revision"))
	client, err := l.Client()
	must(t, err)
	for round := range 2 {
		var revision int64
		for i := range 10 {
			put, err := client.Put(patient(t), "e2e/compaction", fmt.Sprint(round, i))
			must(t, err)
			if i == 6 {
				revision = put.Header.Revision
			}
		}
		_, err = client.Compact(patient(t), revision)
		must(t, err)
		await(t, 5*time.Second, "the compaction shows", func() error {
			s := e.Scrape("/metrics")
			return errors.Join(s.Want(float64(revision), "cluster_compact_revision"), s.Want(float64(revision)+3, "cluster_revision"))
		})
	}
}
