// SPDX-License-Identifier: Apache-2.0

package e2e

import "syscall"

// childAttributes end the exporter with the test program, whatever ends that.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
