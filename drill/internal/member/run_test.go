// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if child, exit := Child(context.Background()); child {
		os.Exit(exit)
	}
	os.Exit(m.Run())
}

// ended gives the error of a process that ended so.
func ended(t *testing.T, script string) error {
	t.Helper()
	return exec.CommandContext(t.Context(), "sh", "-c", script).Run()
}

// TestJudge: a full disk, a lack of memory, a kill and the end of the context are no
// fault of the snapshot; everything else that etcd ends on is.
func TestJudge(t *testing.T) {
	crash := `{"level":"error","msg":"first"}
{"level":"fatal","msg":"range failed to find revision pair","key":"c2VjcmV0","error":"none"}
goroutine 1 [running]:`
	ending := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		return ctx
	}
	for name, c := range map[string]struct {
		heard  string
		ctx    context.Context
		err    error
		stderr string
		fails  string // a FailedError with this text
		cannot string // another error with this text
	}{
		"found":          {heard: `{"stage":"reading the keys"}` + "\n" + `{"found":{"keys":3}}`},
		"refused":        {heard: `{"stage":"restoring"}` + "\n" + `{"failure":"restore: expected sha256"}`, fails: "restoring: restore: expected sha256"},
		"full disk":      {heard: `{"stage":"restoring"}` + "\n" + `{"failure":"write","no_room":true}`, cannot: "disk is full"},
		"fatal":          {heard: `{"stage":"starting the member"}`, err: ended(t, "exit 1"), stderr: crash, fails: "range failed to find revision pair: none"},
		"panic":          {heard: `{"stage":"starting the member"}`, err: ended(t, "exit 2"), stderr: "panic: page 3 already freed\n\ngoroutine 1:", fails: "page 3 already freed"},
		"fault":          {heard: `{"stage":"restoring"}`, err: ended(t, "kill -SEGV $$"), stderr: "unexpected fault address 0x7f\nfatal error: fault", fails: "unexpected fault address"},
		"silent":         {heard: `{"stage":"restoring"}`, fails: "gave no reason"},
		"full disk log":  {heard: `{"stage":"starting the member"}`, err: ended(t, "exit 1"), stderr: `{"level":"panic","msg":"x","error":"no space left on device"}`, cannot: "disk is full"},
		"memory":         {heard: `{"stage":"starting the member"}`, err: ended(t, "exit 2"), stderr: "fatal error: runtime: out of memory", cannot: "out of memory"},
		"killed":         {heard: `{"stage":"starting the member"}`, err: ended(t, "kill -KILL $$"), cannot: "killed"},
		"terminated":     {heard: `{"stage":"starting the member"}`, err: ended(t, "kill -TERM $$"), cannot: "terminated"},
		"timeout":        {heard: `{"stage":"restoring"}`, ctx: ending(ErrTimeout), err: ended(t, "kill -KILL $$"), fails: ErrTimeout.Error()},
		"timeout before": {ctx: ending(ErrTimeout), err: ended(t, "kill -KILL $$"), cannot: ErrTimeout.Error()},
		"interrupted":    {heard: `{"stage":"restoring"}`, ctx: ending(context.Canceled), err: ended(t, "kill -KILL $$"), cannot: "canceled"},
		"no child":       {err: ended(t, "exit 2"), stderr: "usage", cannot: "did not begin"},
		"noise":          {heard: "\x00\x01{", err: ended(t, "exit 2"), cannot: "did not begin"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.ctx == nil {
				c.ctx = t.Context()
			}
			found, err := hear(strings.NewReader(c.heard), func(Stage) {}).judge(c.ctx, c.err, c.stderr)
			_, failed := errors.AsType[*FailedError](err)
			switch want := c.fails + c.cannot; {
			case want == "":
				if err != nil || found.Keys != 3 {
					t.Errorf("%+v, %v", found, err)
				}
			case failed != (c.fails != "") || err == nil || !strings.Contains(err.Error(), want):
				t.Errorf("failure %v: %v; want %q", failed, err, want)
			case strings.Contains(err.Error(), "c2VjcmV0"):
				t.Errorf("a key is told: %v", err)
			}
		})
	}
}

// TestPrintable: what etcd says of a bad file may hold anything.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb\x1b[31m\tc": "a b [31m c",
		"\xff\xfe":        "?",
		"":                "",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := printable(strings.Repeat("ä", 1000)); len(got) > textBytes {
		t.Errorf("%d bytes", len(got))
	}
}

// TestBadFile: a child that is given rubbish answers, and Run tells why.
func TestBadFile(t *testing.T) {
	for name, data := range map[string][]byte{
		"short": []byte("x"),
		"zero":  make([]byte, 4096+32),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/s.db", data, 0o600); err != nil {
			t.Fatal(err)
		}
		lock, err := os.Create(dir + "/lock")
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		_, err = Run(t.Context(), dir, lock, Request{Snapshot: "s.db", Size: int64(len(data))}, func(Stage) {})
		if f, ok := errors.AsType[*FailedError](err); !ok || f.Stage != StageRestore {
			t.Errorf("%s: %v", name, err)
		}
	}
}
