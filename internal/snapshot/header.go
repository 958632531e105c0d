// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/bits"
)

const (
	sectorSize  = 512 // bbolt's pages are multiples of it
	trailerSize = 32  // the sha256 that etcd sends after the database

	pageHeader   = 16 // bytes before the meta of a meta page
	metaSize     = 64
	metaSum      = 56 // offset of the meta's own checksum
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	minPageSize  = 1 << 10 // where bbolt looks for the second meta page, too
	maxPageSize  = 1 << 16 // the largest that any system uses
	headerNeeded = maxPageSize + pageHeader + metaSize
)

// header is what the first bytes of a file tell about its database.
type header struct {
	found bool  // a meta page was there, sound or not
	size  int64 // bytes that its pages take; 0: unknown, as no meta page is sound
}

// readHeader looks at both meta pages. As bbolt does, it believes the sound one of
// the later transaction; the second is looked for at every possible page size,
// since the first, which would tell, may be damaged.
func readHeader(start []byte) header {
	var h header
	var newest uint64
	look := func(offset int) {
		m, ok := metaAt(start, offset)
		if !ok {
			return
		}
		h.found = true
		if size, transaction, sound := m.extent(); sound && (h.size == 0 || transaction > newest) {
			h.size, newest = size, transaction
		}
	}
	look(0)
	for size := minPageSize; size <= maxPageSize; size <<= 1 {
		look(size)
	}
	return h
}

// meta is the part of a meta page behind the page's header; shorter than metaSize
// where the file ends in it.
type meta []byte

func metaAt(start []byte, offset int) (meta, bool) {
	offset += pageHeader
	if offset+4 > len(start) {
		return nil, false
	}
	m := meta(start[offset:min(len(start), offset+metaSize)])
	return m, binary.LittleEndian.Uint32(m) == metaMagic
}

// extent gives the bytes that all pages take, and the transaction that wrote the
// meta page; sound is false where the page fails its own checksum.
func (m meta) extent() (size int64, transaction uint64, sound bool) {
	if len(m) < metaSize || binary.LittleEndian.Uint32(m[4:]) != metaVersion {
		return 0, 0, false
	}
	sum := fnv.New64a()
	_, _ = sum.Write(m[:metaSum])
	if binary.LittleEndian.Uint64(m[metaSum:]) != sum.Sum64() {
		return 0, 0, false
	}
	pages := binary.LittleEndian.Uint64(m[40:])
	high, low := bits.Mul64(pages, uint64(binary.LittleEndian.Uint32(m[8:])))
	if high != 0 || low > math.MaxInt64 {
		low = math.MaxInt64
	}
	return int64(low), binary.LittleEndian.Uint64(m[48:]), true
}

// guesses are beginnings that say why a file is no database.
var guesses = []struct{ magic, text string }{
	{"\x1f\x8b", "it is compressed with gzip: name it .gz, or decompress it"},
	{"\x28\xb5\x2f\xfd", "it is compressed with zstd: name it .zst, or decompress it"},
	{"age-encryption.org/", "it is encrypted with age: decrypt it first"},
	{"Salted__", "it is encrypted with openssl: decrypt it first"},
	{"-----BEGIN PGP", "it is encrypted with PGP: decrypt it first"},
	{"PK\x03\x04", "it is a zip archive: unpack it"},
}

func foreign(start []byte) *Problem {
	text := "it is encrypted, compressed, or no snapshot of etcd"
	for _, g := range guesses {
		if bytes.HasPrefix(start, []byte(g.magic)) {
			text = g.text
		}
	}
	return &Problem{Reason: ReasonForeign, Err: fmt.Errorf("no etcd database begins like this: %s", text)}
}

// judgeSize says what is wrong with a database file of so many bytes, sha left
// aside.
func (h header) judgeSize(size int64) *Problem {
	switch {
	case size < h.size:
		return &Problem{Reason: ReasonTruncated, Err: fmt.Errorf("its header tells of %d bytes and %d are there: it was cut off, copy it again or take a new snapshot", h.size, size)}
	case size%sectorSize == 0:
		return &Problem{Reason: ReasonNoChecksum, Err: errors.New("it does not end in a sha256: a copy of a member's database file, or cut off right before its end; nothing shows that it is whole, take a snapshot with `etcdctl snapshot save`")}
	case !Complete(size):
		return &Problem{Reason: ReasonTruncated, Err: fmt.Errorf("no whole snapshot has %d bytes: it was cut off or is still being written, copy it again or take a new snapshot", size)}
	}
	return nil
}
