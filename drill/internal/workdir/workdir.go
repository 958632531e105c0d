// SPDX-License-Identifier: Apache-2.0

// Package workdir keeps the data of a drill, which is all that a cluster knows, in a
// directory of its own that nobody else may enter, and sees that it goes again: at the
// end, or with the next drill where this one was killed.
package workdir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	prefix   = "etcd_restore_drill-"
	fresh    = ".new" // while it has no lock yet
	lockName = "lock"
	dataName = "data"
	marker   = "The data of a running etcd_restore_drill; removed by the next one when this one is gone.\n"
)

var nameForm = regexp.MustCompile(`^` + prefix + `[0-9]+(\.new)?$`) //nolint:gochecknoglobals // a constant

// Dir is a directory that only this drill uses.
type Dir struct {
	Path string   // for the data: empty, 0700
	Lock *os.File // held as long as it is open, here or in a child

	root *os.Root // of the directory above
	name string   // below root
}

// New removes what killed drills left in parent, and makes a directory, 0700, in it.
func New(parent string, log *slog.Logger) (_ *Dir, err error) {
	parent, err = filepath.Abs(parent)
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", parent, err)
	}
	root, err := os.OpenRoot(parent)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	defer func() {
		if err != nil {
			_ = root.Close()
		}
	}()
	sweep(root, log)
	path, err := os.MkdirTemp(parent, prefix+"*"+fresh)
	if err != nil {
		return nil, fmt.Errorf("make working directory: %w", err)
	}
	d := &Dir{root: root, name: filepath.Base(path)}
	if err := d.claim(parent); err != nil {
		return nil, errors.Join(err, root.RemoveAll(d.name))
	}
	return d, nil
}

// claim locks the directory, and gives it the name that others know it by only then.
func (d *Dir) claim(parent string) error {
	name := strings.TrimSuffix(d.name, fresh)
	lock, err := d.root.OpenFile(filepath.Join(d.name, lockName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make lock: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil { // whoever sees the marker without a lock sees a left-over
		_, err = lock.WriteString(marker)
	}
	if err == nil {
		err = d.root.Mkdir(filepath.Join(d.name, dataName), 0o700)
	}
	if err == nil {
		err = d.root.Rename(d.name, name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("lock working directory: %w", err), lock.Close())
	}
	d.name, d.Path, d.Lock = name, filepath.Join(parent, name, dataName), lock
	return nil
}

// Free is the room in bytes that a user may still fill.
func (d *Dir) Free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(d.Path, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", d.Path, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ between systems
}

// Remove removes the directory with all that is in it.
func (d *Dir) Remove() error {
	err := remove(d.root, d.name)
	if err != nil {
		err = fmt.Errorf("remove it by hand, it holds the data of a cluster: %w", err)
	}
	return errors.Join(err, d.Lock.Close(), d.root.Close())
}

// remove takes the data first: as long as there is some, the lock tells whose it is.
func remove(root *os.Root, name string) error {
	if err := root.RemoveAll(filepath.Join(name, dataName)); err != nil {
		return err
	}
	return root.RemoveAll(name)
}

// sweep removes what drills left behind that were killed. What it cannot remove is
// told, and hinders nothing: the room is checked later.
func sweep(root *os.Root, log *slog.Logger) {
	directory, err := root.Open(".")
	if err != nil {
		log.Warn("cannot look for left-overs", "err", err)
		return
	}
	defer directory.Close()
	names, err := directory.Readdirnames(-1)
	if err != nil {
		log.Warn("cannot look for left-overs", "err", err)
	}
	for _, name := range names {
		if !nameForm.MatchString(name) {
			continue
		}
		switch removed, err := removeLeftOver(root, name); {
		case err != nil:
			log.Warn("a left-over cannot be removed, it may hold the data of a cluster", "name", filepath.Join(root.Name(), name), "err", err)
		case removed:
			log.Info("left-over of a killed drill removed", "name", filepath.Join(root.Name(), name))
		}
	}
}

// removeLeftOver removes a directory that a drill of this user made and does not use
// any more; anything else it leaves alone.
func removeLeftOver(root *os.Root, name string) (bool, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return false, gone(err)
	}
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !ours(info) { // below a setgid directory it has that bit as well
		return false, nil
	}
	within, err := root.OpenRoot(name)
	if err != nil {
		return false, gone(err)
	}
	defer within.Close()
	lock, err := within.OpenFile(lockName, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil { // it is being made or removed, or was when its drill was killed: there is no data in it
		return false, gone(err)
	}
	defer lock.Close()
	text := make([]byte, len(marker)+1)
	if n, _ := lock.ReadAt(text, 0); string(text[:n]) != marker {
		return false, nil
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil // a drill is at work in it
		}
		return false, fmt.Errorf("lock: %w", err)
	}
	return true, remove(root, name)
}

func ours(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// gone takes what another drill removed meanwhile for no error.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
