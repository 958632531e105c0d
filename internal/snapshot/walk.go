// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits bound a walk. The zero value means the defaults.
type Limits struct {
	Memory int64         // bytes of anonymous memory besides what an idle child takes; 0: 256 MiB
	Time   time.Duration // 0: 30 s, and 10 s for each GB of the file
}

const (
	defaultMemory = 256 << 20
	defaultTime   = 30 * time.Second
	timePerGB     = 10 * time.Second

	answerBytes = 4 << 10 // of a child's stdout and stderr; more is dropped
	killDelay   = time.Second
)

var errTooLong = errors.New("time is up")

// Walk reads the keys of a snapshot that passed Sum, in a child process of this
// program (see Child), so that neither a page that lies nor one that ends in a fault
// can harm this one. The child gets the open file and not its name, so that nobody
// can put another in its place; it reads at offsets of its own. A verdict on the file
// is in Contents.Problem; an error means that the walk could not be made, and after it
// no child is left.
func Walk(ctx context.Context, file *os.File, limits Limits) (Contents, error) {
	info, err := file.Stat()
	if err != nil {
		return Contents{}, fmt.Errorf("walk snapshot: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Contents{}, fmt.Errorf("walk snapshot %s: not a regular file", file.Name())
	}
	if limits.Memory <= 0 {
		limits.Memory = defaultMemory
	}
	if limits.Time <= 0 {
		limits.Time = defaultTime + time.Duration(float64(info.Size())/1e9*float64(timePerGB))
	}
	timed, cancel := context.WithTimeoutCause(ctx, limits.Time, errTooLong)
	defer cancel()
	c, err := run(timed, file, limits)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return Contents{}, fmt.Errorf("walk snapshot %s: %w", file.Name(), err)
	}
	return c, nil
}

func run(ctx context.Context, file *os.File, limits Limits) (Contents, error) {
	var stdout, stderr bounded
	cmd := exec.CommandContext(ctx, childProgram()) //nolint:gosec // this very program
	cmd.Args = []string{childName, strconv.FormatInt(limits.Memory, 10), limits.Time.String()}
	cmd.Env = childEnvironment()
	cmd.ExtraFiles = []*os.File{file} // descriptor 3
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = childAttributes()
	cmd.WaitDelay = killDelay
	// The kernel kills the child when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	began, answer, _ := bytes.Cut(stdout.Bytes(), []byte("\n"))
	if string(began) != greeting {
		if err == nil {
			err = errors.New("it did not greet: does main call snapshot.Child?")
		}
		return Contents{}, fmt.Errorf("start the child: %w%s", err, stderr.detail())
	}
	if err != nil {
		problem := limits.blame(context.Cause(ctx), err, stderr.String())
		return Contents{Problem: problem}, nil
	}
	return decodeAnswer(answer)
}

// childEnvironment leaves out everything of ours: secrets may be in it. The last is
// for tests: a program built with the race detector sleeps a second at its end.
func childEnvironment() []string {
	return []string{"GOMAXPROCS=1", "GOGC=25", "GOTRACEBACK=none", "GORACE=atexit_sleep_ms=0"}
}

// blame tells why a child ended without an answer.
func (l Limits) blame(cause, err error, stderr string) *Problem {
	var status syscall.WaitStatus
	var used time.Duration // of a processor
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status, _ = exit.Sys().(syscall.WaitStatus)
		used = exit.UserTime() + exit.SystemTime()
	}
	memory := &Problem{Reason: ReasonMemory, Err: fmt.Errorf("reading its keys took more than %d MiB of memory: it has very many keys, or its pages lie", l.Memory>>20)}
	switch {
	case errors.Is(cause, errTooLong), used > l.Time:
		return &Problem{Reason: ReasonTimeout, Err: fmt.Errorf("reading its keys took longer than %s: the disk or the machine is slow, or its pages lie", l.Time)}
	case strings.Contains(stderr, "out of memory"), strings.Contains(stderr, "cannot allocate memory"),
		strings.Contains(stderr, "failed to allocate"): // the last are the race detector's words
		return memory
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		memory.Err = errors.New("reading its keys was ended by the system, most likely for lack of memory")
		return memory
	}
	return damaged(fmt.Errorf("reading its keys failed: %w: %s", err, firstLine(stderr)))
}

func damaged(err error) *Problem {
	return &Problem{Reason: ReasonDamaged, Err: fmt.Errorf("its sha256 is right and its pages are not readable; it was damaged before it was sent, take a new snapshot and look at the member that gave it: %w", err)}
}

// answer is the child's one line of JSON.
type answer struct {
	Contents
	Reason  string `json:"reason,omitempty"`  // of a problem
	Text    string `json:"text,omitempty"`    // of a problem
	Failure string `json:"failure,omitempty"` // no verdict
}

func decodeAnswer(line []byte) (Contents, error) {
	var a answer
	err := json.Unmarshal(line, &a)
	switch {
	case err != nil:
		return Contents{}, fmt.Errorf("read the child's answer: %w", err)
	case a.Failure != "":
		return Contents{}, errors.New(a.Failure)
	case a.Reason == ReasonNoKeys:
		return Contents{Problem: &Problem{Reason: ReasonNoKeys, Err: errors.New(a.Text)}}, nil
	case a.Reason != "":
		return Contents{Problem: damaged(errors.New(a.Text))}, nil
	}
	return a.Contents, nil
}

// bounded keeps the beginning of what is written and takes all of it, so that the
// child never waits.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), answerBytes-b.Len())])
	return len(p), nil
}

func (b *bounded) detail() string {
	if line := firstLine(b.String()); line != "" {
		return ": " + line
	}
	return ""
}

// firstLine makes a line of a crash fit for an error text.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '?'
	}, line)
	return line[:min(len(line), 200)]
}
