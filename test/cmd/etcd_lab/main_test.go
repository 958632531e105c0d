// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

func TestParse(t *testing.T) {
	f, err := parse([]string{"--version=3.6.16", "--no-tls", "--quota=16MB", "--", "ls", "--all"})
	if err != nil {
		t.Fatal(err)
	}
	if f.options.Members != 3 || f.load.Keys != 2000 || f.load.Events != 5000 {
		t.Errorf("defaults: %+v", f)
	}
	if f.options.Version != "3.6.16" || f.options.TLS != lab.Plain || f.options.QuotaBytes != 16<<20 {
		t.Errorf("options: %+v", f.options)
	}
	if strings.Join(f.command, " ") != "ls --all" {
		t.Errorf("command %q", f.command)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{
		"--members=0", "--members=10", "--members=x", "--version=newest", "--keys=-1", "--events=-1",
		"--base-port=80", "--base-port=65530", "--quota=some", "--unstarted --members=1", "--no-such-flag",
	} {
		if _, err := parse(strings.Fields(bad)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line", bad, err)
		}
	}
}

// small parses flags for a lab that is ready soon.
func small(t *testing.T, args ...string) (*flags, *bytes.Buffer) {
	t.Helper()
	f, err := parse(append([]string{"--members=1", "--keys=10", "--events=10"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	out := &bytes.Buffer{}
	f.out, f.errOut = out, out
	return f, out
}

func TestCommandsStatusIsPassedOn(t *testing.T) {
	f, out := small(t, "--auth", "--", "sh", "-c", "cat {config}; test -d {dir} && echo at {endpoints}; exit 3")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	code, err := run(ctx, f)
	if code != 3 || err != nil {
		t.Errorf("exit %d, %v; want 3", code, err)
	}
	for _, want := range []string{"1 member of embedded etcd over mTLS", "etcdctl --endpoints=https://127.0.0.1:", "name: lab", "at https://127.0.0.1:"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestUnknownCommandFails(t *testing.T) {
	f, _ := small(t, "--", filepath.Join(t.TempDir(), "missing"))
	if code, err := run(t.Context(), f); code != 1 || err == nil {
		t.Errorf("exit %d, %v; want 1 and an error", code, err)
	}
}

func TestSignalEndsTheCommandFirst(t *testing.T) {
	dir := t.TempDir()
	started, ended := filepath.Join(dir, "started"), filepath.Join(dir, "ended")
	f, out := small(t, "--dir="+filepath.Join(dir, "lab"), "--", "sh", "-c",
		`trap "touch `+ended+`; exit 9" TERM; touch `+started+`; while :; do sleep 0.05; done`)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := os.Stat(started); err == nil || ctx.Err() != nil {
				cancel()
				return
			}
		}
	}()
	if code, err := run(ctx, f); code != 0 || err != nil {
		t.Errorf("exit %d, %v; want 0\n%s", code, err, out)
	}
	if _, err := os.Stat(ended); err != nil {
		t.Error("the command was not asked to end")
	}
	if _, err := os.Stat(filepath.Join(dir, "lab", "etcdops.yml")); err != nil {
		t.Error("the given directory is gone")
	}
}
