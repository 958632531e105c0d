// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/etcdops/etcdops/internal/etcd"
)

const (
	samplePages    = 100       // of a scan, spread over the groups by their keys
	leastPages     = 2         // of each named group
	pageValues     = 20        // that one page reads
	pageBytes      = 256 << 10 // that a page should have, by the largest value seen so far
	sampleBytes    = 32 << 20  // of one scan; what is left then is not sampled
	sampleRequests = 10_000    // of one scan
	narrowEnough   = 3 * pageValues
)

// sampler estimates bytes from pages of values at random places.
type sampler struct {
	*scan
	left  int64 // bytes that may still be read
	limit int64 // values of the next page
}

// sums are over the pages of one group: each page counts as one value, its mean.
type sums struct {
	pages, sum, squares float64
	values              int64
}

func (m *sums) add(mean float64, values int64) {
	m.pages++
	m.sum += mean
	m.squares += mean * mean
	m.values += values
}

// sample estimates the bytes of the named groups. Groups that are excluded are
// never asked about.
func (s *scan) sample(r *Result) error {
	if !s.c.options.SampleBytes || r.Keys == 0 || s.c.excluded() {
		return nil
	}
	s.asker.left = sampleRequests
	p := &sampler{scan: s, left: sampleBytes, limit: pageValues / 4}
	windows := map[string][]piece{}
	for _, w := range s.pieces {
		if w.kind == own {
			windows[w.group] = append(windows[w.group], w)
		}
	}
	for i := range r.Groups {
		g := &r.Groups[i]
		if s.c.exclude[string(g.Name)] {
			continue
		}
		of := windows[string(g.Name)]
		if of == nil { // its keys were listed along with its neighbours'
			of = []piece{{span: s.c.groupSpan(g.Name), n: g.Keys}}
		}
		if err := p.group(g, of, r.Keys); err != nil {
			return err
		}
	}
	return nil
}

// group reads the pages of a group, in each of its windows as many as its keys ask
// for, the fractions by lot.
func (p *sampler) group(g *Group, windows []piece, all int64) error {
	pages := max(samplePages*float64(g.Keys)/float64(all), leastPages)
	pages = min(pages, math.Ceil(float64(g.Keys)/pageValues))
	var got sums
	due := rand.Float64() // systematic: window by window one page where the sum passes a whole number
	for _, w := range windows {
		next := due + pages*float64(w.n)/float64(max(g.Keys, 1))
		if err := p.window(w.span, w.n, int(next)-int(due), &got); err != nil {
			return err
		}
		due = next
	}
	if got.pages == 0 {
		return nil
	}
	mean := got.sum / got.pages
	g.Sampled, g.Bytes = true, mean*float64(g.Keys)
	if got.values < g.Keys {
		g.BytesError = float64(g.Keys) * got.halfWidth()
	}
	return nil
}

// halfWidth is that of the 95 % interval of a mean over pages. One page alone
// tells nothing of its error: it counts as all of the mean.
func (m *sums) halfWidth() float64 {
	if m.pages < 2 {
		return m.sum
	}
	variance := max(m.squares-m.sum*m.sum/m.pages, 0) / (m.pages - 1)
	return student(int(m.pages)-1) * math.Sqrt(variance/m.pages)
}

// student is the 97.5 % quantile of Student's t, at least.
func student(freedom int) float64 {
	table := []float64{12.71, 4.31, 3.19, 2.78, 2.58, 2.45, 2.37, 2.31, 2.27, 2.23}
	switch {
	case freedom <= len(table):
		return table[max(freedom, 1)-1]
	case freedom <= 30:
		return 2.21
	default:
		return 2.05
	}
}

// window reads some pages at random places in a span. It halves the span until a
// page is about all that is left, and shares the pages by the keys of each half.
func (p *sampler) window(s span, n int64, pages int, got *sums) error {
	if pages == 0 || n == 0 || s.empty() || p.left <= 0 || p.asker.left < sampleRequests/10 {
		return nil
	}
	if n <= narrowEnough {
		return p.page(s, got)
	}
	head, err := p.first(s, 2)
	if err != nil || len(head.keys) < 2 {
		return err
	}
	low, high, err := p.halve(span{head.keys[0], s.to}, head)
	if err != nil {
		return err
	}
	if high.n == 0 {
		return p.page(s, got)
	}
	share := float64(pages) * float64(low.n) / float64(max(low.n+high.n, 1))
	first := int(share + rand.Float64())
	first = min(first, pages)
	if err := p.window(low.span, low.n, first, got); err != nil {
		return err
	}
	return p.window(high.span, high.n, pages-first, got)
}

// halve cuts a span behind its first key, where between a tenth and nine tenths of
// its keys lie before the cut, or as near to that as can be had.
func (p *sampler) halve(s span, head answer) (low, high piece, err error) {
	from, to := 0, len(head.keys[1])*8
	low = piece{span: span{s.from, after(s.from)}, n: 1}
	for from < to {
		bit := (from + to) / 2
		edge := cutAt(head.keys[1], bit)
		if edge == nil || !before(edge, s.to) {
			from = bit + 1 // too far to the right
			continue
		}
		n, err := p.count(span{s.from, edge})
		if err != nil {
			return low, high, err
		}
		if n > low.n && n < head.n {
			low = piece{span: span{s.from, edge}, n: n}
		}
		switch {
		case n < head.n/10:
			to = bit
		case n > head.n*9/10:
			from = bit + 1
		default:
			from = to
		}
	}
	return low, piece{span: span{low.to, s.to}, n: max(head.n-low.n, 0)}, nil
}

// cutAt is the end of all keys that share the first bits of key.
func cutAt(key []byte, bits int) []byte {
	edge := append([]byte(nil), key[:bits/8+1]...)
	mask := byte(0xff) >> (bits % 8)
	edge[bits/8] |= mask
	return past(edge)
}

// page reads the values of some keys of a narrow span. Their names are looked at
// first: below a group there may be more that must not be read. Values that are too
// large for one answer are asked for one by one, and then left out.
func (p *sampler) page(s span, got *sums) error {
	for {
		names, err := p.put(etcd.RangeQuestion{Span: s.question(), Limit: p.limit, KeysOnly: true}, s)
		if err != nil || len(names.Keys) == 0 {
			return err
		}
		if slices.ContainsFunc(names.Keys, func(kv etcd.KeyValue) bool { return p.c.hidden(kv.Key) }) {
			return nil
		}
		part := span{names.Keys[0].Key, after(names.Keys[len(names.Keys)-1].Key)}
		answer, err := p.put(etcd.RangeQuestion{Span: part.question(), Limit: p.limit}, part)
		if e, ok := errors.AsType[*etcd.Error](err); ok && e.Code == "ResourceExhausted" {
			if p.limit == 1 {
				return nil
			}
			p.limit = max(p.limit/4, 1)
			continue
		}
		if err != nil || len(answer.Keys) == 0 {
			return err
		}
		sum, largest := int64(0), int64(1)
		for _, kv := range answer.Keys {
			size := int64(len(kv.Key) + len(kv.Value))
			sum += size
			largest = max(largest, size)
		}
		p.left -= sum
		p.limit = min(max(pageBytes/largest, 1), pageValues)
		got.add(float64(sum)/float64(len(answer.Keys)), int64(len(answer.Keys)))
		return nil
	}
}
