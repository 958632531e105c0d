// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package lab

import "syscall"

// childAttributes put a member into a process group of its own. Only Linux
// can also tie it to its parent's life.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func (p *process) pause() error { return p.signal(syscall.SIGSTOP) }
