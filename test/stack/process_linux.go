// SPDX-License-Identifier: Apache-2.0

package stack

import "syscall"

// childAttributes put a program into a process group of its own, so that a Ctrl-C
// reaches us first, and have the kernel kill it when its nursery ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
