// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"math/rand/v2"
	"slices"
)

const (
	page      = 100 // keys of one request that looks for groups
	warmLooks = 200 // of a scan after one that could not look at everything
)

// discover finds out whose the keys of open pieces are, as far as the looks last.
func (s *scan) discover() error {
	known := map[string]bool{}
	for i := range s.pieces {
		p := &s.pieces[i]
		if p.kind == own {
			known[p.group] = true
			s.groups[p.group] += p.n
		}
		s.seen(p)
	}
	s.looks = 4*s.c.options.MaxGroups - len(known)
	if s.c.capped {
		s.looks = min(s.looks, warmLooks)
	}
	if err := s.large(); err != nil {
		return err
	}
	for {
		left := s.unlooked()
		if len(left) == 0 {
			return nil
		}
		if s.looks <= 0 {
			s.capped = true
			return nil
		}
		if err := s.replace(left, s.explore); err != nil {
			return err
		}
	}
}

// seen tallies a piece whose answer had all its keys.
func (s *scan) seen(p *piece) {
	if p.kind != open || p.n > int64(len(p.keys)) {
		return
	}
	for _, key := range p.keys {
		s.add(key)
	}
	p.kind = listed
}

func (s *scan) unlooked() []int {
	var all []int
	for i, p := range s.pieces {
		if p.kind == open {
			all = append(all, i)
		}
	}
	return all
}

// large finds the groups that reach over the end of an open piece, at a look
// each. A group of more keys than two windows hold is always found so, wherever
// it lies.
func (s *scan) large() error {
	return s.replace(s.unlooked(), func(p piece, _ int) ([]piece, error) { return s.ends(p) })
}

// ends takes the groups off a piece that lie across its beginning or its end.
func (s *scan) ends(p piece) ([]piece, error) {
	var out []piece
	if group, ok := s.c.cut(p.from); ok {
		part := s.c.groupSpan(group).and(p.span)
		n, err := s.part(part, p)
		if err != nil {
			return nil, err
		}
		s.found(group, n)
		out = append(out, piece{span: part, kind: own, group: string(group), n: n})
		if p.from = part.to; sameEnd(p.from, p.to) {
			return out, nil
		}
		p.n, p.keys = max(p.n-n, 0), nil
	}
	group, ok := s.c.cut(p.to)
	if !ok {
		return append(out, p), nil
	}
	part := s.c.groupSpan(group).and(p.span)
	n, err := s.part(part, p)
	if err != nil {
		return nil, err
	}
	s.found(group, n)
	rest := piece{span: span{p.from, part.from}, n: max(p.n-n, 0)}
	if rest.n >= int64(len(p.keys)) && len(p.keys) > 0 && rest.contains(p.keys[len(p.keys)-1]) {
		rest.keys = p.keys
	}
	if !rest.empty() {
		s.seen(&rest)
		out = append(out, rest)
	}
	return append(out, piece{span: part, kind: own, group: string(group), n: n}), nil
}

// part counts a part of a piece, which may be all of it.
func (s *scan) part(part span, p piece) (int64, error) {
	if sameEnd(part.to, p.to) && string(part.from) == string(p.from) {
		return p.n, nil
	}
	return s.count(part)
}

// found tallies keys of a group, which costs a look where the group is new.
func (s *scan) found(group []byte, n int64) {
	if _, known := s.groups[string(group)]; !known {
		s.looks--
	}
	s.groups[string(group)] += n
}

// replace puts in the place of some pieces what f makes of each, in random order,
// so that those which come last have their turn over the scans. An equal share of
// the looks that are left is f's quota.
func (s *scan) replace(at []int, f func(p piece, quota int) ([]piece, error)) error {
	made := map[int][]piece{}
	for done, i := range rand.Perm(len(at)) {
		if s.looks <= 0 {
			break
		}
		pieces, err := f(s.pieces[at[i]], max(s.looks/(len(at)-done), page/2))
		if err != nil {
			return err
		}
		made[at[i]] = pieces
	}
	var out []piece
	for i, p := range s.pieces {
		if pieces, ok := made[i]; ok {
			out = append(out, pieces...)
		} else {
			out = append(out, p)
		}
	}
	s.pieces = out
	return nil
}

// explore looks into an open piece from its beginning, page by page, until quota
// groups and leaves were seen. What is left stays open.
func (s *scan) explore(p piece, quota int) ([]piece, error) {
	var out []piece
	end := s.looks - quota
	for rest := p; ; {
		got, err := s.first(rest.span, min(int64(quota)+2, page))
		if err != nil {
			return nil, err
		}
		rest.n = got.n
		if got.n > int64(len(got.keys)) && len(got.keys) == 0 {
			s.looks -= quota // it counts keys and shows none: nothing to look at
			return append(out, rest), nil
		}
		more, err := s.sort(&rest, got)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
		if rest.empty() {
			return out, nil
		}
		if rest.n <= 0 || s.looks <= max(end, 0) {
			rest.n, rest.keys = max(rest.n, 0), nil
			s.seen(&rest)
			return append(out, rest), nil
		}
	}
}

// sort makes pieces of a page's keys: one for each group, and one for what lies
// between two. It leaves in rest what the page did not reach.
func (s *scan) sort(rest *piece, got answer) ([]piece, error) {
	var out []piece
	gap := piece{span: rest.span, kind: listed}
	whole := got.n == int64(len(got.keys))
	for i := 0; i < len(got.keys); {
		group, leaf := s.c.groupOf(got.keys[i])
		if leaf {
			s.leaf++
			s.looks--
			gap.n++
			if i++; i == len(got.keys) && !whole {
				gap.to = after(got.keys[i-1])
				rest.from, rest.n, rest.keys = gap.to, rest.n-gap.n, nil
				return append(out, gap), nil
			}
			continue
		}
		mine := s.c.groupSpan(group).and(rest.span)
		n := int64(0)
		for ; i < len(got.keys) && mine.contains(got.keys[i]); i++ {
			n++
		}
		last := i == len(got.keys) && !whole
		if last {
			var err error
			if n, err = s.count(mine); err != nil {
				return nil, err
			}
		}
		s.found(group, n)
		if gap.to = mine.from; !gap.empty() {
			out = append(out, gap)
		}
		out = append(out, piece{span: mine, kind: own, group: string(group), n: n})
		rest.n -= gap.n + n
		rest.from = mine.to
		gap = piece{span: rest.span, kind: listed}
		if last || rest.empty() {
			return out, nil
		}
	}
	rest.from = rest.to
	if rest.to == nil {
		rest.span = span{[]byte{}, []byte{}}
	}
	return append(out, gap), nil
}

// reconcile cuts from open pieces what belongs to a group that was looked at on
// their other side, so that no named group is counted in part.
func (s *scan) reconcile() error {
	var out []piece
	for _, p := range s.pieces {
		if p.kind != open {
			out = append(out, p)
			continue
		}
		if !s.partly(p.from) && !s.partly(p.to) {
			out = append(out, p)
			continue
		}
		more, err := s.ends(p)
		if err != nil {
			return err
		}
		out = append(out, more...)
	}
	s.pieces = slices.Clip(out)
	return nil
}

// partly says whether an edge cuts a group that was looked at.
func (s *scan) partly(edge []byte) bool {
	group, ok := s.c.cut(edge)
	_, looked := s.groups[string(group)]
	return ok && looked
}
