// SPDX-License-Identifier: Apache-2.0

package action

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace"
)

const (
	// pageKeys come with their values in one answer: half a megabyte of usual events.
	pageKeys = 500
	// stepKeys is after how many keys that may go, or in a plan after how many that
	// were looked at, a step ends with the window it is in; maxStepKeys is where it
	// ends at once.
	stepKeys    = 10_000
	maxStepKeys = 20_000
	// maxGroups bounds what a scan remembers; the namespaces' names are not used.
	maxGroups = 500
)

// stretch is the part of the key space that one step deals with: whole windows, as
// a count of the key space cut them, so that no request walks many keys.
type stretch struct {
	next   []byte          // where the one after it begins; nil: nothing is left
	keys   []etcd.KeyValue // that may go; without values
	looked int64           // keys that it has
	opaque int64           // of them, with values that nobody can read
	sample sample
}

// cut cuts the key space below the prefix into windows of few keys, by counting it.
// The first edge is that of the prefix itself.
func cut(ctx context.Context, api etcd.ScanAPI, prefix eventsPrefix) (edges [][]byte, keys int64, err error) {
	counter := keyspace.New(keyspace.Options{Prefix: prefix.text, MaxGroups: maxGroups})
	result, err := counter.Scan(ctx, api)
	if err != nil {
		return nil, 0, err
	}
	edges = [][]byte{[]byte(prefix.text)}
	for _, edge := range counter.Edges() {
		if bytes.Compare(edge, edges[len(edges)-1]) > 0 && prefix.holds(edge) {
			edges = append(edges, bytes.Clone(edge))
		}
	}
	return edges, result.Keys, nil
}

// look reads the key space from a key on, window by window, until there is enough
// for a step. It reads at most as fast as the member answers, half of the time.
func (p *pruneEvents) look(ctx context.Context, api etcd.ScanAPI, j judge, from []byte, most int, acting bool) (*stretch, error) {
	s := &stretch{next: from, sample: sample{random: rand.New(rand.NewPCG(1, 1))}}
	for s.next != nil {
		enough := len(s.keys) >= stepKeys || !acting && s.looked >= stepKeys
		if enough || len(s.keys) >= most {
			return s, nil
		}
		if err := p.window(ctx, api, j, s, most); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// window reads on to the end of the window that s has come to, page by page.
func (p *pruneEvents) window(ctx context.Context, api etcd.ScanAPI, j judge, s *stretch, most int) error {
	span := etcd.Span{From: s.next, To: p.prefix.span().To}
	after, _ := slices.BinarySearchFunc(p.edges, s.next, func(edge, at []byte) int {
		if bytes.Compare(edge, at) <= 0 {
			return -1
		}
		return 1
	})
	last := after == len(p.edges)
	if !last {
		span.To = p.edges[after]
	}
	for limit := int64(pageKeys); ; {
		begun := time.Now()
		page, err := api.Range(ctx, etcd.RangeQuestion{Span: span, Limit: limit})
		if tooLarge(err) && limit > 1 {
			limit = max(limit/8, 1)
			continue
		}
		if err != nil {
			return fmt.Errorf("list keys below %s: %w", j.prefix.text, err)
		}
		keys := within(page.Keys, span)
		if err := j.checkSample(keys); err != nil {
			return err
		}
		for _, kv := range keys {
			if len(s.keys) >= min(most, maxStepKeys) {
				s.next = kv.Key
				return nil
			}
			s.add(j, kv)
		}
		if int64(len(page.Keys)) < limit || len(keys) == 0 {
			break
		}
		span.From = append(bytes.Clone(keys[len(keys)-1].Key), 0)
		if !rest(ctx, time.Since(begun)) {
			return fmt.Errorf("list keys below %s: %w", j.prefix.text, ctx.Err())
		}
	}
	if s.next = span.To; last {
		s.next = nil
	}
	return nil
}

// add looks at one key.
func (s *stretch) add(j judge, kv etcd.KeyValue) {
	s.looked++
	goes, event, ok := j.goes(kv)
	if !ok {
		s.opaque++
	}
	if !goes {
		return
	}
	if ok {
		s.sample.offer(len(s.keys), event)
	}
	s.keys = append(s.keys, etcd.KeyValue{Key: kv.Key, ModRevision: kv.ModRevision})
}

// within leaves of an answer what was asked for, in order: what a server adds is not
// believed.
func within(keys []etcd.KeyValue, span etcd.Span) []etcd.KeyValue {
	from := span.From
	return slices.DeleteFunc(keys, func(kv etcd.KeyValue) bool {
		if bytes.Compare(kv.Key, from) < 0 || bytes.Compare(kv.Key, span.To) >= 0 {
			return true
		}
		from = append(bytes.Clone(kv.Key), 0)
		return false
	})
}

// tooLarge says whether an answer with fewer values may pass where this did not.
func tooLarge(err error) bool {
	var refused *etcd.Error
	return errors.As(err, &refused) && refused.Code == codes.ResourceExhausted.String()
}

// count gives the number of keys below the prefix from a key on, window by window.
func (p *pruneEvents) count(ctx context.Context, api etcd.ScanAPI, from []byte) (keys int64, err error) {
	for at, edge := range p.edges {
		to := p.prefix.span().To
		if at+1 < len(p.edges) {
			to = p.edges[at+1]
		}
		if bytes.Compare(to, from) <= 0 {
			continue
		}
		if bytes.Compare(edge, from) < 0 {
			edge = from
		}
		begun := time.Now()
		answer, err := api.Range(ctx, etcd.RangeQuestion{Span: etcd.Span{From: edge, To: to}, CountOnly: true})
		if err != nil {
			return 0, fmt.Errorf("count keys below %s: %w", p.prefix.text, err)
		}
		keys += answer.Count
		if !rest(ctx, time.Since(begun)) {
			return 0, fmt.Errorf("count keys below %s: %w", p.prefix.text, ctx.Err())
		}
	}
	return keys, nil
}
