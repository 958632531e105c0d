// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

var errCrashed = errors.New("the machine is off")

// fragile is a disk that fails at will.
type fragile struct {
	folder
	mu       sync.Mutex
	room     int           // bytes that can still be written; negative: any number
	syncErr  error         // of files
	slowSync time.Duration // how long an fsync takes
	syncs    int
	crashAt  int // the operation at which the machine is off; 0: never
	ops      int

	written []*fragileFile
	renamed [][2]string // not yet durable
}

func newFragile() *fragile { return &fragile{room: -1} }

// on makes it the disk of a journal.
func (f *fragile) on(root *os.Root) disk {
	f.folder = folder{root}
	return f
}

// op counts an operation that changes something; false: it does not happen.
func (f *fragile) op() bool {
	f.ops++
	return f.crashAt == 0 || f.ops < f.crashAt
}

func (f *fragile) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fragile) create(name string) (file, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.op() {
		return nil, errCrashed
	}
	if f.room == 0 {
		return nil, syscall.ENOSPC
	}
	return f.file(f.folder.create(name))
}

func (f *fragile) appendTo(name string) (file, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file(f.folder.appendTo(name))
}

func (f *fragile) file(inner file, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	info, err := inner.(*os.File).Stat()
	wrapped := &fragileFile{file: inner, disk: f}
	wrapped.size = info.Size()
	wrapped.durable = wrapped.size
	f.written = append(f.written, wrapped)
	return wrapped, err
}

func (f *fragile) rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.op() {
		return errCrashed
	}
	f.renamed = append(f.renamed, [2]string{from, to})
	return f.folder.rename(from, to)
}

func (f *fragile) remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.op() {
		return errCrashed
	}
	return f.folder.remove(name)
}

func (f *fragile) sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.op() {
		return errCrashed
	}
	f.renamed = nil
	return nil
}

// losePower takes away what was not made durable. It is called before files are closed.
func (f *fragile) losePower(t *testing.T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range f.written {
		if err := file.file.Truncate(file.durable); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Fatal(err)
		}
	}
	for _, names := range slices.Backward(f.renamed) {
		if err := f.folder.rename(names[1], names[0]); err != nil {
			t.Fatal(err)
		}
	}
}

type fragileFile struct {
	file
	disk          *fragile
	size, durable int64
}

// Write stops in the middle where the disk is full or the machine goes off.
func (f *fragileFile) Write(p []byte) (n int, err error) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { f.size += int64(n) }()
	if !d.op() {
		if d.ops == d.crashAt {
			_, _ = f.file.Write(p[:len(p)/2])
		}
		return 0, errCrashed
	}
	if d.room >= 0 && d.room < len(p) {
		n, _ = f.file.Write(p[:d.room])
		d.room = 0
		return n, syscall.ENOSPC
	}
	if d.room > 0 {
		d.room -= len(p)
	}
	return f.file.Write(p)
}

// Sync does not reach the real disk, which would make tests slow.
func (f *fragileFile) Sync() error {
	d := f.disk
	d.mu.Lock()
	slow := d.slowSync
	d.syncs++
	err := d.syncErr
	if !d.op() {
		err = errCrashed
	}
	if err == nil {
		f.durable = f.size
	}
	d.mu.Unlock()
	time.Sleep(slow)
	return err
}

func (f *fragileFile) Truncate(size int64) error {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.op() {
		return errCrashed
	}
	f.size, f.durable = size, min(size, f.durable)
	return f.file.Truncate(size)
}
