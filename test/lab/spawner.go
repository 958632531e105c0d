// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts a lab's processes from one thread that lives as long as the
// lab does: the kernel kills a child when the thread that started it ends,
// which for a thread out of Go's pool could be long before the process ends.
type spawner struct {
	commands chan *exec.Cmd
	results  chan error
	mu       sync.Mutex // one start at a time
	once     sync.Once
}

func newSpawner() *spawner {
	s := &spawner{commands: make(chan *exec.Cmd), results: make(chan error)}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread() // so that the thread goes back to the pool
		for cmd := range s.commands {
			s.results <- cmd.Start()
		}
	}()
	return s
}

// start starts a command. It must not be called after close.
func (s *spawner) start(cmd *exec.Cmd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands <- cmd
	return <-s.results
}

func (s *spawner) close() { s.once.Do(func() { close(s.commands) }) }
