// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ReasonScratch says that a snapshot could not be looked into for want of room.
const ReasonScratch = "scratch_directory"

// freeShare is how much of the file system's free space a scratch file may take,
// as a divisor: half, so that two exporters, or a member, still find some.
const freeShare = 2

// scratch is a file without a name that takes a copy of a snapshot. It stops taking
// when it is full; the reading goes on, for the sha.
type scratch struct {
	file *os.File
	left int64
	err  error // why it is not whole
}

// newScratch makes the file, readable for nobody else, and takes its name away at
// once, so that nothing is left behind even by a kill.
func newScratch(directory string) (*scratch, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(directory, &fs); err != nil {
		return nil, fmt.Errorf("scratch directory %s: %w", directory, err)
	}
	file, err := os.CreateTemp(directory, ".etcdops-scratch-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make scratch file: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("hide scratch file: %w", err)
	}
	free := int64(fs.Bavail) * int64(fs.Bsize) //nolint:unconvert // the types differ between systems
	return &scratch{file: file, left: min(MaxSize, free/freeShare)}, nil
}

// Write implements io.Writer. It never fails: what does not fit is left out.
func (s *scratch) Write(p []byte) (int, error) {
	if s.err != nil {
		return len(p), nil //nolint:nilerr // the reading goes on, for the sha
	}
	if s.left -= int64(len(p)); s.left < 0 {
		s.drop(fmt.Errorf("no room for a copy: a scratch file may take %d GiB, and half of what is free in the scratch directory", MaxSize>>30))
		return len(p), nil
	}
	_, err := s.file.Write(p)
	if err != nil {
		s.drop(fmt.Errorf("write scratch file: %w", err))
	}
	return len(p), nil
}

// drop gives the room back at once: the rest of the reading may take hours.
func (s *scratch) drop(err error) {
	s.err = errors.Join(err, s.file.Truncate(0))
}

func (s *scratch) close() { _ = s.file.Close() }
