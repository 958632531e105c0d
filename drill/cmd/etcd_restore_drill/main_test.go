// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etcdops/etcdops/drill/internal/drilltest"
	"github.com/etcdops/etcdops/drill/internal/member"
	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store/judge"
	"github.com/etcdops/etcdops/test/lab"
)

// asProgram makes the test binary be the program.
const asProgram = "ETCD_RESTORE_DRILL_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	if child, exit := snapshot.Child(); child {
		os.Exit(exit)
	}
	if child, exit := member.Child(context.Background()); child {
		os.Exit(exit)
	}
	os.Exit(m.Run())
}

// site is a configuration with a store, and where its drills are held.
type site struct{ dir string }

func newSite(t *testing.T) site {
	t.Helper()
	s := site{t.TempDir()}
	for _, name := range []string{"backups", "work", "state"} {
		if err := os.Mkdir(s.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text := `clusters:
  - name: prod
    endpoints: [http://127.0.0.1:2379]
    backups:
      - {name: local, path: backups, drill_result_file: state/local.json}
      - {name: offsite, path: elsewhere}
`
	if err := os.WriteFile(s.path("etcdops.yml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s site) path(name string) string { return filepath.Join(s.dir, name) }
func (s site) result() string          { return s.path("state/local.json") }

func (s site) args() []string {
	return []string{"--config.file=" + s.path("etcdops.yml"), "--cluster=prod", "--store=local", "--directory=" + s.path("work")}
}

// empty shows that no data is left.
func (s site) empty(t *testing.T) {
	t.Helper()
	if left, err := os.ReadDir(s.path("work")); len(left) > 0 || err != nil {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

func (s site) hold(t *testing.T, want int) judge.Drill {
	t.Helper()
	var log bytes.Buffer
	if code := run(t.Context(), s.args(), &log, &log); code != want {
		t.Fatalf("exit status %d, want %d:\n%s", code, want, &log)
	}
	result, err := judge.ReadDrill(s.result())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestProgram follows one store: a success, a failure, a drill that cannot be held,
// two that are ended in the middle, and a success that cleans up after them.
func TestProgram(t *testing.T) {
	s := newSite(t)
	file := s.path("backups/etcd.db")
	good, err := os.ReadFile(drilltest.Snapshot(t, lab.Embedded, nil))
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(good)
	first := s.hold(t, exitSuccess)
	if !first.Success || first.Store != "local" || first.Snapshot != "etcd.db" || first.Keys != drilltest.Keys || first.Revision != drilltest.Revision {
		t.Errorf("%+v", first)
	}
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	write(bad)
	second := s.hold(t, exitFailed)
	if second.Success || !strings.Contains(second.Reason, "checksum_mismatch") || !second.Time.After(first.Time) {
		t.Errorf("%+v", second)
	}
	s.empty(t)
	write(good)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		want := exitNotHeld
		if signal == syscall.SIGKILL {
			want = -1
		}
		if code, log := s.interrupt(t, signal); code != want {
			t.Errorf("%v: exit status %d, want %d:\n%s", signal, code, want, log)
		}
		if after, err := judge.ReadDrill(s.result()); err != nil || after != second {
			t.Errorf("%v: the result file is not as it was: %+v, %v", signal, after, err)
		}
	}
	s.swept(t)
}

// swept holds drills until nothing is left: a killed drill's child takes a moment to
// see that its parent is gone, and keeps its directory as long.
func (s site) swept(t *testing.T) {
	t.Helper()
	for range 10 {
		s.hold(t, exitSuccess)
		if left, err := os.ReadDir(s.path("work")); len(left) == 0 && err == nil {
			return
		}
	}
	s.empty(t)
}

// interrupt sends the program a signal while its member has the data.
func (s site) interrupt(t *testing.T, signal syscall.Signal) (code int, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, os.Args[0], s.args()...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = &stderr
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if found, _ := filepath.Glob(s.path("work/*/data/restored")); len(found) > 0 || ctx.Err() != nil {
			break
		}
		<-tick.C
	}
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if left, _ := os.ReadDir(s.path("work")); signal == syscall.SIGTERM && len(left) > 0 {
		t.Errorf("%v: left in the directory: %v", signal, left)
	} else if signal == syscall.SIGKILL && len(left) == 0 {
		t.Errorf("%v: nothing was there to be left", signal)
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

// TestOneFile: a file by hand needs no configuration, and leaves no result unless
// asked for one.
func TestOneFile(t *testing.T) {
	s := newSite(t)
	name := s.path("a [1]*.db")
	if err := os.Rename(drilltest.Snapshot(t, lab.Embedded, nil), name); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	args := []string{"--snapshot=" + name, "--directory=" + s.path("work"), "--result-file=" + s.path("r.json")}
	if code := run(t.Context(), args, &log, &log); code != exitSuccess {
		t.Fatalf("exit status %d:\n%s", code, &log)
	}
	if result, err := judge.ReadDrill(s.path("r.json")); err != nil || !result.Success || result.Snapshot != "a [1]*.db" {
		t.Errorf("%+v, %v", result, err)
	}
	s.empty(t)
}

// TestNotHeld: what cannot be done is one line and exit status 2, and writes nothing.
func TestNotHeld(t *testing.T) {
	s := newSite(t)
	config, work := "--config.file="+s.path("etcdops.yml"), "--directory="+s.path("work")
	fifo := s.path("fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "--directory"},
		{[]string{work}, "--config.file or --snapshot"},
		{[]string{work, config}, "--store is needed, one of: local, offsite"},
		{[]string{work, config, "--store=nope"}, "only: local, offsite"},
		{[]string{work, config, "--cluster=nope"}, "only: prod"},
		{[]string{work, config, "--snapshot=x"}, "cannot go together"},
		{[]string{work, config, "--store=local", "--timeout=0s"}, "--timeout"},
		{[]string{work, config, "--store=local", "--timeout=soon"}, "--timeout"},
		{[]string{work, config, "--store=local", "--log.level=loud"}, "--log.level"},
		{[]string{work, config, "--store=local", "--result-file=/nonexistent/r.json"}, "/nonexistent"},
		{[]string{work, config, "--store=offsite"}, "elsewhere"},
		{[]string{work, "--config.file=/nonexistent"}, "/nonexistent"},
		{[]string{work, "--snapshot=" + fifo}, "not a regular file"},
		{[]string{work, "--snapshot=/nonexistent"}, "/nonexistent"},
		{[]string{config, "--store=local", "--directory=/nonexistent"}, "/nonexistent"},
		{[]string{config, "--store=local", "--directory="}, "--directory"},
	} {
		var log bytes.Buffer
		code := run(t.Context(), c.args, &log, &log)
		text := strings.TrimSpace(log.String())
		if code != exitNotHeld || !strings.Contains(text, c.want) || strings.Contains(text, "\n") {
			t.Errorf("%v: exit status %d, want %q in one line:\n%s", c.args, code, c.want, text)
		}
	}
	if left, err := os.ReadDir(s.path("state")); len(left) > 0 || err != nil {
		t.Errorf("a result was written: %v, %v", left, err)
	}
	s.empty(t)
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"--version"}} {
		var out bytes.Buffer
		if code := run(t.Context(), args, &out, &out); code != exitSuccess || !strings.Contains(out.String(), "etcd_restore_drill") {
			t.Error(fmt.Sprint(args), code, out.String())
		}
	}
}
