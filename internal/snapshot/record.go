// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	revisionSize  = 17 // main revision, '_', sub revision; big endian
	tombstoneSize = 18 // and a 't'
)

// revision is the name of a record: the main revision counts transactions, the sub
// revision the changes within one.
type revision struct {
	main, sub int64
	tombstone bool
}

// decodeRevision is as strict as etcd, which panics on anything else when it starts.
func decodeRevision(b []byte) (revision, error) {
	if len(b) != revisionSize && len(b) != tombstoneSize || b[8] != '_' {
		return revision{}, fmt.Errorf("the name of a record is no revision: %d bytes", len(b))
	}
	r := revision{
		main:      int64(binary.BigEndian.Uint64(b)),
		sub:       int64(binary.BigEndian.Uint64(b[9:])),
		tombstone: len(b) == tombstoneSize && b[revisionSize] == 't',
	}
	if r.main < 0 || r.sub < 0 {
		return revision{}, errors.New("a record has a negative revision")
	}
	return r, nil
}

// before tells whether r is older than other.
func (r revision) before(other revision) bool {
	return r.main < other.main || r.main == other.main && r.sub < other.sub
}

// record is what counting needs of mvccpb.KeyValue.
type record struct {
	key     []byte // not copied
	version int64  // 1 when the put made the key, one more for each later put; 0 in a tombstone
}

// Numbers of fields and wire types of protobuf.
const (
	fieldKey     = 1
	fieldVersion = 4

	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

var errRecord = errors.New("a record is no KeyValue of etcd")

// decodeRecord reads a KeyValue to its end, since etcd panics at start on one that
// it cannot read, but skips what it does not need.
func decodeRecord(b []byte) (record, error) {
	var r record
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 {
			return record{}, errRecord
		}
		b = b[n:]
		number, n := uint64(0), 0
		switch tag & 7 {
		case wireVarint:
			number, n = binary.Uvarint(b)
		case wireFixed64:
			n = 8
		case wireBytes:
			length, size := binary.Uvarint(b)
			if size <= 0 || length > uint64(len(b)-size) {
				return record{}, errRecord
			}
			n = size + int(length)
			if tag>>3 == fieldKey {
				r.key = b[size:n]
			}
		case wireFixed32:
			n = 4
		}
		if n <= 0 || n > len(b) {
			return record{}, errRecord
		}
		if tag == fieldVersion<<3|wireVarint {
			r.version = int64(number)
		}
		b = b[n:]
	}
	return r, nil
}
