// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bytes"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// said collects what a process logs.
type said struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ended chan struct{} // closed when it has ended
}

// Write takes what the program logs.
func (s *said) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(text)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// alive ends the test where the program has ended.
func (s *said) alive(t testing.TB) {
	t.Helper()
	select {
	case <-s.ended:
		t.Fatalf("it has ended:\n%s", s)
	default:
	}
}

// run starts a program that ends with the test, and logs what it said where that failed.
func run(t testing.TB, cmd *exec.Cmd) *said {
	t.Helper()
	log := &said{ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	go func() {
		_ = cmd.Wait()
		close(log.ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-log.ended:
		case <-time.After(20 * time.Second):
			t.Errorf("%s does not stop", cmd.Path)
			_ = cmd.Process.Kill()
			<-log.ended
		}
		if t.Failed() {
			text := log.String()
			t.Logf("the log of %s ends:\n%s", cmd, text[max(0, len(text)-8000):])
		}
	})
	return log
}
