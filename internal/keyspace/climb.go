// SPDX-License-Identifier: Apache-2.0

package keyspace

import "bytes"

// climb names edges ever farther from a key: its neighbours in the deepest level
// of the trie of keys first, byte by byte, then those one level up, so that what
// lies between two edges grows slowly.
type climb struct {
	key   []byte
	level int // edges are key[:level] and one more byte
	at    int // that byte, of the last edge
	left  bool
}

// deepestClimb bounds the levels, and with them the requests, of a climb from a
// long key.
const deepestClimb = 256

func newClimb(key []byte, left bool) *climb {
	c := &climb{key: key, level: min(len(key), deepestClimb) - 1, left: left}
	if c.level >= 0 {
		c.at = int(key[c.level])
	}
	return c
}

// next goes steps siblings further, at most to the end of the level. A nil edge is
// the end of all keys, or to the left the beginning.
func (c *climb) next(steps int) (edge []byte, newLevel bool) {
	for ; steps > 0 && c.level >= 0; steps-- {
		c.at = sibling(c.at, c.left)
		if c.at < 0 || c.at > 0xff {
			return c.up(), true
		}
	}
	if c.level < 0 {
		return nil, true
	}
	return append(bytes.Clone(c.key[:c.level]), byte(c.at)), false
}

// up ends the level. Its end is the first edge of the level above: to the right
// the sibling after the one that the key lies in, to the left that one's start.
func (c *climb) up() []byte {
	for c.level--; c.level >= 0; c.level-- {
		c.at = int(c.key[c.level])
		if c.left {
			return bytes.Clone(c.key[:c.level+1])
		}
		if c.at < 0xff {
			c.at++
			return append(bytes.Clone(c.key[:c.level]), byte(c.at))
		}
	}
	return nil
}

// deepest says whether the climb is still in the last segment of its key.
func (c *climb) deepest() bool {
	return c.level > 0 && bytes.IndexByte(c.key[c.level-1:], '/') < 0
}

// numbered says whether the next sibling differs in a digit of a segment that
// others follow, such as the namespaces ns-01 and ns-02: each may be large.
func (c *climb) numbered() bool {
	return c.level >= 0 && digit(int(c.key[c.level])) && digit(c.at) && bytes.IndexByte(c.key[c.level:], '/') >= 0
}

func digit(b int) bool { return b >= '0' && b <= '9' }

// sibling is the next byte that is worth an edge: each one of ASCII's visible
// ones, of the others every sixteenth.
func sibling(b int, left bool) int {
	const coarse = 16
	switch {
	case left && (b > 0x80 || b <= 0x20):
		if b--; b > 0 {
			b -= b % coarse
		}
		return b
	case left:
		return b - 1
	case b >= 0x80 || b < 0x20:
		return b + coarse - b%coarse
	default:
		return b + 1
	}
}
