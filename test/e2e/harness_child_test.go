// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts every exporter from one thread that lives as long as the test
// program: the kernel ends a child with the thread that started it, so none is
// left behind when the tests are killed.
var spawner struct {
	once     sync.Once
	mu       sync.Mutex
	commands chan *exec.Cmd
	results  chan error
}

func spawn(cmd *exec.Cmd) error {
	spawner.once.Do(func() {
		spawner.commands, spawner.results = make(chan *exec.Cmd), make(chan error)
		go func() {
			runtime.LockOSThread()
			for cmd := range spawner.commands {
				spawner.results <- cmd.Start()
			}
		}()
	})
	spawner.mu.Lock()
	defer spawner.mu.Unlock()
	spawner.commands <- cmd
	return <-spawner.results
}
