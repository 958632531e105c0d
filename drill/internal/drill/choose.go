// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/etcd/api/v3/version"

	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
)

// choose gives the newest sound snapshot with the verdict on it.
func (d *drill) choose(ctx context.Context) (*judge.File, error) {
	j := judge.New(judge.Options{
		Store: d.Store, Atomic: d.Atomic, Verify: true,
		Inspector: judge.Inspector{Scratch: d.work.Path}, Log: d.Log,
	})
	if err := j.Check(ctx); err != nil {
		return nil, fmt.Errorf("list the store: %w", cause(ctx, err))
	}
	for j.Next(ctx) {
		continue
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("judge the snapshots: %w", context.Cause(ctx))
	}
	report := j.Report()
	if report.Sound == nil {
		return nil, d.noneSound(report)
	}
	if report.Sound.Name != report.Newest.Name {
		d.Log.Warn("the newest snapshot is not taken, since it is not sound or cannot be read", "newest", report.Newest.Name, "taken", report.Sound.Name)
	}
	return report.Sound, nil
}

// noneSound says why there is nothing to restore. It is a failure where the snapshots
// are to blame, and none where they could not be judged.
func (d *drill) noneSound(r judge.Report) error {
	switch {
	case slices.ContainsFunc(r.Problems, unreadable):
		return fmt.Errorf("cannot judge all snapshots in the store: %w", &r.Problems[slices.IndexFunc(r.Problems, unreadable)])
	case r.Files == 0 && len(r.Problems) > 0:
		return failed("there is no snapshot in the store, but: %w", &r.Problems[0])
	case r.Files == 0:
		return failed("there is no snapshot in the store")
	case r.Newest == nil:
		return errors.New("every snapshot in the store is still being written")
	}
	d.newest = r.Newest.Name
	v := r.Newest.Verdict
	if v == nil || v.Problem == nil {
		err := errors.New("it changed, or its store failed")
		for _, p := range r.Problems {
			err = &p
		}
		return fmt.Errorf("cannot judge %s: %w", r.Newest.Name, err)
	}
	switch v.Problem.Reason {
	case store.ReasonUnreadable, snapshot.ReasonTimeout, snapshot.ReasonMemory:
		return fmt.Errorf("cannot judge %s: %w", r.Newest.Name, v.Problem)
	}
	return failed("no sound snapshot in the store: %w", v.Problem)
}

func unreadable(p store.Problem) bool { return p.Reason == store.ReasonUnreadable }

const (
	copies  = 3         // of the snapshot: the one taken, the restored one, and what may come
	walRoom = 256 << 20 // bytes for etcd's log: two segments of 64 MB, and as much again
)

// prepare says whether this program can judge a sound snapshot by restoring it.
func (d *drill) prepare(v *judge.Verdict) error {
	if v.Unwalked != nil {
		return fmt.Errorf("cannot count the snapshot's keys: %w", v.Unwalked)
	}
	if !v.Walked {
		return errors.New("cannot count the snapshot's keys")
	}
	if err := restorable(v.Contents.StorageVersion); err != nil {
		return err
	}
	free, err := d.free()
	if err != nil {
		return err
	}
	if needed := copies*v.Size + walRoom; free < needed {
		return fmt.Errorf("no room: %d MiB are free in %s, and %d MiB are needed (%d times the snapshot, and %d MiB)",
			free>>20, d.Directory, (needed+1<<20-1)>>20, copies, walRoom>>20)
	}
	return nil
}

// restorable refuses what a later etcd wrote than the one in this program, which may
// be sound and not start here. Before 3.6 there is no version in a snapshot; those of
// 3.4 and 3.5 are known to start.
func restorable(storage string) error {
	if storage == "" {
		return nil
	}
	theirs, err := semver.NewVersion(storage)
	if err != nil {
		return fmt.Errorf("cannot judge a snapshot of storage version %s: %w", storage, err)
	}
	ours := semver.Must(semver.NewVersion(version.Version))
	if theirs.Major > ours.Major || theirs.Major == ours.Major && theirs.Minor > ours.Minor {
		return fmt.Errorf("cannot judge a snapshot of storage version %s: this program restores with etcd %s; take a newer etcd_restore_drill", storage, ours)
	}
	return nil
}

// cause prefers why the context ended to what came of it.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
