// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package stack

import "syscall"

// childAttributes put a program into a process group of its own, so that a Ctrl-C
// reaches us first.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
