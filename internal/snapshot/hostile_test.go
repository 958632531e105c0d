// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"math"
	"strings"
	"testing"
	"time"
)

const pageSize = 4096

// stackOrMemory: pages without an end use up the stack or the memory, whichever is
// first.
const stackOrMemory = "stack or memory"

// pages is a database made by hand, to lie in it.
type pages struct{ bytes []byte }

// newPages has its two meta pages, a root page 2 with a bucket `key` at page 3, and
// empty pages from there on.
func newPages(n int) *pages {
	p := &pages{make([]byte, n*pageSize)}
	for id := range uint64(2) {
		p.meta(id, pageSize, 2, uint64(n))
	}
	p.leaf(2, 1, "key", bucketAt(3))
	return p
}

func bucketAt(page uint64) []byte {
	return binary.LittleEndian.AppendUint64(make([]byte, 0, 16), page)[:16]
}

func (p *pages) page(id int) []byte { return p.bytes[id*pageSize : (id+1)*pageSize] }

func (p *pages) header(id int, flags, count uint16) []byte {
	page := p.page(id)
	binary.LittleEndian.PutUint64(page, uint64(id))
	binary.LittleEndian.PutUint16(page[8:], flags)
	binary.LittleEndian.PutUint16(page[10:], count)
	return page
}

func (p *pages) meta(id uint64, size uint32, root, high uint64) {
	m := p.header(int(id), 4, 0)[pageHeader:]
	binary.LittleEndian.PutUint32(m, metaMagic)
	binary.LittleEndian.PutUint32(m[4:], metaVersion)
	binary.LittleEndian.PutUint32(m[8:], size)
	binary.LittleEndian.PutUint64(m[16:], root)
	binary.LittleEndian.PutUint64(m[32:], 1<<64-1) // no free list
	binary.LittleEndian.PutUint64(m[40:], high)
	binary.LittleEndian.PutUint64(m[48:], id)
	sum := fnv.New64a()
	sum.Write(m[:metaSum])
	binary.LittleEndian.PutUint64(m[metaSum:], sum.Sum64())
}

// branch points so many times to one page.
func (p *pages) branch(id int, count uint16, child uint64) {
	page := p.header(id, 1, count)
	for i := 0; i < int(count) && pageHeader+16*(i+1) <= pageSize; i++ {
		binary.LittleEndian.PutUint64(page[pageHeader+16*i+8:], child)
	}
}

// leaf has one element.
func (p *pages) leaf(id int, flags uint32, name string, value []byte) []byte {
	page := p.header(id, 2, 1)
	element := page[pageHeader:]
	binary.LittleEndian.PutUint32(element, flags)
	binary.LittleEndian.PutUint32(element[4:], 16)
	binary.LittleEndian.PutUint32(element[8:], uint32(len(name)))
	binary.LittleEndian.PutUint32(element[12:], uint32(len(value)))
	copy(element[16+copy(element[16:], name):], value)
	return element
}

func TestReadHeaderBelievesTheLaterSoundMetaPage(t *testing.T) {
	p := newPages(8)
	p.meta(0, pageSize, 2, 100) // of transaction 0
	p.meta(1, pageSize, 2, 50)  // of transaction 1
	if h := readHeader(p.bytes); !h.found || h.size != 50*pageSize {
		t.Errorf("both sound: %+v", h)
	}
	p.page(1)[pageHeader+metaSum]++
	if h := readHeader(p.bytes); !h.found || h.size != 100*pageSize {
		t.Errorf("the later one damaged: %+v", h)
	}
	p.meta(0, 1<<31, 2, 1<<62) // more bytes than there can be
	if h := readHeader(p.bytes); h.size != math.MaxInt64 {
		t.Errorf("too large: %+v", h)
	}
}

// endless is a tree without a record that takes years to walk.
func endless() []byte {
	p := newPages(16)
	for id := 3; id < 15; id++ {
		p.branch(id, 250, uint64(id+1))
	}
	p.header(15, 2, 0)
	return seal(p.bytes)
}

