// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"bytes"
	"slices"
)

// careful is what a question into the unknown should walk: a sixteenth of what it
// may, so that its neighbours can hold several times as much.
const careful = maxWalk / 16

// kind says what is known of a piece.
type kind int

const (
	open   kind = iota // how many keys it has, not whose
	own                // all its keys are one group's
	listed             // every key was seen
)

// piece is a part of the key space with its number of keys.
type piece struct {
	span
	kind
	n     int64
	group string   // own
	keys  [][]byte // open: the first keys, where they were asked for
}

// explorer cuts spans of which nothing is known, or too little, into pieces.
type explorer struct {
	*asker
	c     *Counter
	alike [][]byte // what follows the group in the keys that were written lately
	tails [][]byte // some of them
}

// unknown is what a span holds whose count is not known.
const unknown = -1

// look asks about a span and cuts it where it turns out too large.
func (x *explorer) look(s span) ([]piece, int64, error) {
	if s.empty() {
		return nil, 0, nil
	}
	got, err := x.first(s, 2)
	if err != nil {
		return nil, 0, err
	}
	pieces, err := x.refine(s, got)
	return pieces, got.n, err
}

// refine cuts a span that was asked about, and holds more than a window may, from
// its first keys on, until all that it holds is found.
func (x *explorer) refine(s span, got answer) ([]piece, error) {
	if got.n <= split || len(got.keys) == 0 {
		return []piece{{span: s, n: got.n, keys: got.keys}}, nil
	}
	last := len(got.keys) - 1
	anchor := got.keys[last]
	var pieces []piece
	if last > 0 || bytes.Compare(s.from, anchor) < 0 {
		pieces = append(pieces, piece{span: span{s.from, anchor}, n: int64(last), keys: got.keys[:last]})
	}
	more, err := x.right(anchor, s.to, got.n-int64(last))
	return append(pieces, more...), err
}

// right explores from a key on up to an end, narrow questions first. Where the
// total is known the rest comes by subtraction.
func (x *explorer) right(anchor, to []byte, total int64) ([]piece, error) {
	var pieces []piece
	path := newClimb(anchor, false)
	pace := stride{step: careful}
	for from := anchor; ; {
		if rest := total - pace.counted; total != unknown && rest <= aim {
			return append(pieces, piece{span: span{from, to}, n: max(rest, 0)}), nil
		}
		edge := pace.edge(path)
		part := span{from, earlier(edge, to)}
		more, n, err := x.sibling(part, path, &pace)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, more...)
		pace.add(n)
		if from = part.to; sameEnd(from, to) {
			return pieces, nil
		}
	}
}

// left explores from a key down to a beginning. The key itself is not part of it.
func (x *explorer) left(anchor, from []byte) ([]piece, error) {
	var pieces [][]piece
	path := newClimb(anchor, true)
	pace := stride{step: careful}
	for to := anchor; bytes.Compare(from, to) < 0; {
		edge := pace.edge(path)
		part := span{edge, to}
		if bytes.Compare(edge, from) < 0 {
			part.from = from
		}
		if part.empty() { // the first edge is the key itself
			continue
		}
		more, n, err := x.sibling(part, path, &pace)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, more)
		pace.add(n)
		to = part.from
	}
	slices.Reverse(pieces)
	return slices.Concat(pieces...), nil
}

// around explores a span in which some keys are known, in order: from one to the
// next, and then outward from the first and the last.
func (x *explorer) around(s span, hints [][]byte) ([]piece, error) {
	middle, err := x.across(hints)
	if err != nil {
		return nil, err
	}
	return x.outward(s, hints, middle)
}

func (x *explorer) outward(s span, hints [][]byte, middle []piece) ([]piece, error) {
	first, err := x.left(hints[0], s.from)
	if err != nil {
		return nil, err
	}
	last, err := x.right(hints[len(hints)-1], s.to, unknown)
	return slices.Concat(first, middle, last), err
}

// across explores from one known key to the next, and takes several together while
// little lies between them.
func (x *explorer) across(hints [][]byte) ([]piece, error) {
	var middle []piece
	most := 1 // hints that one question may pass
	for i := 0; i+1 < len(hints); {
		j := min(i+most, len(hints)-1)
		for j > i+1 && !x.c.sameGroup(hints[i], hints[j]) {
			j--
		}
		part := span{hints[i], hints[j]}
		more, n, err := x.between(part)
		if err != nil {
			return nil, err
		}
		middle = append(middle, more...)
		switch passed := j - i; {
		case n <= maxWalk/8 && passed <= most:
			most = min(2*passed, 64)
		case n > maxWalk/3:
			most = max(passed/2, 1)
		}
		i = j
	}
	return middle, nil
}

