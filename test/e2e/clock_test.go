// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// timing is what the instants of a request may be off by beyond the exporter's
// own bound: none, but for the resolution of floating point.
const timing = 1e-6

// within is an error unless the skew that an endpoint's series tell lies within
// its own bound of the truth, which is at most half a second wide each way.
func within(s *Scrape, url string, truth time.Duration) error {
	skew, err := s.Lookup("endpoint_clock_skew_seconds", "url", url)
	if err != nil {
		return err
	}
	width, err := s.Lookup("endpoint_clock_skew_error_seconds", "url", url)
	if err != nil {
		return err
	}
	if math.Abs(skew-truth.Seconds()) > width+timing || width <= 0 || width > 0.5+timing {
		return fmt.Errorf("clock of %s: %.6f +- %.6f s, in truth %s", url, skew, width, truth)
	}
	return nil
}

// TestClockSkew has two members whose clocks are wrong by seconds and minutes.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	skews := []time.Duration{0, 2500 * time.Millisecond, -5 * time.Minute}
	options := lab.Options{Version: "3.6.16", Member: map[int]lab.MemberOptions{}}
	for i, skew := range skews {
		options.Member[i] = lab.MemberOptions{ClockSkew: skew}
	}
	l := startLab(t, options)
	e := exportLab(t, l)
	const precise = 0.010
	scrapes, began := 0, time.Now()
	await(t, 60*time.Second, "all errors are below 10 ms", func() error {
		s := e.Scrape("/metrics")
		scrapes++
		var wide []error
		for i, skew := range skews {
			url := l.Member(i).ClientURL()
			if err := within(s, url, skew); err != nil {
				t.Fatalf("scrape %d: %v", scrapes, err) // never outside, not even at first
			}
			if width := s.Value("endpoint_clock_skew_error_seconds", "url", url); width >= precise {
				wide = append(wide, fmt.Errorf("%s: %v s", url, width))
			}
		}
		if len(wide) > 0 {
			pause(t, 950*time.Millisecond) // as a scraper that comes once a second
		}
		return errors.Join(wide...)
	})
	t.Logf("below 10 ms after %d scrapes in %s", scrapes, time.Since(began).Round(time.Second))
	if s := e.Scrape("/metrics"); s.Want(1, "exporter_collector_success", "collector", "clock") != nil {
		t.Error("the collector clock fails")
	}
}

// TestGRPCOnlyClientPort has a member whose HTTP is on another port.
func TestGRPCOnlyClientPort(t *testing.T) {
	for _, version := range []string{"3.5.35", "3.6.16"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			l := startLab(t, lab.Options{Version: version, QuotaBytes: 64 << 20, Member: map[int]lab.MemberOptions{1: {GRPCOnly: true}}})
			url := l.Member(1).ClientURL()
			quotaInStatus := version != "3.5.35"

			s := exportLab(t, l).Scrape("/metrics")
			check(t, s.Up(url), s.Want(1, "endpoint_healthy", "url", url, "check", "linearizable_read"),
				s.WantNone("endpoint_clock_skew_seconds", "url", url), s.WantNone("endpoint_clock_source", "url", url),
				s.Want(0, "exporter_collector_success", "collector", "clock"), s.Want(1, "exporter_collector_success", "collector", "status"),
				within(s, l.Member(0).ClientURL(), 0), within(s, l.Member(2).ClientURL(), 0))
			if has := s.Has("endpoint_db_quota_bytes", "url", url); has != quotaInStatus {
				t.Errorf("quota is there: %t", has)
			}
			if s.Took > 2*quick {
				t.Errorf("the scrape took %s", s.Took)
			}

			config, err := l.WriteConfig(nil)
			must(t, err)
			s = startExporter(t, "--config.file="+config).Scrape("/metrics")
			check(t, s.Want(1, "endpoint_clock_source", "url", url, "source", "metrics_url"), within(s, url, 0),
				s.Want(64<<20, "endpoint_db_quota_bytes", "url", url), s.Want(64<<20, "endpoint_db_quota_bytes", "url", l.Member(0).ClientURL()),
				s.Want(1, "exporter_collector_success", "collector", "clock"),
				s.Want(1, "endpoint_clock_source", "url", l.Member(0).ClientURL(), "source", "client_port"))
		})
	}
}
