// SPDX-License-Identifier: Apache-2.0

//go:build unix

package store

import (
	"fmt"
	"io/fs"
	"syscall"
)

// openFlags keep the opening of a FIFO or a device from waiting, and of a link put
// in a file's place since it was looked at from being followed unseen.
const (
	openNonblock = syscall.O_NONBLOCK
	openFlags    = syscall.O_NOFOLLOW | openNonblock
)

// version tells one state of one file from all others: the change time is there for
// what keeps size and modification time, such as cp -p.
func version(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%x-%x-%x-%x-%x", info.ModTime().UnixNano(), info.Size(), s.Dev, s.Ino, changed(s))
	}
	return fmt.Sprintf("%x-%x-%s", info.ModTime().UnixNano(), info.Size(), info.Name())
}
