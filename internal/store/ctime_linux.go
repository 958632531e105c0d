// SPDX-License-Identifier: Apache-2.0

package store

import "syscall"

func changed(s *syscall.Stat_t) int64 { return s.Ctim.Nano() }
