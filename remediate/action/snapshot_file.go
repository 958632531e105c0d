// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/remediate"
)

const (
	fileMode  = 0o600   // a snapshot holds every secret of the cluster
	tellEvery = 4 << 20 // bytes between two words on progress
)

// writing is one snapshot on its way into a directory.
type writing struct {
	cluster *remediate.Cluster
	step    *remediate.Step
	root    *os.Root
	backup  remediate.Backup
	from    remediate.Member
	name    string
}

// do leaves a sound file of that name, on disk for good, or none.
func (w *writing) do(ctx context.Context) (err error) {
	if err := fits(w.backup, w.name); err != nil {
		return err
	}
	temporary := partialPrefix + w.name
	file, err := w.root.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		_ = file.Close()
		_ = w.root.Remove(temporary) // where it still is
	}()
	if err := w.fill(ctx, file); err != nil {
		return err
	}
	contents, err := inspect(ctx, file, w.from.Status)
	if err != nil {
		return err
	}
	if err := publish(w.root, temporary, w.name); err != nil {
		return err
	}
	if err := w.settled(ctx); err != nil {
		return errors.Join(err, w.root.Remove(w.name))
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, w.root.Remove(w.name))
	}
	w.step.Revision, w.step.Keys, w.step.AfterBytes = revisionOf(contents), contents.Keys, info.Size()
	return nil
}

// fill takes the snapshot from the member, and brings it to the disk.
func (w *writing) fill(ctx context.Context, file *os.File) error {
	into := &bounded{file: file, left: roomFor*w.from.Status.DBSize + tellEvery, taken: func(written int64) {
		w.cluster.Progress(w.step, written, max(written, w.from.Status.DBSize))
	}}
	if err := w.cluster.Live.Snapshot(ctx, w.step.URL, into); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("bring it to the disk: %w", err)
	}
	return nil
}

// bounded is a file that takes no more than there was room for when it was begun.
type bounded struct {
	file                *os.File
	left, written, told int64
	taken               func(written int64) // with each tellEvery bytes
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errors.New("the member sends far more than the size that it tells")
	}
	n, err := b.file.Write(p)
	b.written += int64(n)
	if b.written-b.told >= tellEvery {
		b.told = b.written
		b.taken(b.written)
	}
	return n, err
}

// inspect reads what was written back, and refuses anything that one would not want to
// restore: a wrong sum, pages that cannot be read, a revision before the one that
// the member had when the snapshot was begun.
func inspect(ctx context.Context, file *os.File, before etcd.Status) (snapshot.Contents, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return snapshot.Contents{}, err
	}
	digest, err := snapshot.Sum(ctx, file)
	if err != nil {
		return snapshot.Contents{}, err
	}
	if digest.Problem != nil {
		return snapshot.Contents{}, fmt.Errorf("it is not sound: %w", digest.Problem)
	}
	contents, err := snapshot.Walk(ctx, file, walkLimits(digest.Size))
	if err != nil {
		return contents, err
	}
	if contents.Problem != nil {
		return contents, fmt.Errorf("it is not sound: %w", contents.Problem)
	}
	if revisionOf(contents) < before.Revision {
		return contents, fmt.Errorf("it ends at revision %d, and the member was at %d before", revisionOf(contents), before.Revision)
	}
	return contents, nil
}

// revisionOf is the revision that a restored member would begin with.
func revisionOf(c snapshot.Contents) int64 { return max(c.Revision, c.StartRevision) }

// publish gives a file its name, never another's.
func publish(root *os.Root, from, to string) error {
	err := root.Link(from, to)
	if err == nil {
		return root.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without links: whoever makes a file of this very name between
	// these two lines loses it.
	if _, found := root.Lstat(to); !errors.Is(found, fs.ErrNotExist) {
		return fmt.Errorf("name %s: %w", to, fs.ErrExist)
	}
	return root.Rename(from, to)
}

// settled brings the name to the disk as well, and asks the store whether it takes
// the file for a snapshot: a pattern of times in names may not fit.
func (w *writing) settled(ctx context.Context) error {
	if err := syncDirectory(w.root); err != nil {
		return fmt.Errorf("bring its name to the disk: %w", err)
	}
	if w.backup.Store == nil {
		return nil
	}
	listed, err := w.backup.Store.List(ctx)
	if err != nil {
		return fmt.Errorf("find it in store %s: %w", w.backup.Name, err)
	}
	i := slices.IndexFunc(listed, func(o store.Object) bool { return o.Name == w.name })
	switch {
	case i < 0:
		return fmt.Errorf("store %s does not list it as %s", w.backup.Name, w.name)
	case listed[i].Problem != nil:
		return fmt.Errorf("store %s would not count it: %w", w.backup.Name, listed[i].Problem)
	}
	return nil
}

func syncDirectory(root *os.Root) error {
	directory, err := root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = directory.Close() }()
	return directory.Sync()
}
