// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

const (
	// usualRate is how fast a defragmentation writes before one was seen, in bytes a
	// second.
	usualRate = 100e6
	// tellingSize is how large a database must be for its defragmentation to tell the
	// rate: a small one takes as long as anything does.
	tellingSize = 16 << 20 // bytes
)

// pause refuses to defragment a member that would be out of service for too long
// (rule 4).
type pause struct{}

func (pause) Name() string { return "pause" }

func (pause) Check(_ context.Context, c *remediate.Cluster, s *remediate.Step) error {
	if _, err := observed(c); err != nil {
		return err
	}
	if !isStep(s) || s.Action != remediate.StepDefrag {
		return nil
	}
	m, err := target(c, s)
	if err != nil {
		return err
	}
	rate, source := rateOf(c.Run)
	seconds := float64(m.Status.DBInUse) / rate
	if seconds <= c.Policy.Defrag.MaxPause.Seconds() {
		return nil
	}
	return remediate.Refuse("%s would not answer for about %s (%s at %s/s, %s), longer than max_pause (%s): an API server beside it loses its leases after 10s, and kubeadm's probe kills etcd after 80s",
		name(m), span(duration(seconds)), size(float64(m.Status.DBInUse)), size(rate), source, span(c.Policy.Defrag.MaxPause))
}

// rateOf is what the slowest member of this very run showed, in bytes a second.
func rateOf(run *remediate.Run) (rate float64, source string) {
	if run != nil {
		for _, s := range run.Steps {
			took := s.FinishedAt.Sub(s.StartedAt)
			if s.Action != remediate.StepDefrag || !s.Done() || s.StartedAt.IsZero() || took <= 0 || s.AfterBytes < tellingSize {
				continue
			}
			if r := float64(s.AfterBytes) / took.Seconds(); rate == 0 || r < rate {
				rate, source = r, "as "+plain(s.Member)+" showed"
			}
		}
	}
	if rate == 0 {
		return usualRate, "not measured yet"
	}
	return rate, source
}

// duration makes one of seconds, of which there may be absurdly many.
func duration(seconds float64) time.Duration {
	return time.Duration(min(seconds, (1000*time.Hour).Seconds()) * float64(time.Second))
}
