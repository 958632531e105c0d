// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/etcdops/etcdops/internal/keyspace"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/remediate"
)

const (
	sampledEvents = 1000 // of one step
	sampledNames  = 20   // of each kind that are named; the rest is summed
	otherNames    = "other"
)

// sample remembers what some of the events that may go say, each of them with the
// same chance, so that the record tells the cause of a flood.
type sample struct {
	random  *rand.Rand
	offered int
	notes   []note
}

// note is what is kept of one event.
type note struct {
	index                     int // in stretch.keys
	reason, source, namespace string
}

// offer takes event number index, or not.
func (s *sample) offer(index int, e kubernetes.Event) {
	s.offered++
	at := len(s.notes)
	if at == sampledEvents {
		if at = s.random.IntN(s.offered); at >= sampledEvents {
			return
		}
	} else {
		s.notes = append(s.notes, note{})
	}
	name := func(text string) string { return keyspace.Label([]byte(text)) } // bounded, and valid UTF-8
	s.notes[at] = note{index, name(e.Reason), name(e.Component), name(e.Namespace)}
}

// of sums up the sampled ones that went; nil: there is none.
func (s *sample) of(gone func(index int) bool) *remediate.Sample {
	reasons, sources, namespaces := map[string]int{}, map[string]int{}, map[string]int{}
	events := 0
	for _, n := range s.notes {
		if gone(n.index) {
			events++
			reasons[n.reason]++
			sources[n.source]++
			namespaces[n.namespace]++
		}
	}
	if events == 0 {
		return nil
	}
	return &remediate.Sample{Events: events, Reasons: largest(reasons), Sources: largest(sources), Namespaces: largest(namespaces)}
}

// largest names the most frequent and sums up the rest.
func largest(counts map[string]int) map[string]int {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	named := map[string]int{}
	for i, name := range names {
		if i < sampledNames {
			named[name] = counts[name]
			continue
		}
		named[otherNames] += counts[name]
	}
	return named
}
