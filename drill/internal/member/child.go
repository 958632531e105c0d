// SPDX-License-Identifier: Apache-2.0

// Package member restores a snapshot and brings an etcd member up on it, in a child
// process of the same program: etcd ends its process on much of what it finds wrong,
// and whoever asked must live on, to tell of it and to remove the data.
package member

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// childName is the child's argv[0]: no user's arguments can be taken for it, and ps
// shows it.
const childName = "etcdops-restored-member"

// Exit statuses of the child.
const (
	exitAnswered = 0
	exitOrphan   = 3 // the parent is gone
	exitUsage    = 2
)

// Request says what to restore. It is the first line that the child reads; the end
// of its standard input is the end of its parent, and its own.
type Request struct {
	Snapshot string `json:"snapshot"` // a file in the working directory, plain and complete
	Size     int64  `json:"size"`     // in bytes
}

// Found is what the restored member holds.
type Found struct {
	Revision int64    `json:"revision"`         // of the key space as it was restored
	Keys     int64    `json:"keys"`             // live ones at Revision, counted over the client socket
	Read     int64    `json:"read"`             // of them, those whose value could be read
	Alarms   []string `json:"alarms,omitempty"` // that came with the snapshot
}

// message is one line of the child's: the stage that begins now, or the end.
type message struct {
	Stage   Stage  `json:"stage,omitempty"`
	Found   *Found `json:"found,omitempty"`
	Failure string `json:"failure,omitempty"`
	NoRoom  bool   `json:"no_room,omitempty"` // the failure is a full disk
}

// Stage is a part of the work, as a person reads it.
type Stage string

// The stages in their order.
const (
	StageBegin   Stage = "beginning"
	StageRestore Stage = "restoring"
	StageStart   Stage = "starting the member"
	StageRead    Stage = "reading the keys"
)

// Child does the work of a child that Run started, and tells main what to exit with.
// Who uses Run (tests, too: in TestMain) calls it first of all, before it looks at
// flags.
func Child(ctx context.Context) (child bool, exit int) {
	if len(os.Args) != 1 || os.Args[0] != childName {
		return false, 0
	}
	stdin := bufio.NewReader(os.Stdin)
	line, err := stdin.ReadBytes('\n')
	if err != nil {
		return true, exitOrphan
	}
	var r Request
	if err := json.Unmarshal(line, &r); err != nil {
		fmt.Fprintln(os.Stderr, "read request:", err)
		return true, exitUsage
	}
	done := make(chan int, 2)
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		done <- exitOrphan
	}()
	go func() {
		serve(ctx, r, os.Stdout)
		done <- exitAnswered
	}()
	return true, <-done // the process ends, and with it what is still at work
}

// serve tells each stage and what came of it, a line each.
func serve(ctx context.Context, r Request, out io.Writer) {
	say := func(m message) {
		if err := json.NewEncoder(out).Encode(m); err != nil {
			fmt.Fprintln(os.Stderr, "tell:", err)
		}
	}
	found, err := work(ctx, r, os.Stderr, func(s Stage) { say(message{Stage: s}) })
	if err != nil {
		say(message{Failure: printable(err.Error()), NoRoom: errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)})
		return
	}
	say(message{Found: &found})
}
