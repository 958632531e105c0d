// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package snapshot

import (
	"os"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// childProgram is the file of this program.
func childProgram() string {
	name, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return name
}

func childAttributes() *syscall.SysProcAttr { return nil }

// confine has only the Go runtime's memory limit and the parent's clock to rely on.
func confine(Limits) error { return nil }

func openInherited() (*os.File, error) {
	return os.NewFile(snapshotDescriptor, "snapshot"), nil
}

func unlock(*os.File) {}

func readAheadOfFaults(*bolt.DB) {}
