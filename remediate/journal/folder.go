// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// disk is what the journal does to its directory.
type disk interface {
	names() ([]string, error)
	open(name string) (io.ReadCloser, error)
	create(name string) (file, error) // it must not exist
	appendTo(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	sync() error // makes names durable
}

// file is one that is written at its end.
type file interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

type folder struct{ root *os.Root }

func (f folder) names() ([]string, error) {
	d, err := f.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (f folder) open(name string) (io.ReadCloser, error) {
	return f.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

func (f folder) create(name string) (file, error) {
	return f.root.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
}

func (f folder) appendTo(name string) (file, error) {
	return f.root.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
}

func (f folder) rename(from, to string) error { return f.root.Rename(from, to) }

func (f folder) remove(name string) error { return f.root.Remove(name) }

func (f folder) sync() error {
	d, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makePrivate opens a directory that only we may write, and makes it where it is
// missing.
func makePrivate(dir string) (*os.Root, error) {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if above, err := os.Open(filepath.Dir(dir)); err == nil { // best effort: some file systems refuse
			_ = above.Sync()
			_ = above.Close()
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

func checkPrivate(root *os.Root) error {
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("others may write there (mode %04o): chmod 700 it, or name a directory below it, which is then made so", mode)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d: chown it to the one that this program runs as", s.Uid)
	}
	return nil
}

// takeLock holds the directory for as long as the file is open. It tells others who
// has it.
func takeLock(root *os.Root) (*os.File, error) {
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrLocked
		if pid, _ := readLock(f); pid > 0 {
			err = fmt.Errorf("%w (process %d)", ErrLocked, pid)
		}
	}
	return nil, errors.Join(err, f.Close())
}

// writeLock notes the holder, and the newest file: should a person move away that one
// alone, the older ones must not pass for the whole story.
func writeLock(lock *os.File, number int) error {
	text := fmt.Appendf(nil, "%d\n%d\n", os.Getpid(), number)
	if _, err := lock.WriteAt(text, 0); err != nil {
		return err
	}
	return lock.Truncate(int64(len(text)))
}

// readLock gives what writeLock noted; zeros where that is not to be read.
func readLock(r io.Reader) (pid, number int) {
	text, _ := io.ReadAll(io.LimitReader(r, 64))
	fields := bytes.Fields(text)
	if len(fields) != 2 {
		return 0, 0
	}
	pid, _ = strconv.Atoi(string(fields[0]))
	number, err := strconv.Atoi(string(fields[1]))
	if err != nil || number < 0 || number > maxNumber {
		number = 0
	}
	return pid, number
}
