// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
)

// chunk is how many entries of a directory are read at once.
const chunk = 512

// walk is one listing.
type walk struct {
	*files
	root   *os.Root
	direct *newest
	linked *newest // found through a symbolic link
}

// step goes through one directory. The first one must be readable; one below it that
// is not becomes a Problem of its name.
func (w *walk) step(ctx context.Context, dir string, steps []string, viaLink bool) error {
	pattern, last := steps[0], len(steps) == 1
	if name, ok := literal(pattern); ok {
		return w.take(ctx, path.Join(dir, name), steps, viaLink)
	}
	d, err := w.root.OpenFile(dir, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return w.unreadable(dir, err)
	}
	defer func() { _ = d.Close() }()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := d.ReadDir(chunk)
		for _, e := range entries {
			matched, _ := path.Match(pattern, e.Name())
			if !matched || !last && !e.IsDir() && e.Type()&(fs.ModeSymlink|fs.ModeIrregular) == 0 {
				continue
			}
			if err := w.take(ctx, path.Join(dir, e.Name()), steps, viaLink); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return w.unreadable(dir, err)
		}
	}
}

// take looks at one entry that its step's pattern matches.
func (w *walk) take(ctx context.Context, name string, steps []string, viaLink bool) error {
	target, info, err := resolve(w.root, name)
	last := len(steps) == 1
	switch {
	case errors.Is(err, fs.ErrNotExist) && (target == name || !last):
		return nil // removed meanwhile; or a dangling link that no directory is behind
	case errors.Is(err, errNotDir):
		return nil // a file where the glob wants a directory
	case err != nil:
		if info == nil {
			return w.unreadable(name, err)
		}
		w.add(Object{Name: name, Size: info.Size(), Version: version(info), Problem: linkProblem(target, err)}, info, false)
		return nil
	case last:
		o := Object{Name: name, Size: info.Size(), Version: version(info)}
		if !info.Mode().IsRegular() {
			o.Problem = notRegular(info)
		}
		w.add(o, info, viaLink || target != name)
		return nil
	case !info.IsDir():
		return nil
	}
	// The link's own name stays in the names below it, os.Root follows it. Where it
	// cannot (an absolute link), the target's name does.
	if target != name {
		viaLink = true
		if _, err := w.root.Stat(name); err != nil {
			name = target
		}
	}
	return w.step(ctx, name, steps[1:], viaLink)
}

// unreadable tells of a directory that cannot be read.
func (w *walk) unreadable(name string, err error) error {
	switch {
	case name == ".":
		return err
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotDir):
		o := Object{Name: name, Size: -1, Problem: &Problem{ReasonUnreadable, reason(err)}}
		o.Time = w.rules.now()
		w.direct.add(o)
	}
	return nil
}

func (w *walk) add(o Object, info fs.FileInfo, viaLink bool) {
	w.rules.date(&o, info.ModTime())
	if viaLink {
		w.linked.add(o)
		return
	}
	w.direct.add(o)
}

// objects joins what was found. A link to a file that is listed itself (latest.db) is
// left out: it is the same file by another name. So is a second link to one file.
func (w *walk) objects() []Object {
	if w.linked.list != nil {
		listed := make(map[string]bool, len(w.linked.list))
		for _, o := range w.linked.list {
			listed[o.Version] = false
		}
		for _, o := range w.direct.list {
			if _, linked := listed[o.Version]; linked {
				listed[o.Version] = true
			}
		}
		for _, o := range w.linked.sorted() {
			if !listed[o.Version] {
				listed[o.Version] = true
				w.direct.add(o)
			}
		}
	}
	list := w.direct.sorted()
	if w.direct.dropped && w.warned.CompareAndSwap(false, true) {
		w.log.Warn("the store holds more files than are looked at: only the newest are", "store", w.dir, "limit", w.rules.limit)
	}
	return list
}
