// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package store

import (
	"fmt"
	"io/fs"
)

const openFlags, openNonblock = 0, 0

func version(info fs.FileInfo) string {
	return fmt.Sprintf("%x-%x-%s", info.ModTime().UnixNano(), info.Size(), info.Name())
}
