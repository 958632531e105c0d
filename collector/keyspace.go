// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace"
)

var keyspaceMetrics = []Metric{
	gauge("keyspace_keys", "Keys below the prefix.", "prefix"),
	gauge("keyspace_group_keys", "Keys of a group, which is the next path segment: a resource below /registry/, a namespace below /registry/events/. group: the max_groups largest by name, __other__ (the rest, summed), __leaf__ (keys right under the prefix).", "prefix", "group"),
	gauge("keyspace_groups", "Groups below the prefix; at least so many where discovery stopped at 4 times max_groups.", "prefix"),
	gauge("keyspace_group_bytes", "Estimated size of a group's keys and values, from samples; with sample_bytes alone.", "prefix", "group"),
	gauge("keyspace_group_bytes_error", "Half-width of the 95 % interval around keyspace_group_bytes.", "prefix", "group"),
	gauge("keyspace_scan_timestamp_seconds", "Unix time at which the last complete scan ended.", "prefix"),
	gauge("keyspace_scan_duration_seconds", "How long the last complete scan took, its pauses included.", "prefix"),
	gauge("keyspace_scan_success", "1 when the newest scan was complete; while it is 0 the other series are those of the last complete one.", "prefix"),
}

const (
	// otherGroup and leafGroup are the series beside the named groups; no label
	// that keyspace.Label makes is equal to them.
	otherGroup = "__other__"
	leafGroup  = "__leaf__"
	// scanShare bounds what scans cost: at most a hundredth of the time.
	scanShare = 100
	// longestPause is the most that a costly scan puts the next one off.
	longestPause = 15 * time.Minute
	// idleScans is for how many intervals a scan goes on without a scrape.
	idleScans = 10
)

// Keyspace is one prefix whose keys are counted.
type Keyspace struct {
	keyspace.Options
	Interval time.Duration
}

type keyspaces struct {
	subject
	targets *targets
	counts  []*count
}

func newKeyspace(d Deps) Collector {
	k := &keyspaces{
		subject: newSubject("keyspace", "How many keys there are, by group (KV.Range, count only and serializable, about 10,000 keys a request, on a member that does not lead, in the background).", keyspaceMetrics),
		targets: &targets{scanner: d.Scanner},
	}
	turn := make(chan struct{}, 1)
	for _, o := range d.Keyspaces {
		c := &count{options: o, counter: keyspace.New(o.Options), targets: k.targets, turn: turn, firstTry: make(chan struct{}), log: d.Log}
		c.job = job{background: d.Background, log: d.Log, run: c.run, idle: idleScans * o.Interval}
		k.counts = append(k.counts, c)
	}
	for _, c := range k.counts {
		for _, other := range k.counts {
			if other != c && strings.HasPrefix(other.options.Prefix, c.options.Prefix) {
				c.below = append(c.below, other)
			}
		}
	}
	return k
}

// applies says whether there is anything to count.
func (k *keyspaces) applies() bool { return len(k.counts) > 0 }

func (k *keyspaces) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	k.targets.learn(ctx, view)
	b := k.batch()
	for _, c := range k.counts {
		c.ask()
		c.report(b)
	}
	return b.done()
}

// count is one prefix: the job that counts it, and what it found last.
type count struct {
	job
	options  Keyspace
	counter  *keyspace.Counter
	targets  *targets
	turn     chan struct{} // one scan a cluster at a time
	below    []*count      // whose prefixes begin with this one
	firstTry chan struct{} // closed after the first try
	closing  sync.Once
	log      *slog.Logger

	mu     sync.Mutex
	tried  bool
	result keyspace.Result
	ended  time.Time // of the last complete scan; zero: none yet
	took   time.Duration
	err    error // of the newest scan
}

// run is one scan. A member that fails is left for another. The first one waits for
// those of the prefixes below, whose windows show where many keys lie.
func (c *count) run(ctx context.Context) time.Duration {
	defer c.closing.Do(func() { close(c.firstTry) })
	for _, other := range c.below {
		select {
		case <-other.firstTry:
		case <-ctx.Done():
			return 0
		}
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return 0
	}
	var places [][]byte
	for _, other := range c.below {
		places = append(places, other.counter.Edges()...)
	}
	c.counter.Hint(places)
	var asked time.Duration
	begun := time.Now()
	errs := []error{}
	for _, target := range c.targets.inOrder() {
		result, err := c.counter.Scan(ctx, target.api)
		asked += result.Asked
		if ctx.Err() != nil {
			return 0 // a reload or the end; not the member's fault
		}
		if err == nil {
			c.keep(result, begun, nil)
			c.log.Debug("key space counted", "prefix", c.options.Prefix, "url", target.url, "keys", result.Keys,
				"requests", result.Requests, "largest", result.Largest, "asked", result.Asked, "took", time.Since(begun))
			return c.pause(asked)
		}
		errs = append(errs, fmt.Errorf("%s: %w", target.url, err))
		if errors.Is(err, etcd.ErrPermissionDenied) {
			break // every member would say so
		}
	}
	if len(errs) == 0 {
		errs = append(errs, errors.New("no endpoint answers"))
	}
	c.keep(keyspace.Result{}, begun, errors.Join(errs...))
	return c.pause(asked)
}

// pause is how long the next scan waits after one that kept the server busy for
// that long.
func (c *count) pause(asked time.Duration) time.Duration {
	return min(max(c.options.Interval, scanShare*asked), max(longestPause, c.options.Interval))
}

func (c *count) keep(result keyspace.Result, begun time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried, c.err = true, err
	if err == nil {
		c.result, c.ended = result, time.Now()
		c.took = c.ended.Sub(begun)
	}
}

func (c *count) report(b *batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	prefix := keyspace.Label([]byte(c.options.Prefix))
	if !c.tried {
		return
	}
	b.add("keyspace_scan_success", number(c.err == nil), prefix)
	b.fail(c.err)
	if c.ended.IsZero() {
		return
	}
	b.add("keyspace_scan_timestamp_seconds", seconds(c.ended), prefix)
	b.add("keyspace_scan_duration_seconds", c.took.Seconds(), prefix)
	b.add("keyspace_keys", float64(c.result.Keys), prefix)
	b.add("keyspace_groups", float64(c.result.Found), prefix)
	b.add("keyspace_group_keys", float64(c.result.Other), prefix, otherGroup)
	b.add("keyspace_group_keys", float64(c.result.Leaf), prefix, leafGroup)
	for _, g := range c.result.Groups {
		group := keyspace.Label(g.Name)
		b.add("keyspace_group_keys", float64(g.Keys), prefix, group)
		if g.Sampled {
			b.add("keyspace_group_bytes", g.Bytes, prefix, group)
			b.add("keyspace_group_bytes_error", g.BytesError, prefix, group)
		}
	}
}

// Count is one complete count of a prefix.
type Count struct {
	keyspace.Result
	Begun, Ended time.Time
}

// Count is the last complete count of a prefix; false where there is none.
func (s *Set) Count(prefix string) (Count, bool) {
	for _, c := range s.collectors {
		k, ok := c.(*keyspaces)
		if !ok {
			continue
		}
		for _, one := range k.counts {
			if one.options.Prefix == prefix {
				return one.last()
			}
		}
	}
	return Count{}, false
}

func (c *count) last() (Count, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Count{c.result, c.ended.Add(-c.took), c.ended}, !c.ended.IsZero()
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
