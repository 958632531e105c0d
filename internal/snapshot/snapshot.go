// SPDX-License-Identifier: Apache-2.0

// Package snapshot judges snapshot files of etcd: the sha256 at the end by
// streaming, then the content, walked in a child process with bounds on memory and
// time, so that no bad page ends the program.
package snapshot

// What can be wrong with a snapshot: label values, so a fixed list.
const (
	ReasonEmpty      = "empty"             // no byte in it
	ReasonForeign    = "not_a_snapshot"    // encrypted, or something else altogether
	ReasonNoChecksum = "no_checksum"       // a copy of a member's own database file, or the end is missing
	ReasonTruncated  = "truncated"         // shorter than its own header says, or of no possible size
	ReasonChecksum   = "checksum_mismatch" // a byte is not what was written
	ReasonDamaged    = "damaged"           // the sha is right and the pages are not readable
	ReasonTimeout    = "walk_timeout"      // the walk took longer than its bound
	ReasonMemory     = "walk_memory"       // the walk needed more memory than its bound
	ReasonNoKeys     = "no_keyspace"       // a database without etcd's key space
)

// Problem says in one word of the list above, and in one line for a person, what
// is wrong with a snapshot.
type Problem struct { //nolint:errname // it is a field's value first: Digest.Problem, Contents.Problem
	Reason string
	Err    error
}

func (p *Problem) Error() string { return p.Reason + ": " + p.Err.Error() }

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Complete tells by its size in bytes whether a file may be a whole snapshot: the
// database is written in multiples of 512, and the trailing sha makes it 32 more.
// False for a while means that the file is still being written.
func Complete(size int64) bool {
	return size > trailerSize && size%sectorSize == trailerSize
}