// between explores the span from one known key to another. Keys of two groups are
// far from each other: what lies between them is climbed from both ends.
func (x *explorer) between(s span) ([]piece, int64, error) {
	if x.c.sameGroup(s.from, s.to) {
		return x.look(s)
	}
	middle := s.to[:min(shared(s.from, s.to)+1, len(s.to))]
	first, err := x.right(s.from, middle, unknown)
	if err != nil {
		return nil, 0, err
	}
	last, err := x.left(s.to, middle)
	pieces := slices.Concat(first, last)
	return pieces, total(pieces), err
}

func (c *Counter) sameGroup(a, b []byte) bool {
	first, leaf := c.groupOf(a)
	second, other := c.groupOf(b)
	return leaf == other && (leaf || bytes.Equal(first, second))
}

// sibling looks into one step of a climb. Where the other side of the branch has
// keys like those on this one, and many, it begins with them.
func (x *explorer) sibling(s span, path *climb, pace *stride) ([]piece, int64, error) {
	hint, err := x.likeness(s, path, pace)
	if err != nil {
		return nil, 0, err
	}
	if hint == nil {
		return x.look(s)
	}
	pieces, err := x.around(s, [][]byte{hint})
	return pieces, total(pieces), err
}

// likeness looks for the climb's own key with one byte of a segment replaced, as
// in ns-01/pod and ns-02/pod: first for the whole, then for ever shorter parts of
// what follows that segment. It gives a key where the span may hold many.
func (x *explorer) likeness(s span, path *climb, pace *stride) ([]byte, error) {
	if path.level < 0 || pace.fresh {
		return nil, nil
	}
	twin := bytes.Clone(path.key)
	if twin[path.level] = byte(path.at); !path.left {
		twin[path.level]--
	}
	if !digit(int(path.key[path.level])) || !digit(int(twin[path.level])) || bytes.IndexByte(twin[path.level:], '/') < 0 {
		return nil, nil
	}
	stem := path.level + bytes.IndexByte(twin[path.level:], '/') + 1
	parts := shorter(twin[:stem], twin[stem:], 1, 3)
	for _, tail := range x.tails {
		parts = append(parts, shorter(twin[:stem], tail, 2, 2)...)
	}
	for _, part := range parts {
		if !s.contains(part) {
			continue
		}
		got, err := x.first(span{part, past(part)}.and(s), 1)
		if err != nil {
			return nil, err
		}
		if len(got.keys) == 0 {
			continue
		}
		if got.n > worthHint || got.n*(pace.counted+1) > (pace.below(len(part))+1)*maxWalk/4 {
			return got.keys[0], nil
		}
	}
	return nil, nil
}

// shorter is a stem with a tail, and with the beginnings of the tail: the first
// has whole/parts of it, each of the others less, times in all.
func shorter(stem, tail []byte, parts, times int) [][]byte {
	var all [][]byte
	for length := len(tail) / parts; times > 0 && length > 0; times, length = times-1, length/2 {
		all = append(all, append(bytes.Clone(stem), tail[:length]...))
	}
	return all
}

// fewKeys is what a subtree holds whose siblings may be asked about together.
const fewKeys = 8

// worthHint is how many keys a narrow question finds where it is not worth the
// risk to ask about all of the branch at once.
const worthHint = 32

func total(pieces []piece) (n int64) {
	for _, p := range pieces {
		n += p.n
	}
	return n
}

// stride is how far the steps of a climb go: twice as far while little is found.
type stride struct {
	step    int
	fresh   bool  // the step went to the end of a level
	top     int   // bytes of the key that all of that level has
	counted int64 // keys found so far
	levels  []subtree
}

// subtree is what a climb found below the first bytes of its key.
type subtree struct {
	length int
	n      int64
}

func (p *stride) below(length int) int64 {
	for _, t := range p.levels {
		if t.length <= length {
			return t.n
		}
	}
	return p.counted
}

// edge takes the next step. Levels in which there can be but little are taken three
// or four at a time, and siblings that differ by a number one at a time.
func (p *stride) edge(path *climb) []byte {
	if path.numbered() {
		p.step = 1
	}
	edge, fresh := path.next(p.step)
	for skipped := int64(0); fresh && skipped+p.counted < 3 && path.deepest(); skipped++ {
		edge = path.up()
	}
	if p.fresh = fresh; fresh {
		p.top = path.level + 1
	}
	return edge
}

// add takes in what a step found.
func (p *stride) add(n int64) {
	p.counted += n
	switch {
	case p.fresh:
		p.levels = append(p.levels, subtree{p.top, p.counted})
		// The siblings to come may be as large as this subtree, or much larger:
		// pod-1 to pod-9 beside pod-0.
		if p.step = 1; p.counted <= fewKeys {
			p.step = careful / fewKeys
		}
	case n <= careful:
		p.step = min(2*p.step, 256)
	case n > maxWalk/2:
		p.step = max(p.step/4, 1)
	case n > maxWalk/4:
		p.step = max(p.step/2, 1)
	}
}
