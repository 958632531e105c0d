// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"bytes"

	"github.com/etcdops/etcdops/internal/etcd"
)

// span is the keys from from up to to, to left out. A nil to is beyond the last key.
type span struct{ from, to []byte }

func prefixSpan(prefix string) span {
	s := etcd.PrefixSpan(prefix)
	if bytes.Equal(s.To, etcd.NoEnd) {
		s.To = nil
	}
	return span{s.From, s.To}
}

// question is the span as a request has it.
func (s span) question() etcd.Span {
	if s.to == nil {
		return etcd.Span{From: s.from, To: etcd.NoEnd}
	}
	return etcd.Span{From: s.from, To: s.to}
}

func (s span) empty() bool { return !before(s.from, s.to) }

func (s span) contains(key []byte) bool {
	return bytes.Compare(key, s.from) >= 0 && before(key, s.to)
}

// and is what lies in both spans.
func (s span) and(t span) span {
	if bytes.Compare(t.from, s.from) > 0 {
		s.from = t.from
	}
	s.to = earlier(s.to, t.to)
	return s
}

// before says whether a key lies before an end, which may be nil.
func before(key, end []byte) bool { return end == nil || bytes.Compare(key, end) < 0 }

// sameEnd compares two ends, of which nil is the last.
func sameEnd(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func earlier(a, b []byte) []byte {
	if a == nil || b != nil && bytes.Compare(b, a) < 0 {
		return b
	}
	return a
}

// after is the first key that can follow key.
func after(key []byte) []byte { return append(bytes.Clone(key), 0) }

// past is the end of all keys that begin with key.
func past(key []byte) []byte { return prefixSpan(string(key)).to }

func shared(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// groupOf is the segment that follows the prefix; leaf where no "/" ends it.
func (c *Counter) groupOf(key []byte) (group []byte, leaf bool) {
	rest := key[len(c.prefix):]
	group, _, found := bytes.Cut(rest, []byte("/"))
	return group, !found
}

// groupSpan is all keys of a group. '0' follows '/' in ASCII.
func (c *Counter) groupSpan(group []byte) span {
	stem := append([]byte(c.prefix), group...)
	return span{append(bytes.Clone(stem), '/'), append(stem, '0')}
}

// cut is the group whose keys lie on both sides of an edge, if there can be one.
func (c *Counter) cut(edge []byte) (group []byte, ok bool) {
	if len(edge) <= len(c.prefix) || !bytes.HasPrefix(edge, []byte(c.prefix)) {
		return nil, false
	}
	group, leaf := c.groupOf(edge)
	return group, !leaf && len(edge) > len(c.prefix)+len(group)+1
}
