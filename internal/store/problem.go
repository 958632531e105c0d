// SPDX-License-Identifier: Apache-2.0

package store

// Problem says in one word of a fixed list, and in one line for a person, what is
// wrong with a file.
type Problem struct { //nolint:errname // a finding first, an error where nothing else fits
	Reason string // a label value: one of the constants here and in internal/snapshot
	Err    error
}

func (p *Problem) Error() string { return p.Reason + ": " + p.Err.Error() }

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// What can be wrong before a file is looked into.
const (
	ReasonNotRegular = "not_a_regular_file" // a directory, FIFO, socket or device
	ReasonLink       = "link"               // a symbolic link: dangling, or out of the directory
	ReasonUnreadable = "unreadable"         // no permission, or an error of the disk or the object store
	ReasonDecompress = "cannot_decompress"  // not what its name or first bytes say, or damaged
	ReasonTooLarge   = "too_large"          // decompresses to more than the bound, or than the free space
	ReasonFuture     = "time_in_future"     // written after now, by the clock of the store
	ReasonNameTime   = "no_time_in_name"    // time_from_name does not fit the name
)
