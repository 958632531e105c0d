// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"errors"
	"math"

	bolt "go.etcd.io/bbolt"
)

// Contents is what a walk through a snapshot tells.
type Contents struct {
	Revision        int64    `json:"revision"`         // of the newest record, as `etcdutl snapshot status` prints it; 0: no record
	CompactRevision int64    `json:"compact_revision"` // of the last finished compaction; 0: never compacted
	Keys            int64    `json:"keys"`             // live keys at Revision, which a restored cluster counts
	Records         int64    `json:"records"`          // all revisions of all keys, tombstones among them
	StartRevision   int64    `json:"start_revision"`   // that a restored member begins with: above Revision where the newest records were compacted away
	StorageVersion  string   `json:"storage_version"`  // as etcd 3.6 and later write it; "" before
	Problem         *Problem `json:"-"`                // nil: every record could be read
}

var errNoKeySpace = errors.New("it has no bucket `key`: a database, but none of etcd 3")

// readContents walks the database; it runs in the child.
func readContents(tx *bolt.Tx) (Contents, error) {
	var c Contents
	var scheduled int64
	if bucket := tx.Bucket([]byte("meta")); bucket != nil {
		var err error
		if c, scheduled, err = readMeta(bucket); err != nil {
			return c, err
		}
	}
	bucket := tx.Bucket([]byte("key"))
	if bucket == nil {
		return c, errNoKeySpace
	}
	t := tally{base: max(scheduled, c.CompactRevision), settled: scheduled <= c.CompactRevision}
	err := t.walk(bucket.Cursor())
	if err == nil && t.keys < 0 { // tombstones of keys that never were: etcd would start on them
		t = tally{base: math.MaxInt64}
		err = t.walk(bucket.Cursor())
	}
	c.Revision, c.Keys, c.Records = t.newest, t.keys, t.records
	c.StartRevision = max(1, c.Revision, c.CompactRevision, scheduled)
	return c, err
}

// readMeta also gives the revision of the last compaction that began.
func readMeta(bucket *bolt.Bucket) (c Contents, scheduled int64, err error) {
	if c.CompactRevision, err = mainRevision(bucket.Get([]byte("finishedCompactRev"))); err != nil {
		return c, 0, err
	}
	if scheduled, err = mainRevision(bucket.Get([]byte("scheduledCompactRev"))); err != nil {
		return c, 0, err
	}
	c.StorageVersion, err = versionText(bucket.Get([]byte("storageVersion")))
	return c, scheduled, err
}

func mainRevision(b []byte) (int64, error) {
	if len(b) == 0 {
		return 0, nil
	}
	r, err := decodeRevision(b)
	return r.main, err
}

// versionText lets only a version number through: the text may end on a terminal.
func versionText(b []byte) (string, error) {
	if len(b) > 32 || len(bytes.Trim(b, "0123456789.")) > 0 {
		return "", errors.New("its storage version is no version")
	}
	return string(b), nil
}
