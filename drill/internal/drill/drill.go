// SPDX-License-Identifier: Apache-2.0

// Package drill shows that a store's newest sound snapshot can be restored: it picks
// and copies it, has a member brought up on it, and compares what that holds with
// what the snapshot's judge counted.
package drill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/etcdops/etcdops/drill/internal/member"
	"github.com/etcdops/etcdops/drill/internal/workdir"
	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
)

// Options say what to restore, and where.
type Options struct {
	Store     store.Store
	Name      string // of the store
	Atomic    bool   // nothing in the store is being written: one file that a person names
	Directory string // where the working directory is made
	Timeout   time.Duration
	Log       *slog.Logger
}

// drill is one drill. Its functions are fields for the tests' sake.
type drill struct {
	Options
	work    *workdir.Dir
	free    func() (int64, error)
	restore func(ctx context.Context, dir string, lock *os.File, r member.Request) (member.Found, error)
	newest  string // the file that a failure is about
}

// failure is a drill that was held and failed. Any other error says that it could not
// be held, and nothing of the snapshot.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }

func failed(format string, args ...any) error { return &failure{fmt.Errorf(format, args...)} }

// Run holds one drill. An error says that it could not be held: then there is no
// result, and nothing is known of the snapshot. The data is removed in any case.
func Run(ctx context.Context, o Options) (judge.Drill, error) {
	return run(ctx, &drill{Options: o, restore: func(ctx context.Context, dir string, lock *os.File, r member.Request) (member.Found, error) {
		return member.Run(ctx, dir, lock, r, func(s member.Stage) { o.Log.Debug("next", "stage", s) })
	}})
}

func run(ctx context.Context, d *drill) (result judge.Drill, err error) {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, d.Timeout, member.ErrTimeout)
	defer cancel()
	if d.work, err = workdir.New(d.Directory, d.Log); err != nil {
		return judge.Drill{}, err
	}
	defer func() {
		if err := d.work.Remove(); err != nil {
			d.Log.Error("the working directory cannot be removed", "err", err)
		}
	}()
	if d.free == nil {
		d.free = d.work.Free
	}
	result, err = d.hold(ctx)
	f, isFailure := errors.AsType[*failure](err)
	switch {
	case err == nil:
		result.Success = true
	case isFailure:
		result.Reason = f.Error()
	default:
		return judge.Drill{}, err
	}
	result.Store, result.Time, result.Seconds = d.Name, time.Now(), time.Since(began).Seconds()
	return result, nil
}

// hold goes through the drill's parts; what it gives together with a failure is what
// is known by then.
func (d *drill) hold(ctx context.Context) (judge.Drill, error) {
	file, err := d.choose(ctx)
	if err != nil {
		return judge.Drill{Snapshot: d.newest}, err
	}
	result := judge.Drill{Snapshot: file.Name}
	v := file.Verdict
	if err := d.prepare(v); err != nil {
		return result, err
	}
	d.Log.Info("restoring", "file", file.Name, "size", v.Size, "revision", v.Contents.Revision, "keys", v.Contents.Keys)
	if err := d.copySnapshot(ctx, file.Object, v); err != nil {
		return result, err
	}
	found, err := d.restore(ctx, d.work.Path, d.work.Lock, member.Request{Snapshot: copyName, Size: v.Size})
	if f, ok := errors.AsType[*member.FailedError](err); ok {
		return result, failed("%w", f)
	}
	if err != nil {
		return result, err
	}
	result.Revision, result.Keys = found.Revision, found.Keys
	return result, compare(v.Contents, found)
}
