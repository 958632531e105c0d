// SPDX-License-Identifier: Apache-2.0

package top

import (
	"cmp"
	"container/heap"
	"slices"
)

// figures are what was seen of a key or of a group of them.
type figures struct {
	writes, created, deleted uint64 // what is neither created nor deleted was updated
	bytes                    uint64 // of the keys and values that were put
	value                    uint64 // bytes of the value that was put last
}

func (f *figures) add(c figures) {
	f.writes += c.writes
	f.created += c.created
	f.deleted += c.deleted
	f.bytes += c.bytes
	if c.deleted == 0 {
		f.value = c.value
	}
}

func byWrites(f figures) uint64 { return f.writes }
func byBytes(f figures) uint64  { return f.bytes }

// sketch finds the heaviest of any number of names with a bounded number of
// counters: Space-Saving (Metwally, Agrawal, El Abbadi 2005). A name without a
// counter takes over the lightest one and inherits its weight, so that a weight is
// never too low; the figures begin anew, so they are never too high. With n
// counters every name of more than 1/n of the whole weight has one.
type sketch struct {
	weigh    func(figures) uint64
	counters int
	byName   map[string]*counter
	lightest lightest
}

type counter struct {
	name   string
	weight uint64
	seen   figures
	place  int // in the heap
}

func newSketch(counters int, weigh func(figures) uint64) *sketch {
	return &sketch{weigh: weigh, counters: counters, byName: map[string]*counter{}}
}

func (s *sketch) add(name string, c figures) {
	weight := s.weigh(c)
	one := s.byName[name]
	switch {
	case one != nil:
	case weight == 0: // a delete, where bytes count
		return
	case len(s.lightest) < s.counters:
		one = &counter{name: name}
		s.byName[name] = one
		heap.Push(&s.lightest, one)
	default:
		one = s.lightest[0]
		delete(s.byName, one.name)
		one.name, one.seen = name, figures{}
		s.byName[name] = one
	}
	one.weight += weight
	one.seen.add(c)
	heap.Fix(&s.lightest, one.place)
}

// error is by how much any weight, or the one of a name without a counter, can
// be off: 0 while there were counters for all.
func (s *sketch) error() uint64 {
	if len(s.lightest) < s.counters {
		return 0
	}
	return s.lightest[0].weight
}

// top gives the n heaviest by what was certainly seen of them.
func (s *sketch) top(n int) []named {
	all := make([]named, 0, len(s.lightest))
	for _, c := range s.lightest {
		all = append(all, named{c.name, c.seen, c.weight - s.weigh(c.seen)})
	}
	return heaviest(all, n, s.weigh)
}

// named is a row to be: figures, and how much weight may be missing in them.
type named struct {
	name    string
	seen    figures
	missing uint64
}

// heaviest sorts, equals by name, so that what is shown does not jump about.
func heaviest(all []named, n int, weigh func(figures) uint64) []named {
	slices.SortFunc(all, func(a, b named) int {
		return cmp.Or(cmp.Compare(weigh(b.seen), weigh(a.seen)), cmp.Compare(b.seen.bytes, a.seen.bytes), cmp.Compare(a.name, b.name))
	})
	return all[:min(n, len(all))]
}

// lightest is a heap with the counter of the least weight on top.
type lightest []*counter

func (l lightest) Len() int           { return len(l) }
func (l lightest) Less(i, j int) bool { return l[i].weight < l[j].weight }
func (l lightest) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].place, l[j].place = i, j
}

func (l *lightest) Push(x any) {
	c := x.(*counter)
	c.place = len(*l)
	*l = append(*l, c)
}

func (l *lightest) Pop() any { panic("top: counters are never taken out") }

// table counts exactly, up to a number of names; those that come later share one
// row.
type table struct {
	limit  int
	byName map[string]*figures
	others figures
}

const othersName = "(others)"

func newTable(limit int) *table { return &table{limit: limit, byName: map[string]*figures{}} }

func (t *table) add(name string, c figures) {
	one := t.byName[name]
	switch {
	case one != nil:
	case len(t.byName) < t.limit:
		one = &figures{}
		t.byName[name] = one
	default:
		one = &t.others
	}
	one.add(c)
}

// top gives the n names with the most writes, and the row of those not named.
func (t *table) top(n int) []named {
	all := make([]named, 0, len(t.byName)+1)
	for name, seen := range t.byName {
		all = append(all, named{name: name, seen: *seen})
	}
	if t.others.writes > 0 {
		all = append(all, named{name: othersName, seen: t.others})
	}
	return heaviest(all, n, byWrites)
}
