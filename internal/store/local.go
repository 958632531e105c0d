// SPDX-License-Identifier: Apache-2.0

package store

import (
	"io"
	"os"
)

// LocalFile gives the open file behind what Open of a store of files gave, which
// may be read at any offset. It is closed with that.
func LocalFile(r io.Reader) (*os.File, bool) {
	if l, ok := r.(*limited); ok {
		r = l.r
	}
	f, ok := r.(*file)
	if !ok {
		return nil, false
	}
	return f.File, true
}
