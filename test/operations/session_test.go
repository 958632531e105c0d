// SPDX-License-Identifier: Apache-2.0

//go:build linux

package operations

import (
	"bufio"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

//go:embed standin
var standins embed.FS

// nursery starts processes from one thread that lives as long as the page's test: the
// kernel kills them when that thread ends, so none outlives a killed test.
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
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
			n.results <- cmd.Start()
		}
	}()
	return n
}

func (n *nursery) start(cmd *exec.Cmd) error {
	n.commands <- cmd
	return <-n.results
}

// session is the reader's shell, with a shell of its own for each block on a host.
type session struct {
	place *place
	units *units
	shell *exec.Cmd
	input io.Writer
	said  chan string // the status of a block
	ended chan struct{}
	count int
}

func newSession(t *testing.T, l *place, u *units) *session {
	t.Helper()
	must(t, writeStandins(filepath.Join(l.dir, "bin")))
	reader, writer, err := os.Pipe()
	must(t, err)
	s := &session{place: l, units: u, said: make(chan string, 1), ended: make(chan struct{})}
	s.shell = exec.CommandContext(t.Context(), "bash", "--norc", "--noprofile", "-eu", "-o", "pipefail")
	s.prepare(s.shell, desk)
	s.shell.ExtraFiles = []*os.File{writer} // 3
	s.input, err = s.shell.StdinPipe()
	must(t, err, u.nursery.start(s.shell), writer.Close())
	go func() {
		defer close(s.ended)
		_ = s.shell.Wait() // a block that ended it is told so
	}()
	go func() {
		defer reader.Close()
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			s.said <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-s.shell.Process.Pid, syscall.SIGKILL) // and what it left in the background
		<-s.ended
	})
	return s
}

func writeStandins(dir string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	files, err := standins.ReadDir("standin")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		text, err := standins.ReadFile("standin/" + file.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file.Name()), text, 0o755); err != nil {
			return err
		}
	}
	return os.Symlink(program, filepath.Join(dir, "operations.test"))
}

// prepare gives a shell its surroundings.
func (s *session) prepare(cmd *exec.Cmd, host string) {
	cmd.Dir = filepath.Join(s.place.home(host), "home")
	cmd.Env = append(s.place.environment(host), "LAB_SOCKET="+s.units.socket)
	cmd.WaitDelay = time.Second
}

// run runs a block, or writes it, and returns what it wrote.
func (s *session) run(t *testing.T, b *block) (string, error) {
	t.Helper()
	s.count++
	if b.file != "" {
		host := append(b.hosts, desk)[0]
		return "", writeFile(s.place.toLab(host, b.file), s.place.toLab(host, b.text))
	}
	if len(b.hosts) == 0 {
		return s.here(b)
	}
	var all strings.Builder
	for _, host := range b.hosts {
		output, err := s.there(t, b, host)
		all.WriteString(output)
		if err != nil {
			return all.String(), fmt.Errorf("on %s: %w", host, err)
		}
	}
	return all.String(), nil
}

// here runs a block in the session.
func (s *session) here(b *block) (string, error) {
	script := filepath.Join(s.place.dir, fmt.Sprintf("block%d", s.count))
	if err := writeFile(script, s.place.toLab(desk, b.text)); err != nil {
		return "", err
	}
	// Nothing that stays in the background may hold on to 3.
	line := "source %s </dev/null >%s 2>&1 3>&-; echo $? >&3\n"
	if b.fails { // in a shell below, which it may end
		line = "set +e; (set -e; source %s) </dev/null >%s 2>&1 3>&-; echo $? >&3; set -e\n"
	}
	if _, err := fmt.Fprintf(s.input, line, script, script+".out"); err != nil {
		return "", err
	}
	var err error
	select {
	case status := <-s.said:
		err = judge(b, status == "0", "status "+status)
	case <-s.ended:
		err = errors.New(s.shell.ProcessState.String())
	case <-time.After(blockTime):
		err = fmt.Errorf("it still runs after %s", blockTime)
	}
	output, failed := os.ReadFile(script + ".out")
	return string(output), errors.Join(err, failed)
}

// there runs a block on a host.
func (s *session) there(t *testing.T, b *block, host string) (string, error) {
	t.Helper()
	script := filepath.Join(s.place.dir, fmt.Sprintf("block%d.%s", s.count, host))
	if err := writeFile(script, s.place.toLab(host, b.text)); err != nil {
		return "", err
	}
	out, err := os.Create(script + ".out")
	if err != nil {
		return "", err
	}
	defer out.Close()
	cmd := exec.CommandContext(t.Context(), "bash", "--norc", "--noprofile", "-eu", "-o", "pipefail", script)
	s.prepare(cmd, host)
	cmd.Stdout, cmd.Stderr = out, out
	if err := s.units.nursery.start(cmd); err != nil {
		return "", err
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	overdue := time.AfterFunc(blockTime, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer overdue.Stop()
	_ = cmd.Wait() // the state tells
	output, err := os.ReadFile(out.Name())
	return string(output), errors.Join(err, judge(b, cmd.ProcessState.Success(), cmd.ProcessState.String()))
}

// judge tells whether a block ended as the page says.
func judge(b *block, succeeded bool, how string) error {
	switch {
	case b.fails && succeeded:
		return errors.New("it must fail and did not")
	case !b.fails && !succeeded:
		return errors.New(how)
	}
	return nil
}

func writeFile(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o600)
}
