// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxEntries is how many matching entries of a store are held: the newest.
	maxEntries = 100_000
	// maxAhead is how far a time may lie ahead of this program's clock before it is
	// a problem: clocks of two hosts differ.
	maxAhead = 10 * time.Minute
	// maxStall is how long a server may bring no byte of an object.
	maxStall = time.Minute
)

// rules are what all kinds of stores do alike with what they find.
type rules struct {
	pattern string
	layout  *layout // nil: no time in the names
	limiter *rate.Limiter
	limit   int
	stall   time.Duration
	now     func() time.Time
}

func newRules(cfg Config) (rules, error) {
	r := rules{pattern: cfg.Pattern, limit: maxEntries, stall: maxStall, now: time.Now}
	switch _, err := path.Match(cfg.Pattern, ""); {
	case err != nil:
		return r, fmt.Errorf("pattern: %q is no valid pattern", cfg.Pattern)
	case strings.Contains(cfg.Pattern, "/"):
		return r, fmt.Errorf("pattern: %q holds a slash: it is matched against file names", cfg.Pattern)
	case cfg.Pattern == "" && !cfg.Glob:
		return r, errors.New("pattern: is needed")
	case cfg.MaxBytesPerSecond < 0:
		return r, errors.New("max_bytes_per_second: must be zero (no bound) or more")
	}
	if cfg.TimeFromName != "" {
		l, err := newLayout(cfg.TimeFromName)
		if err != nil {
			return r, fmt.Errorf("time_from_name: %w", err)
		}
		r.layout = l
	}
	r.limiter = newLimiter(cfg.MaxBytesPerSecond)
	return r, nil
}

// date gives an object its time and what is wrong with it. A file whose name holds
// no time keeps the time of its last change, so that it has a place in the order.
func (r rules) date(o *Object, modified time.Time) {
	o.Time, o.Changed = modified, modified
	if r.layout != nil {
		t, ok := r.layout.find(path.Base(o.Name))
		switch {
		case ok:
			o.Time = t
		case o.Problem == nil:
			o.Problem = &Problem{ReasonNameTime, fmt.Errorf("the name %q holds no time of the layout %q", shorten(path.Base(o.Name)), r.layout.text)}
		}
	}
	if ahead := o.Time.Sub(r.now()); ahead > maxAhead && o.Problem == nil {
		o.Problem = &Problem{ReasonFuture, fmt.Errorf("its time lies %s ahead of this host's clock", ahead.Round(time.Second))}
	}
}

// newest holds the newest entries of a store, as many as the limit says.
type newest struct {
	limit   int
	now     time.Time
	list    []Object
	dropped bool
}

func (r rules) newest() *newest { return &newest{limit: r.limit, now: r.now()} }

func (n *newest) add(o Object) {
	n.list = append(n.list, o)
	// A quarter more than the limit, so that sorting is rare.
	if len(n.list) > n.limit+n.limit/4 {
		n.sorted()
	}
}

// sorted gives what is held, newest first. A time ahead of the clock counts as now:
// it may be wrong, and must not stand before what is really new for ever.
func (n *newest) sorted() []Object {
	capped := func(t time.Time) time.Time {
		if t.After(n.now) {
			return n.now
		}
		return t
	}
	slices.SortFunc(n.list, func(a, b Object) int {
		if c := capped(b.Time).Compare(capped(a.Time)); c != 0 {
			return c
		}
		return strings.Compare(b.Name, a.Name)
	})
	if len(n.list) > n.limit {
		clear(n.list[n.limit:])
		n.list, n.dropped = n.list[:n.limit], true
	}
	return n.list
}
