// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	childName = "etcdops-snapshot-walk" // the child's argv[0]: no user's arguments can be taken for it, and ps shows it
	greeting  = "walking"               // the child's first line; what happens after it is the file's fault

	snapshotDescriptor = 3
	maxStack           = 16 << 20 // bytes; bbolt goes down a tree by recursion
	noLockWait         = time.Nanosecond
)

// Exit statuses of the child.
const (
	exitAnswered = 0
	exitUsage    = 2
)

// Child does the work of a child that Walk started, and tells main what to exit with.
// A program that uses Walk (tests, too: in TestMain) calls it first of all, before it
// looks at flags:
//
//	if child, exit := snapshot.Child(); child {
//		os.Exit(exit)
//	}
func Child() (child bool, exit int) {
	if len(os.Args) != 3 || os.Args[0] != childName {
		return false, 0
	}
	if err := serve(os.Args[1], os.Args[2], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return true, exitUsage
	}
	return true, exitAnswered
}

func serve(memory, limit string, out io.Writer) error {
	var l Limits
	var err error
	if l.Memory, err = strconv.ParseInt(memory, 10, 64); err != nil {
		return fmt.Errorf("read memory limit: %w", err)
	}
	if l.Time, err = time.ParseDuration(limit); err != nil {
		return fmt.Errorf("read time limit: %w", err)
	}
	debug.SetMaxStack(maxStack)
	debug.SetMemoryLimit(l.Memory / 4 * 3) // collect before the bound is hit
	if err := confine(l); err != nil {
		return fmt.Errorf("confine the child: %w", err)
	}
	if _, err := fmt.Fprintln(out, greeting); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(look())
}

// look turns what bbolt and its pages do into an answer. Faults become panics; what
// cannot be caught ends this process, and the parent tells by its last words.
func look() (a answer) {
	debug.SetPanicOnFault(true)
	defer func() {
		if fault := recover(); fault != nil {
			a = answer{Reason: ReasonDamaged, Text: firstLine(fmt.Sprint(fault))}
		}
	}()
	var file *os.File
	db, err := bolt.Open("snapshot", 0, &bolt.Options{
		ReadOnly: true, NoStatistics: true,
		Timeout: noLockWait,
		OpenFile: func(string, int, os.FileMode) (opened *os.File, err error) {
			file, err = openInherited()
			return file, err
		},
	})
	if err != nil {
		return failure(err)
	}
	defer db.Close()
	unlock(file)
	readAheadOfFaults(db)
	err = db.View(func(tx *bolt.Tx) error {
		var err error
		a.Contents, err = readContents(tx)
		return err
	})
	if err != nil {
		return failure(err)
	}
	return a
}

// failure tells what the file is to blame for from what it is not.
func failure(err error) answer {
	var system syscall.Errno
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return answer{Failure: "another program holds a lock on it"}
	case errors.Is(err, syscall.EBADF): // bbolt makes a new database of an empty file, and may not write
		return answer{Reason: ReasonDamaged, Text: "it was emptied while it was read"}
	case errors.As(err, &system):
		return answer{Failure: err.Error()}
	case errors.Is(err, errNoKeySpace):
		return answer{Reason: ReasonNoKeys, Text: err.Error()}
	}
	return answer{Reason: ReasonDamaged, Text: firstLine(err.Error())}
}
