// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func TestMain(m *testing.M) {
	if child, exit := Child(); child {
		os.Exit(exit)
	}
	if runAsParent() {
		return
	}
	os.Exit(m.Run())
}

// history is a key space as etcd's mvcc writes it: a model for the tests.
type history struct {
	revision int64
	records  []entry
	live     map[string]generation
}

type entry struct {
	main, sub int64
	key       string // of the KeyValue
	tombstone bool
	value     []byte
}

type generation struct{ create, version int64 }

func newHistory() *history { return &history{revision: 1, live: map[string]generation{}} }

// write makes one transaction; a name with a leading "-" is deleted, and what is not
// there leaves no trace, as in etcd.
func (h *history) write(changes ...string) *history {
	sub := int64(0)
	for _, change := range changes {
		e := entry{main: h.revision + 1, sub: sub, key: change}
		if change[0] == '-' {
			e.key, e.tombstone = change[1:], true
			if _, lives := h.live[e.key]; !lives {
				continue
			}
			delete(h.live, e.key)
			e.value = encodeRecord(e.key, 0, 0, 0, nil)
		} else {
			g, lives := h.live[change]
			if !lives {
				g.create = e.main
			}
			g.version++
			h.live[change] = g
			e.value = encodeRecord(e.key, g.create, e.main, g.version, bytes.Repeat([]byte{'v'}, int(e.main%7)*100))
		}
		h.records = append(h.records, e)
		sub++
	}
	if sub > 0 {
		h.revision++
	}
	return h
}

// compact drops what etcd drops, of the first part of the records only where it was
// interrupted: part is how many of the candidates it has looked at.
func (h *history) compact(at int64, part int) {
	newest := map[string]int{}
	for i, e := range h.records {
		if e.main <= at {
			newest[e.key] = i
		}
	}
	var kept []entry
	for i, e := range h.records {
		// Newer versions of etcd keep a tombstone at the compacted revision itself.
		if e.main > at || i >= part || newest[e.key] == i && (!e.tombstone || e.main == at) {
			kept = append(kept, e)
		}
	}
	h.records = kept
}

func revisionBytes(main, sub int64, tombstone bool) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(main))
	b = binary.BigEndian.AppendUint64(append(b, '_'), uint64(sub))
	if tombstone {
		b = append(b, 't')
	}
	return b
}

// encodeRecord writes a mvccpb.KeyValue as etcd does: zero fields are left out.
func encodeRecord(key string, create, mod, version int64, value []byte) []byte {
	var b []byte
	text := func(field byte, text []byte) {
		if len(text) > 0 {
			b = append(binary.AppendUvarint(append(b, field<<3|wireBytes), uint64(len(text))), text...)
		}
	}
	number := func(field byte, n int64) {
		if n != 0 {
			b = binary.AppendUvarint(append(b, field<<3|wireVarint), uint64(n))
		}
	}
	text(fieldKey, []byte(key))
	number(2, create)
	number(3, mod)
	number(fieldVersion, version)
	text(5, value)
	return b
}

// buckets is the content of a database: bucket, name, value.
type buckets map[string]map[string][]byte

func (h *history) buckets(finished, scheduled int64) buckets {
	b := buckets{"key": {}, "meta": {"storageVersion": []byte("3.6.0")}}
	for _, e := range h.records {
		b["key"][string(revisionBytes(e.main, e.sub, e.tombstone))] = e.value
	}
	if finished > 0 {
		b["meta"]["finishedCompactRev"] = revisionBytes(finished, 0, false)
	}
	if scheduled > 0 {
		b["meta"]["scheduledCompactRev"] = revisionBytes(scheduled, 0, false)
	}
	return b
}

// database gives the bytes that bbolt's own backup of such a database has.
func (b buckets) database(t testing.TB) []byte {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "db"), 0o600, &bolt.Options{NoSync: true, PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, pairs := range b {
		names := slices.Sorted(maps.Keys(pairs)) // in order, and in parts, or bbolt is slow
		for part := range slices.Chunk(append([]string{""}, names...), 2000) {
			err = db.Update(func(tx *bolt.Tx) error {
				bucket, err := tx.CreateBucketIfNotExists([]byte(name))
				for _, key := range part {
					if key != "" && err == nil {
						err = bucket.Put([]byte(key), pairs[key])
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	var out bytes.Buffer
	err = db.View(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(&out)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// seal appends the sha256, as etcd does at the end of a snapshot.
func seal(database []byte) []byte {
	sum := sha256.Sum256(database)
	return append(bytes.Clone(database), sum[:]...)
}

// small is a snapshot of a few pages.
func small(t testing.TB) []byte {
	h := newHistory()
	for i := range 200 {
		h.write("key" + string(rune('a'+i%26)))
	}
	return seal(h.buckets(0, 0).database(t))
}

func openFile(t testing.TB, content []byte) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "snapshot.db")
	if err := os.WriteFile(name, content, 0o400); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}
