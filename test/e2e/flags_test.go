// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// TestFlags has members of every version that say the same settings in other words, and
// one that has a flag of its own.
func TestFlags(t *testing.T) {
	for _, row := range matrix {
		t.Run(row.version, func(t *testing.T) {
			t.Parallel()
			l := startLab(t, lab.Options{
				Version: row.version, QuotaBytes: 64 << 20,
				Member: map[int]lab.MemberOptions{
					0: {Args: []string{"--auto-compaction-mode=periodic", "--auto-compaction-retention=5m"}},
					1: {Args: []string{"-auto-compaction-mode", "periodic", "--auto-compaction-retention", "300s"}},
					2: {Args: []string{"--auto-compaction-retention=8", "--snapshot-count=777"}},
				},
			})
			e := exportLab(t, l)
			check(t, e.Scrape("/metrics").Want(1, "exporter_collector_success", "collector", "flags"))
			await(t, 10*time.Second, "all members' flags are read", func() error { return toldBy(e.Scrape("/metrics"), l) })
			s := e.Scrape("/metrics")
			for _, member := range l.Members()[:2] {
				check(t, flag(s, member, "auto-compaction-mode", "periodic"), flag(s, member, "auto-compaction-retention", "5m0s"),
					s.WantNone("endpoint_flag_info", "url", member.ClientURL(), "flag", "snapshot-count"))
			}
			// A bare 8 without a mode may be hours or revisions.
			odd := l.Member(2)
			check(t, flag(s, odd, "snapshot-count", "777"), s.WantNone("endpoint_flag_info", "url", odd.ClientURL(), "flag", "auto-compaction-retention"))
			for _, word := range []string{odd.DataDir(), "--name", "initial-cluster-token"} {
				if text := e.with(t).Get("/metrics").Body; strings.Contains(text, word) {
					t.Errorf("the scrape has %s of the command line", word)
				}
			}
		})
	}
}

func flag(s *Scrape, m *lab.Member, name, value string) error {
	return s.Want(1, "endpoint_flag_info", "url", m.ClientURL(), "flag", name, "value", value)
}

// toldBy wants what every member of a lab has on its command line.
func toldBy(s *Scrape, l *lab.Lab) error {
	return errors.Join(each(l, func(m *lab.Member) error {
		return errors.Join(flag(s, m, "heartbeat-interval", "100"), flag(s, m, "election-timeout", "1000"),
			flag(s, m, "quota-backend-bytes", fmt.Sprint(64<<20)), flag(s, m, "client-cert-auth", "true"), flag(s, m, "initial-cluster-state", "new"))
	})...)
}

// TestFlagsOfGRPCOnlyPort: a client port that speaks no HTTP has its flags at the metrics
// URL, and where no such is configured it has none, which is no failure.
func TestFlagsOfGRPCOnlyPort(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Version: "3.6.16", Member: map[int]lab.MemberOptions{0: {GRPCOnly: true}}})
	config, err := l.WriteConfig(nil) // with the metrics URL
	must(t, err)
	e, bare := startExporter(t, "--config.file="+config), exportLab(t, l)
	for _, one := range []*Exporter{e, bare} {
		first := l.Members()[0]
		await(t, 10*time.Second, "the flags are read", func() error {
			s := one.Scrape("/metrics")
			errs := []error{s.Want(1, "exporter_collector_success", "collector", "flags"), flag(s, l.Member(1), "heartbeat-interval", "100")}
			if one == e {
				errs = append(errs, flag(s, first, "heartbeat-interval", "100"))
			}
			return errors.Join(errs...)
		})
		if s := one.Scrape("/metrics"); one == bare {
			check(t, s.WantNone("endpoint_flag_info", "url", first.ClientURL()))
		}
	}
}
