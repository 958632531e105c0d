// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// lockTimeout bounds the wait for a database that a member still holds.
const lockTimeout = 5 * time.Second

// AlterValue changes the last byte of a key's newest value in the database of a
// member that is stopped, behind etcd's back: what a disk or a bug might do.
func (m *Member) AlterValue(key string) error {
	if m.awake() {
		return fmt.Errorf("alter %s of member %s: it runs", key, m.Name())
	}
	db, err := bbolt.Open(filepath.Join(m.DataDir(), "member", "snap", "db"), 0o600, &bbolt.Options{Timeout: lockTimeout, NoFreelistSync: true})
	if err != nil {
		return fmt.Errorf("alter %s of member %s: %w", key, m.Name(), err)
	}
	defer db.Close()
	if err := db.Update(func(tx *bbolt.Tx) error { return alter(tx.Bucket([]byte("key")), key) }); err != nil {
		return fmt.Errorf("alter %s of member %s: %w", key, m.Name(), err)
	}
	return nil
}

// alter looks from the newest revision backwards.
func alter(revisions *bbolt.Bucket, key string) error {
	cursor := revisions.Cursor()
	for revision, stored := cursor.Last(); revision != nil; revision, stored = cursor.Prev() {
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(stored, &kv); err != nil {
			return fmt.Errorf("revision %x: %w", revision, err)
		}
		if string(kv.Key) != key || len(kv.Value) == 0 {
			continue
		}
		kv.Value[len(kv.Value)-1] ^= 1
		changed, err := proto.Marshal(&kv)
		if err != nil {
			return fmt.Errorf("revision %x: %w", revision, err)
		}
		return revisions.Put(bytes.Clone(revision), changed)
	}
	return fmt.Errorf("no value of %s is stored", key)
}
