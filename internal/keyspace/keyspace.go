// SPDX-License-Identifier: Apache-2.0

// Package keyspace counts the keys of a prefix by the path segment that follows
// it, without holding up those who write.
//
// A request for keys makes etcd walk all of its span, whatever the limit, and
// writers wait meanwhile. So a Counter asks for short spans, pauses after each
// request for at least as long as it took, and remembers where it cut the key
// space: a later scan counts the same windows, looks once into each gap between
// them, and searches only where something new is. Every scan covers the whole
// prefix with spans that do not overlap; what is written meanwhile is counted or
// not, and nothing is counted twice.
//
// The first scan knows nothing, and no question bounds what it makes the server
// walk. It begins with narrow ones around keys that were written lately (a short
// watch tells them), and goes outward.
package keyspace

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// Options say what to count.
type Options struct {
	Prefix    string // any; empty: all keys
	MaxGroups int    // that are named; at least 1
	// SampleBytes has a few thousand values read in a scan, to estimate the bytes
	// of each named group.
	SampleBytes bool
	// SampleExclude names path segments whose values are never asked for, wherever
	// in a key they stand.
	SampleExclude []string
}

// Group is what lies below one path segment.
type Group struct {
	Name []byte
	Keys int64
	// Bytes of keys and values, estimated, and half the width of the interval that
	// holds the truth in 95 of 100 scans. Only where Sampled.
	Bytes, BytesError float64
	Sampled           bool
}

// Result is what one scan found.
//
// Where a prefix has more than four times MaxGroups groups and keys right under
// it, the search stops (Capped). All keys are counted still, those that nobody
// looked at in Other: then Leaf and Found are lower bounds, and a group below
// about 10,000 keys may be missing from Groups. A named group's count is always
// that of all its keys.
type Result struct {
	Keys     int64   // of the prefix
	Groups   []Group // the largest, largest first, equal ones by name
	Other    int64   // keys of all other groups
	Leaf     int64   // keys right under the prefix, and the prefix itself
	Found    int     // groups that were seen
	Capped   bool    // the search for groups stopped early
	Requests int     // that the scan took, without the watch of a first one
	Asked    time.Duration
	Largest  int64 // the largest number of keys that one request walked
	Revision int64 // of the last answer
}

// Counter counts one prefix, time and again. It must not be used by two
// goroutines at once.
type Counter struct {
	options Options
	prefix  string
	whole   span
	exclude map[string]bool

	windows []window // of the last complete scan, covering the whole prefix in order
	capped  bool     // that scan left groups unlooked at
	total   int64    // keys it found
	hinted  [][]byte // by Hint
}

// New makes a Counter. It asks nobody.
func New(o Options) *Counter {
	o.MaxGroups = max(o.MaxGroups, 1)
	c := &Counter{options: o, prefix: o.Prefix, whole: prefixSpan(o.Prefix), exclude: map[string]bool{}}
	for _, name := range o.SampleExclude {
		c.exclude[name] = true
	}
	return c
}

// Scan counts. After an error or the end of ctx the Counter knows what it knew
// before, and the next scan may ask another member; the result then tells only what
// the scan has cost.
func (c *Counter) Scan(ctx context.Context, api etcd.ScanAPI) (Result, error) {
	ask := &asker{api: api, ctx: ctx}
	ask.left = baseRequests + 64*c.options.MaxGroups + 8*len(c.windows) + 8*int(c.total/aim)
	s := &scan{explorer: explorer{asker: ask, c: c}, groups: map[string]int64{}}
	result, err := s.run() //nolint:contextcheck // the asker has it, and ends with this call
	if err != nil {
		return Result{Requests: s.requests, Asked: s.asked}, fmt.Errorf("count keys below %q: %w", c.prefix, err)
	}
	return result, nil
}

// Edges are where the last scan cut the prefix: few keys lie between two of them.
func (c *Counter) Edges() [][]byte {
	var all [][]byte
	for _, w := range c.windows {
		all = append(all, w.from)
	}
	return all
}

// Hint tells the first scan of places with keys around them, such as the edges of a
// prefix below this one. Once there was a scan it changes nothing.
func (c *Counter) Hint(places [][]byte) {
	if c.windows == nil {
		c.hinted = places
	}
}

// excluded says whether the prefix lies inside a segment that must not be sampled.
func (c *Counter) excluded() bool { return c.hidden([]byte(c.prefix)) }

// hidden says whether a key lies inside such a segment.
func (c *Counter) hidden(key []byte) bool {
	segments := strings.Split(string(key), "/")
	return slices.ContainsFunc(segments[:len(segments)-1], func(s string) bool { return c.exclude[s] })
}

// above says whether the prefix holds all of Kubernetes' resources, or some by the
// beginnings of their names, so that they are no groups of its own.
func (c *Counter) above() bool {
	const root = "/registry/"
	rest, below := strings.CutPrefix(c.prefix, root)
	return strings.HasPrefix(root, c.prefix) && c.prefix != root || below && rest != "" && !strings.Contains(rest, "/")
}
