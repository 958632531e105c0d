// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"cmp"
	"maps"
	"slices"
)

// window is a piece as it is remembered.
type window struct {
	span
	kind
	n     int64
	group string // own
}

// scan is one pass over the prefix.
type scan struct {
	explorer
	pieces []piece
	groups map[string]int64 // keys of each group that was looked at
	leaf   int64
	looks  int  // groups and leaves that may still be looked at
	capped bool // there was more to look at
}

func (s *scan) run() (Result, error) {
	if err := s.gather(); err != nil {
		return Result{}, err
	}
	if err := s.discover(); err != nil {
		return Result{}, err
	}
	if err := s.reconcile(); err != nil {
		return Result{}, err
	}
	maps.DeleteFunc(s.groups, func(_ string, n int64) bool { return n == 0 })
	s.keepLargest()
	result := s.result()
	windows := s.remembered()
	if err := s.sample(&result); err != nil {
		return Result{}, err
	}
	result.Requests, result.Asked = s.requests, s.asked
	result.Largest, result.Revision = s.largest, s.revision
	s.c.windows, s.c.capped, s.c.total, s.c.hinted = windows, s.capped, result.Keys, nil
	return result, nil
}

// gather counts the windows of the last scan, or cuts the prefix for the first
// time. What is not known to be a group's is left open.
func (s *scan) gather() error {
	if s.c.windows == nil {
		pieces, err := s.cold()
		s.pieces = pieces
		return err
	}
	for i := 0; i < len(s.c.windows); i++ {
		w := s.c.windows[i]
		if i+1 < len(s.c.windows) && w.kind == listed && w.n == 0 && s.c.windows[i+1].kind == own {
			both, err := s.gapAndGroup(w, s.c.windows[i+1])
			if err != nil {
				return err
			}
			if both != nil {
				s.pieces = append(s.pieces, both...)
				i++
				continue
			}
		}
		pieces, err := s.again(w)
		if err != nil {
			return err
		}
		s.pieces = append(s.pieces, pieces...)
	}
	return nil
}

// gapAndGroup asks about an empty gap and the group's window behind it together: the
// first key tells whether the gap is still empty. nil: it is not, or the two are too
// large for one question.
func (s *scan) gapAndGroup(gap, group window) ([]piece, error) {
	if group.n > split-aim/8 {
		return nil, nil
	}
	got, err := s.first(span{gap.from, group.to}, 1)
	if err != nil || got.n > split || got.n > 0 && (len(got.keys) == 0 || before(got.keys[0], group.from)) {
		return nil, err
	}
	return []piece{
		{span: gap.span, kind: listed},
		{span: group.span, kind: own, group: group.group, n: got.n},
	}, nil
}

// again asks about a window of the last scan.
func (s *scan) again(w window) ([]piece, error) {
	if w.kind == own && w.n <= split-aim/8 {
		n, err := s.count(w.span)
		if err != nil {
			return nil, err
		}
		if n <= split {
			return []piece{{span: w.span, kind: own, group: w.group, n: n}}, nil
		}
	}
	limit := int64(2)
	if w.kind == listed {
		limit = w.n + w.n/8 + 2
	}
	got, err := s.first(w.span, limit)
	if err != nil {
		return nil, err
	}
	pieces, err := s.refine(w.span, got)
	for i := range pieces {
		if w.kind == own {
			pieces[i].kind, pieces[i].group = own, w.group
		}
	}
	return pieces, err
}

// result names the largest groups.
func (s *scan) result() Result {
	r := Result{Leaf: s.leaf, Found: len(s.groups), Capped: s.capped, Keys: total(s.pieces)}
	r.Other = r.Keys - r.Leaf
	for _, name := range s.ranked() {
		if len(r.Groups) == s.c.options.MaxGroups {
			break
		}
		r.Groups = append(r.Groups, Group{Name: []byte(name), Keys: s.groups[name]})
		r.Other -= s.groups[name]
	}
	return r
}

