// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxLinks is how many links are followed one after another, as few as any need.
const maxLinks = 10

var (
	errLeadsOut = errors.New("it is a link that leads out of the directory")
	errNotDir   = syscall.ENOTDIR
)

// resolve follows symbolic links as long as they stay below the root, and gives the
// name it came to with what lies there. os.Root refuses every absolute link, also one
// that leads to its own directory, as `ln -s /backups/a.db /backups/latest.db` makes:
// those are read as relative ones. On an error, info is that of the last link.
func resolve(root *os.Root, name string) (target string, info fs.FileInfo, err error) {
	target = name
	for range maxLinks {
		next, err := root.Lstat(target)
		if err != nil {
			return target, info, err
		}
		if info = next; info.Mode()&fs.ModeSymlink == 0 {
			return target, info, nil
		}
		to, err := root.Readlink(target)
		if err != nil {
			return target, info, err
		}
		if filepath.IsAbs(to) {
			to = below(root.Name(), to)
		} else {
			to = filepath.Join(filepath.Dir(target), to)
		}
		if !filepath.IsLocal(to) {
			return target, info, errLeadsOut
		}
		target = to
	}
	return target, info, syscall.ELOOP
}

// below makes an absolute name relative to the directory, which may be reached
// through a link itself.
func below(dir, name string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	rel, err := filepath.Rel(dir, name)
	if err == nil && filepath.IsLocal(rel) {
		return rel
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return name
	}
	if rel, err = filepath.Rel(dir, name); err != nil {
		return name
	}
	return rel
}

// linkProblem says what is wrong with a link.
func linkProblem(target string, err error) *Problem {
	switch {
	case errors.Is(err, errLeadsOut):
		return &Problem{ReasonLink, errLeadsOut}
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{ReasonLink, fmt.Errorf("it is a link to %q, which is missing", shorten(target))}
	case errors.Is(err, syscall.ELOOP):
		return &Problem{ReasonLink, errors.New("it is a link that leads in a circle")}
	case errors.Is(err, fs.ErrPermission):
		return &Problem{ReasonUnreadable, reason(err)}
	}
	return &Problem{ReasonLink, fmt.Errorf("it is a link that cannot be followed: %w", reason(err))}
}
