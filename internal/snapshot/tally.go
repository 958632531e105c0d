// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// tally counts live keys from the newest record to the oldest.
//
// No key need be remembered where the last compaction that began has also finished,
// as is nearly always so. Of the records up to its revision only the newest of each
// key that was live then is left (a tombstone may be, and does not count); of the
// later ones every one is there. So the live keys are the puts up to it, and after it
// one more for each put that made its key (version 1) and one fewer for each
// tombstone: etcd writes one only for a key that lives. While a compaction goes on,
// the records up to its revision are partly gone, and among them the newest of each
// key decides.
type tally struct {
	base    int64 // revision of the last compaction that began
	settled bool  // it has finished

	newest, keys, records int64
	known                 *seen
}

func (t *tally) walk(cursor *bolt.Cursor) error {
	t.known = newSeen()
	var last revision
	var oldest []byte
	for name, value := cursor.Last(); name != nil; name, value = cursor.Prev() {
		at, err := decodeRevision(name)
		if err != nil {
			return err
		}
		if t.records == 0 {
			t.newest = at.main
		} else if !at.before(last) { // else pages that repeat would be walked for ever
			return fmt.Errorf("its records are out of order at revision %d", at.main)
		}
		if value == nil {
			return fmt.Errorf("a bucket lies among its records at revision %d", at.main)
		}
		r, err := decodeRecord(value)
		if err != nil {
			return fmt.Errorf("at revision %d: %w", at.main, err)
		}
		t.add(at, r)
		last, oldest = at, name
	}
	if first, _ := cursor.First(); !bytes.Equal(first, oldest) { // an empty page ends bbolt's way back
		return errors.New("an empty page lies among its records")
	}
	return nil
}

func (t *tally) add(at revision, r record) {
	t.records++
	switch {
	case len(r.key) == 0: // `etcdutl snapshot restore --bump-revision` leaves one
	case at.main > t.base && at.tombstone:
		t.keys--
	case at.main > t.base:
		if r.version == 1 {
			t.keys++
		}
	case at.tombstone && t.settled:
	case t.settled || t.known.add(r.key) && !at.tombstone:
		t.keys++
	}
}
