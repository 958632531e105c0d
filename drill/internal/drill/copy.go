// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/etcdops/etcdops/drill/internal/member"
	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
)

const copyName = "snapshot.db" // in the working directory

// copySnapshot unpacks the snapshot into the working directory, and makes sure that it
// is the one that was judged.
func (d *drill) copySnapshot(ctx context.Context, o store.Object, v *judge.Verdict) error {
	raw, err := d.Store.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("copy %s: %w", o.Name, cause(ctx, err))
	}
	defer raw.Close()
	content, _, err := store.Decompress(o.Name, raw, judge.MaxSize)
	if err != nil {
		return fmt.Errorf("copy %s: %w", o.Name, cause(ctx, err))
	}
	defer content.Close()
	file, err := os.OpenFile(filepath.Join(d.work.Path, copyName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("copy %s: %w", o.Name, err)
	}
	bounded := io.LimitReader(content, v.Size+1) // no more than there is room for
	digest, err := snapshot.Sum(ctx, io.TeeReader(bounded, file))
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", o.Name, cause(ctx, err))
	}
	if digest.Size != v.Size || digest.SHA256 != v.SHA256 || digest.Problem != nil {
		return fmt.Errorf("copy %s: %w", o.Name, store.ErrChanged)
	}
	return nil
}

// compare says where the restored member differs from the snapshot.
func compare(c snapshot.Contents, f member.Found) error {
	switch {
	case len(f.Alarms) > 0:
		return failed("the alarm %s came with the snapshot: a cluster restored from it refuses requests until it is disarmed", strings.Join(f.Alarms, ", "))
	case f.Revision != c.StartRevision:
		return failed("the restored key space is at revision %d, and the snapshot at %d", f.Revision, c.StartRevision)
	case f.Keys != c.Keys:
		return failed("the restored member counts %d keys, and the snapshot holds %d", f.Keys, c.Keys)
	case f.Read != c.Keys:
		return failed("%d keys of the restored member could be read, and the snapshot holds %d", f.Read, c.Keys)
	}
	return nil
}