// Only somebody who can make a right sha can write such files: a stolen key of the
// backup store, or a member that was taken over.
func TestWalkSurvivesHostilePages(t *testing.T) {
	record := encodeRecord("k", 5, 5, 1, []byte("v"))
	name := string(revisionBytes(5, 0, false))
	for _, test := range []struct {
		name   string
		lie    func(*pages)
		reason string
		text   string
	}{
		{"nothing is wrong", func(p *pages) { p.leaf(3, 0, name, record) }, "", ""},
		{"branch to itself", func(p *pages) { p.branch(3, 1, 3) }, stackOrMemory, ""},
		{"root to itself", func(p *pages) { p.branch(2, 1, 2) }, stackOrMemory, ""},
		{"the same records again and again", func(p *pages) {
			p.branch(3, 250, 4)
			p.branch(4, 250, 5)
			p.leaf(5, 0, name, record)
		}, ReasonDamaged, "out of order"},
		{"empty pages for ever", func(p *pages) { p.bytes = endless()[:16*pageSize] }, ReasonTimeout, "longer than 1s"},
		{"an empty page in between", func(p *pages) {
			p.branch(3, 3, 4)
			binary.LittleEndian.PutUint64(p.page(3)[pageHeader+24:], 5)
			p.header(4, 2, 0)
			p.leaf(5, 0, name, record)
			p.leaf(6, 0, string(revisionBytes(9, 0, false)), record)
			binary.LittleEndian.PutUint64(p.page(3)[pageHeader+8:], 5)
			binary.LittleEndian.PutUint64(p.page(3)[pageHeader+24:], 4)
			binary.LittleEndian.PutUint64(p.page(3)[pageHeader+40:], 6)
		}, ReasonDamaged, "empty page"},
		{"page id beyond the file", func(p *pages) { p.branch(3, 1, 1<<20) }, ReasonDamaged, ""},
		{"page id beyond the address space", func(p *pages) { p.branch(3, 1, 1<<62) }, ReasonDamaged, ""},
		{"page of another id", func(p *pages) {
			p.leaf(3, 0, name, record)
			p.page(3)[0] = 9
		}, ReasonDamaged, "identifies as 9"},
		{"page of no kind", func(p *pages) { p.header(3, 3, 1) }, ReasonDamaged, "flags"},
		{"a meta page for root", func(p *pages) { p.meta(0, pageSize, 1, 8); p.meta(1, pageSize, 1, 8) }, ReasonDamaged, "invalid page type"},
		{"a huge count", func(p *pages) { p.leaf(3, 0, name, record); p.header(3, 2, 65535) }, ReasonDamaged, ""},
		{"a branch without children", func(p *pages) { // what lies behind the page is taken for a child
			p.bytes = append(p.bytes, make([]byte, 1<<21)...)
			p.branch(3, 0, 4)
		}, stackOrMemory, ""},
		{"a name far away", func(p *pages) {
			binary.LittleEndian.PutUint32(p.leaf(3, 0, name, record)[4:], 0x7fffff00)
		}, ReasonDamaged, ""},
		{"a value of 4 GB", func(p *pages) {
			binary.LittleEndian.PutUint32(p.leaf(3, 0, name, record)[12:], 0xffffffff)
		}, ReasonDamaged, ""},
		{"a bucket among the records", func(p *pages) { p.leaf(3, 1, name, bucketAt(3)) }, ReasonDamaged, "a bucket lies"},
		{"a bucket inside of nothing", func(p *pages) { p.leaf(2, 1, "key", bucketAt(0)) }, ReasonDamaged, ""},
		{"a bucket too short", func(p *pages) { p.leaf(2, 1, "key", nil) }, ReasonDamaged, ""},
		{"pages of no size", func(p *pages) { p.meta(0, 0, 2, 8); p.meta(1, 0, 2, 8) }, ReasonDamaged, ""},
		{"pages of a byte", func(p *pages) { p.meta(0, 1, 2, 8); p.meta(1, 1, 2, 8) }, ReasonDamaged, ""},
		{"no sound meta page", func(p *pages) { p.page(0)[30]++; p.page(1)[30]++ }, ReasonDamaged, "checksum"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPages(8)
			test.lie(p)
			content := seal(p.bytes)
			if d, err := Sum(t.Context(), bytes.NewReader(content)); err != nil || d.Problem != nil {
				t.Fatalf("the sum: %v, %v", d.Problem, err)
			}
			limits := Limits{Memory: 32 << 20, Time: 30 * time.Second}
			if test.reason == ReasonTimeout {
				limits.Time = time.Second
			}
			c := walk(t, content, limits)
			got := reasonOf(c.Problem)
			if test.reason == stackOrMemory && (got == ReasonDamaged || got == ReasonMemory) {
				return
			}
			if got != test.reason {
				t.Fatalf("problem %v, want %q", c.Problem, test.reason)
			}
			if test.reason != "" && (!strings.Contains(c.Problem.Error(), test.text) || strings.Contains(c.Problem.Error(), "\n")) {
				t.Errorf("%q does not tell of %q in one line", c.Problem, test.text)
			}
		})
	}
}
