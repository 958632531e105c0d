// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store"
)

const (
	// settle is how long a file must not have changed to be taken for done. One of
	// a complete snapshot's size need not wait.
	settle = time.Minute
	// lookBack bounds how many files are read to find a sound one.
	lookBack = 10
	// listTime is what a store gets to list what it holds.
	listTime = time.Minute
	// retry is the least time between two tries to read a file that could not be.
	retry = 5 * time.Minute
)

var errSlowList = fmt.Errorf("no list within %s", listTime)

// Options describe one store.
type Options struct {
	Store     store.Store
	Atomic    bool // nothing in it is being written, whatever it looks like: one file that a person names
	Verify    bool // read the files; else only list them
	Inspector Inspector
	Log       *slog.Logger
}

// Judge follows one store.
type Judge struct {
	options Options
	now     func() time.Time

	mu       sync.Mutex
	report   Report
	settled  []store.Object // newest first
	seen     map[string]sighting
	verdicts map[string]Verdict
	failed   map[string]failure
	growing  map[string]bool // has a fault, and the size of a whole snapshot
}

// sighting is a version of a file, and since when it is known to be the same.
type sighting struct {
	version string
	size    int64
	since   time.Time
}

type failure struct {
	err  error
	next time.Time
}

// Report is what is known of a store.
type Report struct {
	Checked  time.Time // zero: not yet
	Err      error     // why the store cannot be listed at present; the rest is from before
	Files    int       // that may be snapshots
	Newest   *File     // that is not being written any more; nil: there is none
	Sound    *File     // the newest one known to be sound
	Problems []store.Problem
}

// File is one file with what is known of it.
type File struct {
	store.Object
	Verdict *Verdict // nil: not judged
}

// New makes a judge. It asks nobody yet.
func New(o Options) *Judge {
	return &Judge{options: o, now: time.Now, verdicts: map[string]Verdict{}, failed: map[string]failure{}, growing: map[string]bool{}}
}

// Report is the present state.
func (j *Judge) Report() Report {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.reportLocked()
}

// Check lists the store.
func (j *Judge) Check(ctx context.Context) error {
	listing, cancel := context.WithTimeoutCause(ctx, listTime, errSlowList)
	defer cancel()
	objects, err := j.options.Store.List(listing)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	j.report.Checked, j.report.Err = now, err
	if err != nil {
		return err
	}
	first := j.seen == nil
	seen := make(map[string]sighting, len(objects))
	j.settled, j.report.Files, j.report.Problems = nil, 0, nil
	known := map[string]bool{}
	for _, o := range objects {
		known[key(o)] = true
		if o.Problem != nil {
			j.report.Problems = append(j.report.Problems, *o.Problem)
			continue
		}
		j.report.Files++
		s, before := j.seen[o.Name]
		switch {
		case first: // what happened before this program's start, only the file's own time tells
			s = sighting{version: o.Version, size: o.Size}
		case !before || s.version != o.Version || s.size != o.Size:
			s = sighting{o.Version, o.Size, now}
		}
		seen[o.Name] = s
		if j.isSettled(o, s, now) {
			j.settled = append(j.settled, o)
		}
	}
	j.seen = seen
	maps.DeleteFunc(j.verdicts, func(k string, _ Verdict) bool { return !known[k] })
	maps.DeleteFunc(j.growing, func(k string, _ bool) bool { return !known[k] })
	maps.DeleteFunc(j.failed, func(k string, _ failure) bool { return !known[k] })
	return nil
}

// isSettled says whether a file is no longer being written.
func (j *Judge) isSettled(o store.Object, s sighting, now time.Time) bool {
	return snapshot.Complete(o.Size) && !j.growing[key(o)] || j.isQuiet(o, s, now)
}

// isQuiet says whether it has not changed for so long that it is what it is meant to
// be.
func (j *Judge) isQuiet(o store.Object, s sighting, now time.Time) bool {
	return o.Whole || j.options.Atomic || now.Sub(s.since) >= settle && now.Sub(o.Changed) >= settle
}

// Next reads one file that is worth it and not judged yet: the newest, and where
// that is not sound, the ones before it. It gives false where there is nothing to
// read.
func (j *Judge) Next(ctx context.Context) bool {
	o, ok := j.next()
	if !ok {
		return false
	}
	v, err := j.options.Inspector.Inspect(ctx, j.options.Store, o)
	if ctx.Err() != nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.failed[key(o)] = failure{err, j.now().Add(retry)}
		j.options.Log.Warn("snapshot cannot be read", "file", o.Name, "err", err)
		return true
	}
	delete(j.failed, key(o))
	if now := j.now(); !v.Sound && v.Problem.Reason == snapshot.ReasonTruncated && !j.isQuiet(o, j.seen[o.Name], now) {
		// Its size is that of a whole snapshot by chance: it is still being written.
		j.growing[key(o)] = true
		j.settled = slices.DeleteFunc(j.settled, func(other store.Object) bool { return key(other) == key(o) })
		return true
	}
	j.verdicts[key(o)] = v
	j.tell(o, v)
	return true
}

func (j *Judge) next() (store.Object, bool) {
	if !j.options.Verify {
		return store.Object{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	for i, o := range j.settled {
		v, judged := j.verdicts[key(o)]
		switch {
		case judged && v.Sound, i == lookBack:
			return store.Object{}, false
		case judged, now.Before(j.failed[key(o)].next):
			continue
		default:
			return o, true
		}
	}
	return store.Object{}, false
}

func (j *Judge) tell(o store.Object, v Verdict) {
	log := j.options.Log.With("file", o.Name)
	if !v.Sound {
		log.Warn("snapshot is not sound", "reason", v.Problem.Reason, "err", v.Problem.Err)
		return
	}
	log.Info("snapshot is sound", "size", v.Size, "revision", v.Contents.Revision, "keys", v.Contents.Keys, "walked", v.Walked)
	if v.Unwalked != nil {
		log.Warn("snapshot's sha is right, and it could not be looked into", "err", v.Unwalked.Err)
	}
}

func (j *Judge) reportLocked() Report {
	r := j.report
	r.Problems = slices.Clone(r.Problems)
	for i, o := range j.settled {
		file := &File{Object: o}
		if v, judged := j.verdicts[key(o)]; judged {
			file.Verdict = &v
		}
		if i == 0 {
			r.Newest = file
			r.Problems = append(r.Problems, j.problemsLocked(file)...)
		}
		if file.Verdict != nil && file.Verdict.Sound {
			r.Sound = file
			break
		}
	}
	return r
}

// problemsLocked are those of the newest file.
func (j *Judge) problemsLocked(f *File) []store.Problem {
	if v := f.Verdict; v != nil {
		if v.Problem != nil {
			return []store.Problem{*v.Problem}
		}
		if v.Unwalked != nil {
			return []store.Problem{*v.Unwalked}
		}
		return nil
	}
	if failed, ok := j.failed[key(f.Object)]; ok {
		return []store.Problem{{Reason: store.ReasonUnreadable, Err: failed.err}}
	}
	return nil
}

// key is what a verdict belongs to.
func key(o store.Object) string {
	return o.Name + "\x00" + o.Version + "\x00" + o.Time.UTC().Format(time.RFC3339Nano)
}
