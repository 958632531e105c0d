// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

const (
	lowest    = 19 // nice value
	openFiles = 16 // the standard three, the snapshot twice, and the Go runtime's
)

// childProgram is this very program, even when its file was replaced meanwhile.
func childProgram() string { return "/proc/self/exe" }

// childAttributes end the child with its parent, and make it a process group of its
// own, so that confine can name all its threads.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// confine bounds this process for good. RLIMIT_DATA counts private memory that can be
// written, so the mapped snapshot is no part of it; the bound is on what comes on top
// of the memory in use now. Being nice, leaving no core and gaining no privileges are
// wished for and not insisted on.
func confine(l Limits) error {
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, lowest)
	_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	now, err := dataBytes()
	if err != nil {
		return err
	}
	seconds := uint64((l.Time + time.Second - 1) / time.Second)
	return errors.Join(
		lower("core", unix.RLIMIT_CORE, 0, 0),
		lower("file size", unix.RLIMIT_FSIZE, 0, 0),
		lower("open files", unix.RLIMIT_NOFILE, openFiles, openFiles),
		lower("processor time", unix.RLIMIT_CPU, seconds+1, seconds+1), // the parent's clock comes first
		lower("memory", unix.RLIMIT_DATA, now+uint64(l.Memory), now+uint64(l.Memory)),
	)
}

// lower sets a limit of this process, never above the one it has.
func lower(what string, resource int, soft, hard uint64) error {
	var have unix.Rlimit
	if err := unix.Getrlimit(resource, &have); err != nil {
		return fmt.Errorf("read limit of %s: %w", what, err)
	}
	wanted := unix.Rlimit{Cur: min(soft, have.Max), Max: min(hard, have.Max)}
	if err := unix.Setrlimit(resource, &wanted); err != nil {
		return fmt.Errorf("limit %s: %w", what, err)
	}
	return nil
}

// dataBytes is what RLIMIT_DATA counts: the sixth field of statm, in pages.
func dataBytes() (uint64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(text)
	if len(fields) < 6 {
		return 0, errors.New("/proc/self/statm has too few fields")
	}
	pages, err := strconv.ParseUint(string(fields[5]), 10, 64)
	return pages * uint64(os.Getpagesize()), err
}

// openInherited opens the file behind the descriptor once more where that is allowed:
// bbolt's lock on a descriptor shared with the parent would outlive a killed child.
func openInherited() (*os.File, error) {
	again, err := os.Open("/proc/self/fd/" + strconv.Itoa(snapshotDescriptor))
	if err != nil {
		return os.NewFile(snapshotDescriptor, "snapshot"), nil //nolint:nilerr // the descriptor itself will do
	}
	return again, nil
}

// unlock gives back bbolt's lock as soon as the file is open: it is somebody else's,
// and its sha was right, so nobody writes to it.
func unlock(file *os.File) { _ = unix.Flock(int(file.Fd()), unix.LOCK_UN) }

// readAheadOfFaults takes back bbolt's advice that the file is read at random, since
// the newest records lie close together: from a cold disk each fault would bring in
// one page only. Advice that is refused costs nothing but time.
func readAheadOfFaults(db *bolt.DB) {
	info, err := os.Stat(db.Path())
	if err != nil {
		return
	}
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, db.Info().Data, uintptr(info.Size()), unix.MADV_NORMAL)
}