// ranked is the groups, the largest first.
func (s *scan) ranked() []string {
	return slices.SortedFunc(maps.Keys(s.groups), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.groups[b], s.groups[a]), cmp.Compare(a, b))
	})
}

// keepLargest gives up the smaller groups where there are too many to know all,
// so that there are looks left for others in the next scan.
func (s *scan) keepLargest() {
	kept := map[string]bool{}
	for _, name := range s.ranked() {
		if s.capped && len(kept) == 2*s.c.options.MaxGroups {
			break
		}
		kept[name] = true
	}
	for i, p := range s.pieces {
		if s.capped && p.kind == listed || p.kind == own && !kept[p.group] {
			s.pieces[i].kind, s.pieces[i].group = open, ""
		}
	}
}

// add tallies a key that was seen.
func (s *scan) add(key []byte) {
	if group, leaf := s.c.groupOf(key); leaf {
		s.leaf++
	} else {
		s.groups[string(group)]++
	}
}

// remembered is the pieces as the next scan needs them: small neighbours joined.
func (s *scan) remembered() []window {
	var windows []window
	for _, p := range s.pieces {
		w := window{span: p.span, kind: p.kind, n: p.n, group: p.group}
		s.settle(&w)
		if len(windows) > 0 && windows[len(windows)-1].join(w) {
			continue
		}
		windows = append(windows, w)
	}
	return listSmall(windows, listBudget(total(s.pieces)))
}

// settle makes a listed window that lies inside a group the group's, so that its
// neighbours can take it in, and an empty one of a group that is gone a gap.
func (s *scan) settle(w *window) {
	if w.kind == listed && len(w.from) > len(s.c.prefix) && !s.capped {
		group, leaf := s.c.groupOf(w.from)
		if _, lives := s.groups[string(group)]; lives && !leaf && sameEnd(s.c.groupSpan(group).and(w.span).to, w.to) {
			w.kind, w.group = own, string(group)
		}
	}
	if _, lives := s.groups[w.group]; w.n == 0 && (w.kind != own || !lives) {
		w.kind, w.group = listed, ""
	}
}

// join takes in the window that follows, where the two are alike.
func (w *window) join(next window) bool {
	alike := w.kind == next.kind && w.group == next.group && w.n+next.n <= aim
	switch {
	case alike && w.kind == listed && w.n > 0 && next.n > 0 && w.n+next.n > listMost:
		return false
	case !alike && (w.kind == own || next.kind == own || w.n > 0 && next.n > 0 || w.n+next.n > aim):
		return false
	case !alike && w.n == 0: // an empty gap beside something open belongs to it
		w.kind = next.kind
	}
	w.to, w.n = next.to, w.n+next.n
	return true
}

const (
	listMost    = 200 // keys that one request lists
	worthAnswer = 16  // keys that cost as much to list as a request of its own
)

// listBudget is how many keys a scan may list: few of a large key space, whose
// listing is what counting saves.
func listBudget(keys int64) int64 {
	if keys > 100_000 {
		return 300
	}
	return 2000
}

// listSmall replaces runs of small groups and of the gaps between them by windows
// whose keys are listed, where that costs less than asking about each.
func listSmall(windows []window, budget int64) []window {
	var out []window
	for i := 0; i < len(windows); {
		run, end := windows[i], i+1
		for run.small() && end < len(windows) && windows[end].small() && run.n+windows[end].n <= listMost {
			run.n += windows[end].n
			end++
		}
		saved := int64(end - i - 1)
		if saved > 0 && run.n <= worthAnswer*saved && (run.n <= budget || run.n <= 4*saved) {
			budget -= run.n
			run.kind, run.group, run.to = listed, "", windows[end-1].to
			out = append(out, run)
			i = end
			continue
		}
		out = append(out, windows[i])
		i++
	}
	return out
}

func (w window) small() bool { return w.kind != open && w.n <= 2*worthAnswer }
