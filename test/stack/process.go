// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	startTime = 30 * time.Second
	stopTime  = 20 * time.Second
)

// listening finds the address in the log of whatever serves with exporter-toolkit.
var listening = regexp.MustCompile(`Listening on"?,?.*address"?[=:]"?([^\s",}]+)`)

// Program is one of the processes of a stack.
type Program struct {
	Name string
	URL  string // of its HTTP

	cmd   *exec.Cmd
	log   output
	ended chan struct{}
}

// Log is what it has logged so far.
func (p *Program) Log() string { return p.log.String() }

// nursery starts processes from one thread that lives as long as it does: the kernel
// kills them when that thread ends, and so they do not outlive a killed stack.
type nursery struct {
	commands chan *exec.Cmd
	results  chan error
}

func newNursery() *nursery {
	n := &nursery{commands: make(chan *exec.Cmd), results: make(chan error)}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for cmd := range n.commands {
			n.results <- cmd.Start()
		}
	}()
	return n
}

func (n *nursery) close() { close(n.commands) }

// start starts a program and waits until it listens.
func (n *nursery) start(ctx context.Context, name, binary string, args ...string) (*Program, error) {
	p := &Program{Name: name, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, args...) // stop ends it
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = &p.log, &p.log, childAttributes()
	// Poor on purpose: no proxy and no setting of the developer's.
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "TMPDIR=" + os.TempDir()}
	n.commands <- p.cmd
	if err := <-n.results; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in its log
	}()
	err := Await(ctx, startTime, name+" listens", func() error {
		found := listening.FindStringSubmatch(p.Log())
		if found == nil {
			return fmt.Errorf("its log says\n%s", p.Log())
		}
		p.URL = "http://" + found[1]
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// stop ends it with SIGTERM, and with SIGKILL where that is not enough. It may be
// called on none, and more than once.
func (p *Program) stop() error {
	if p == nil {
		return nil
	}
	err := p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return err
	case <-time.After(stopTime):
	}
	err = errors.Join(err, p.signal(syscall.SIGKILL))
	<-p.ended
	return errors.Join(err, fmt.Errorf("%s had to be killed", p.Name))
}

// signal reaches its whole process group. That it is gone already is no error.
func (p *Program) signal(signal syscall.Signal) error {
	select {
	case <-p.ended:
		return nil // its number may be another's by now
	default:
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	return nil
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Await tries again until try succeeds. It asks often and waits no fixed time.
func Await(ctx context.Context, within time.Duration, what string, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, within, err)
		}
	}
}
