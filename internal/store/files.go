// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
)

// files is a directory, what a glob matches below its static directory, or one file.
// Each call opens the directory anew: it may be mounted, moved or made at any time.
// Nothing outside of it is ever opened (os.Root), and nothing but regular files is read.
type files struct {
	dir    string
	glob   bool
	steps  []string // a pattern for each step below dir, the last one of file names
	rules  rules
	slots  slots
	log    *slog.Logger
	warned atomic.Bool
}

func newFiles(name string, glob bool, r rules, log *slog.Logger) (*files, error) {
	s := &files{dir: name, glob: glob, steps: []string{r.pattern}, rules: r, slots: newSlots(), log: log}
	if glob {
		var err error
		if s.dir, s.steps, err = splitGlob(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *files) String() string   { return "directory " + s.dir }
func (s *files) GoString() string { return s.String() }
func (s *files) Close() error     { return nil }

// List reads the directory. Where links and files name the same file, the file
// stands for it.
func (s *files) List(ctx context.Context) ([]Object, error) {
	list, err := await(ctx, s.slots, func() ([]Object, error) {
		root, steps, err := s.open()
		if err != nil {
			return nil, err
		}
		defer func() { _ = root.Close() }()
		w := &walk{files: s, root: root, direct: s.rules.newest(), linked: s.rules.newest()}
		if err := w.step(ctx, ".", steps, false); err != nil {
			return nil, err
		}
		return w.objects(), nil
	}, func([]Object) {})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", s.dir, reason(err))
	}
	return list, nil
}

// open refuses what is no directory before it opens it: to open a FIFO may hang. A
// path of one file, which each backup overwrites, is its directory with that name alone.
func (s *files) open() (root *os.Root, steps []string, err error) {
	info, err := os.Stat(s.dir)
	if err != nil {
		return nil, nil, err
	}
	dir, steps := s.dir, s.steps
	switch {
	case info.IsDir():
	case info.Mode().IsRegular() && !s.glob:
		dir, steps = filepath.Dir(s.dir), []string{exactly(filepath.Base(s.dir))}
	default:
		return nil, nil, errors.New("not a directory")
	}
	root, err = os.OpenRoot(dir)
	return root, steps, err
}

// Open opens a regular file, if it is still the one that was listed.
func (s *files) Open(ctx context.Context, o Object) (io.ReadCloser, error) {
	f, err := await(ctx, s.slots, func() (*file, error) {
		root, _, err := s.open()
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", s.dir, reason(err))
		}
		defer func() { _ = root.Close() }()
		return openIn(root, o)
	}, func(f *file) { _ = f.Close() })
	if err != nil {
		return nil, err
	}
	return &limited{ctx: ctx, r: f, limiter: s.rules.limiter}, nil
}

func openIn(root *os.Root, o Object) (*file, error) {
	target, info, err := resolve(root, o.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && target == o.Name:
		return nil, fmt.Errorf("open %q: %w", o.Name, ErrChanged)
	case err != nil:
		return nil, linkProblem(target, err)
	case version(info) != o.Version:
		return nil, fmt.Errorf("open %q: %w", o.Name, ErrChanged)
	case !info.Mode().IsRegular():
		return nil, notRegular(info)
	}
	// Links were followed above: one put in its place since is only followed to
	// where os.Root lets it, and found out by the version.
	f, err := root.OpenFile(target, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, &Problem{ReasonUnreadable, reason(err)}
	}
	info, err = f.Stat()
	switch {
	case err != nil:
		err = &Problem{ReasonUnreadable, reason(err)}
	case version(info) != o.Version:
		err = fmt.Errorf("open %q: %w", o.Name, ErrChanged)
	case !info.Mode().IsRegular():
		err = notRegular(info)
	default:
		return &file{File: f, version: o.Version}, nil
	}
	_ = f.Close()
	return nil, err
}

// file is a file that must not change while it is read.
type file struct {
	*os.File
	version string
}

func (f *file) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, &Problem{ReasonUnreadable, reason(err)}
	}
	if info, err := f.Stat(); err != nil || version(info) != f.version {
		return n, fmt.Errorf("read: %w", ErrChanged)
	}
	return n, io.EOF
}

func notRegular(info fs.FileInfo) *Problem {
	kind := "a special file"
	switch mode := info.Mode(); {
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a FIFO"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return &Problem{ReasonNotRegular, fmt.Errorf("it is %s", kind)}
}

// reason leaves the path out of an error that is told together with a name.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
