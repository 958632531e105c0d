// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/etcdops/etcdops/remediate"
)

const (
	// A transaction holds all writers up for as long as it takes to apply: a
	// millisecond or two for 32 keys.
	minBatch, maxBatch = 32, 128
	batchTime          = 30 * time.Millisecond // of the configured rate, in one transaction
	// gap is the least pause from one transaction to the next, in which others write.
	gap = 20 * time.Millisecond

	judgeEvery = time.Second // how often the rate changes
	lookEvery  = 5 * time.Second
	patience   = 30 * time.Second // with a cluster that suffers
	recovery   = 5 * time.Minute  // before trying again

	firstTxns = 8 // whose median is what a transaction takes when all is well
	// Latency is bad above three times that, but never below easy, and always above
	// hard, unless the cluster was near it from the start.
	easy, hard = 15 * time.Millisecond, 50 * time.Millisecond

	slowest     = 50 // divisor of the configured rate: it falls no lower
	moreWatches = 10 // slow watchers that are no sign of trouble
	morePending = 1000
	moreMemory  = 64 << 20 // bytes
)

// pace says how fast a prune may go: no faster than configured, and slower when those
// who live on the cluster feel it. It lasts for a run.
type pace struct {
	ceiling float64 // keys per second
	rate    float64 // likewise, at present
	batch   int     // keys of a transaction
	limiter *rate.Limiter

	ended    time.Time       // of the last transaction
	first    []time.Duration // that the first transactions took
	normal   time.Duration   // 0: not known yet
	smooth   time.Duration   // a moving mean of what they take
	judged   time.Time       // when the rate changed last
	badSince time.Time       // zero: all is well

	begun  *remediate.Observation // before the first delete
	looked time.Time
	vitals string // what is wrong with them; empty: nothing
}

// newPace begins at a quarter of the rate. seen is the cluster as it was before.
func newPace(perSecond int, seen *remediate.Observation) *pace {
	ceiling := float64(perSecond)
	batch := min(max(int(ceiling*batchTime.Seconds()), minBatch), maxBatch, max(perSecond, 1))
	return &pace{
		ceiling: ceiling, rate: ceiling / 4, batch: batch, begun: seen, looked: time.Now(),
		limiter: rate.NewLimiter(rate.Limit(ceiling/4), batch),
	}
}

// wait waits until n more keys may go. It gives the error of ctx when that ends.
func (p *pace) wait(ctx context.Context, n int) error {
	if left := time.Until(p.ended.Add(gap)); left > 0 && !rest(ctx, left) {
		return ctx.Err()
	}
	if !rest(ctx, p.limiter.ReserveN(time.Now(), n).Delay()) {
		return ctx.Err()
	}
	return nil
}

// took notes how long a transaction took that ended now, and sets the rate. The error
// is a refusal: the cluster has suffered for too long.
func (p *pace) took(now time.Time, took time.Duration) error {
	p.ended = now
	if p.smooth += (took - p.smooth) / 5; p.normal == 0 {
		if p.first = append(p.first, took); len(p.first) < firstTxns {
			return nil
		}
		p.normal = slices.Sorted(slices.Values(p.first))[firstTxns/2]
		p.smooth, p.first = p.normal, nil
	}
	why := p.trouble()
	if why == "" {
		p.badSince = time.Time{}
	} else if p.badSince.IsZero() {
		p.badSince = now
	}
	if why != "" && now.Sub(p.badSince) >= patience {
		return refuse(refusedPressure, recovery, "%s, and has been for %s although the prune slowed down to %.0f keys a second", why, patience, p.rate)
	}
	if now.Sub(p.judged) < judgeEvery {
		return nil
	}
	p.judged = now
	if why != "" {
		p.rate = max(p.rate/2, p.ceiling/slowest)
	} else {
		p.rate = min(p.rate+p.ceiling/10, p.ceiling)
	}
	p.limiter.SetLimitAt(now, rate.Limit(p.rate))
	return nil
}

// trouble says what is wrong; empty: nothing.
func (p *pace) trouble() string {
	if limit := max(min(max(3*p.normal, easy), hard), 2*p.normal); p.smooth > limit {
		return fmt.Sprintf("a transaction takes %s, and took %s at first", p.smooth.Round(time.Millisecond), p.normal.Round(time.Millisecond))
	}
	return p.vitals
}

// due says whether it is time for another look at the whole cluster.
func (p *pace) due(now time.Time) bool { return now.Sub(p.looked) >= lookEvery }

// saw compares the cluster with what it was. An alarm that was not there, or a voter
// that does not answer any more, ends the run.
func (p *pace) saw(now time.Time, seen *remediate.Observation) error {
	p.looked = now
	for _, alarm := range seen.Alarms {
		if !p.begun.HasAlarm(alarm.Type) {
			return refuse(refusedPressure, recovery, "%s has raised the alarm %s since the prune began", labelOf(seen, alarm.MemberID), alarm.Type)
		}
	}
	if _, ok := seen.Leader(); !ok {
		return refuse(refusedPressure, recovery, "the voters name no common leader any more")
	}
	p.vitals = ""
	for _, m := range seen.Members {
		if m.Voter() && !sound(m) {
			return refuse(refusedPressure, recovery, "%s does not answer any more", m.Label())
		}
		before, ok := p.begun.Member(m.ID)
		if why := suffers(before, m); ok && why != "" {
			p.vitals = why
		}
	}
	return nil
}

// suffers compares a member with what it was. Where its vitals are not to be had
// there is nothing to compare.
func suffers(before, now remediate.Member) string {
	was, is := before.Vitals, now.Vitals
	switch {
	case before.VitalsErr != nil || now.VitalsErr != nil:
		return ""
	case is.SlowWatchers > was.SlowWatchers+moreWatches:
		return fmt.Sprintf("%s has %.0f slow watchers, and had %.0f at first", now.Label(), is.SlowWatchers, was.SlowWatchers)
	case is.PendingEvents > 2*was.PendingEvents+morePending:
		return fmt.Sprintf("%s has %.0f pending events for watchers, and had %.0f at first", now.Label(), is.PendingEvents, was.PendingEvents)
	// Pages of the database that were touched count as resident, and reading touches
	// them all: only what is beyond its size is memory that the member needs.
	case is.Resident > 1.25*was.Resident+moreMemory+float64(now.Status.DBSize):
		return fmt.Sprintf("%s takes %s of memory, and took %s at first", now.Label(), bytesText(int64(is.Resident)), bytesText(int64(was.Resident)))
	}
	return ""
}
