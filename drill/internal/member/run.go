// SPDX-License-Identifier: Apache-2.0

package member

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
)

const (
	lineBytes = 16 << 10 // of one message of the child
	tailBytes = 32 << 10 // kept of the end of its stderr
	textBytes = 300      // of a reason
	killDelay = 5 * time.Second
)

// FailedError says that the restore or the restored member failed. Any other error of Run
// says that the drill could not be held.
type FailedError struct {
	Stage Stage
	Err   error
}

func (f *FailedError) Error() string { return string(f.Stage) + ": " + f.Err.Error() }

// Unwrap gives the cause.
func (f *FailedError) Unwrap() error { return f.Err }

// ErrTimeout is the cause of a context that ended because the drill took too long,
// which is a failure of the drill. Any other end of the context is none.
var ErrTimeout = errors.New("it took longer than --timeout") //nolint:gochecknoglobals // a constant

// Run restores the snapshot in a child process whose working directory is dir. The
// child holds on to lock as long as it lives; began hears of each stage that begins.
// After Run no child is left.
func Run(ctx context.Context, dir string, lock *os.File, r Request, began func(Stage)) (Found, error) {
	cmd := exec.CommandContext(ctx, program()) //nolint:gosec // this very program
	cmd.Args = []string{childName}
	cmd.Dir = dir
	cmd.Env = []string{"GOTRACEBACK=none"} // nothing of ours: secrets may be in it
	cmd.ExtraFiles = []*os.File{lock}
	cmd.WaitDelay = killDelay
	var stderr tail
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return Found{}, fmt.Errorf("start the child: %w", err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return Found{}, fmt.Errorf("start the child: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return Found{}, fmt.Errorf("start the child: %w", err)
	}
	if err := json.NewEncoder(stdin).Encode(r); err != nil {
		err = errors.Join(err, cmd.Cancel())
		return Found{}, errors.Join(fmt.Errorf("ask the child: %w", err), cmd.Wait())
	}
	h := hear(stdout, began)
	err = cmd.Wait()
	return h.judge(ctx, err, stderr.String())
}

// program is this very one, even when its file was replaced meanwhile.
func program() string {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self
	}
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}

// heard is what the child said.
type heard struct {
	stage Stage
	last  message
}

// hear listens until the child ends or closes its output.
func hear(out io.Reader, began func(Stage)) heard {
	h := heard{stage: StageBegin}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, lineBytes)
	for lines.Scan() {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			break
		}
		if m.Stage != "" {
			h.stage = m.Stage
			began(m.Stage)
		}
		h.last = m
	}
	_, _ = io.Copy(io.Discard, out)
	return h
}

// judge tells what the snapshot is to blame for from what it is not.
func (h heard) judge(ctx context.Context, err error, stderr string) (Found, error) {
	fail := func(err error) (Found, error) { return Found{}, &FailedError{h.stage, err} }
	switch {
	case h.last.Found != nil:
		return *h.last.Found, nil
	case h.last.NoRoom || strings.Contains(stderr, syscall.ENOSPC.Error()):
		return Found{}, fmt.Errorf("%s: the disk is full", h.stage)
	case h.last.Failure != "":
		return fail(errors.New(h.last.Failure))
	case errors.Is(context.Cause(ctx), ErrTimeout) && h.stage != StageBegin:
		return fail(ErrTimeout)
	case ctx.Err() != nil:
		return Found{}, context.Cause(ctx)
	case h.stage == StageBegin:
		return Found{}, fmt.Errorf("the child did not begin (does main call member.Child?): %w: %s", err, lastWords(stderr))
	case lacksMemory(stderr):
		return Found{}, fmt.Errorf("%s: the member ran out of memory", h.stage)
	case signalled(err):
		return Found{}, fmt.Errorf("%s: somebody ended the member, or the system did for lack of memory: %w", h.stage, err)
	case err == nil:
		err = errors.New("it ended without an answer")
	}
	return fail(fmt.Errorf("etcd ended: %w: %s", err, lastWords(stderr)))
}

func lacksMemory(stderr string) bool {
	return strings.Contains(stderr, "out of memory") || strings.Contains(stderr, "cannot allocate memory")
}

// signalled says that the child ended by a signal that says nothing of the snapshot:
// a service that is stopped sends one to all its processes.
func signalled(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && !slices.Contains([]syscall.Signal{
		syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGSEGV,
	}, status.Signal())
}

// lastWords finds in what etcd logged why it ended: its message and error alone, since
// other fields may hold keys.
func lastWords(stderr string) string {
	var words string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		var entry struct{ Level, Msg, Error string }
		switch {
		case json.Unmarshal([]byte(line), &entry) == nil:
			if entry.Level == "fatal" || entry.Level == "panic" {
				return printable(strings.Trim(entry.Msg+": "+entry.Error, ": "))
			}
			if entry.Level == "error" {
				words = strings.Trim(entry.Msg+": "+entry.Error, ": ")
			}
		case strings.HasPrefix(line, "panic:"), strings.HasPrefix(line, "fatal error:"), strings.HasPrefix(line, "unexpected fault"):
			return printable(line)
		}
	}
	if words == "" {
		words = "it gave no reason"
	}
	return printable(words)
}

// printable makes one bounded line for a log and a result file.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	return strings.ToValidUTF8(text[:min(len(text), textBytes)], "")
}

// tail keeps the end of what is written and takes all of it, so that the child never
// waits.
type tail struct{ bytes.Buffer }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	_, _ = t.Buffer.Write(p)
	if over := t.Len() - tailBytes; over > tailBytes { // now and then, not at each line
		t.Next(over)
	}
	return len(p), nil
}
