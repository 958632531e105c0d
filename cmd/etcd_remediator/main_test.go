// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/app/remediator"
)

// TestBadCommandLines: each is one line that names the fault, and exit status 2.
func TestBadCommandLines(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.yml")
	if err := os.WriteFile(broken, []byte("clusters: []\nremediation: {policies: [{name: p, action: nothing}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":                                 "command",
		"--config.file=x":                  "command",
		"serve":                            "--config.file is needed",
		"serve --config.file=":             "--config.file is needed",
		"serve --config.file=x --mode=act": "--mode",
		"serve --config.file=x --nope":     "--nope",
		"plan --config.file=x":             "ACTION",
		"plan nothing --config.file=x":     "ACTION",
		"run defrag --config.file=/nonexistent --yes":  "/nonexistent",
		"run defrag --config.file=x --wait=5 --yes":    "--wait",
		"run defrag --config.file=/nonexistent":        "--yes",
		"approve --config.file=x":                      "RUN_ID",
		"approve r --config.file=/nonexistent":         "/nonexistent",
		"check-config --config.file=/nonexistent":      "/nonexistent",
		"check-config --config.file=" + broken:         broken + ":2",
		"serve --config.file=" + broken:                broken + ":2",
		"serve --config.file=x --log.level=loud":       "--log.level",
		"check-config --config.file=x --web.bogus=abc": "--web.bogus",
	} {
		var stdout, stderr bytes.Buffer
		stdin, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		if status := run(strings.Fields(args), stdin, &stdout, &stderr); status != remediator.ExitUsage {
			t.Errorf("%q: exit status %d: %s", args, status, &stderr)
		}
		if !strings.Contains(stderr.String(), want) || stdout.Len() > 0 && want != "command" {
			t.Errorf("%q: %q\n%s", args, stderr.String(), &stdout)
		}
		_ = stdin.Close()
	}
}

// TestHelp: for each command, without anything else given.
func TestHelp(t *testing.T) {
	for _, command := range []string{"", "serve", "plan", "run", "approve", "check-config"} {
		var stdout, stderr bytes.Buffer
		status := run(append(strings.Fields(command), "--help"), os.Stdin, &stdout, &stderr)
		if status != 0 || stderr.Len() > 0 || strings.Count(stdout.String(), "usage: ") != 1 {
			t.Errorf("%s --help: exit status %d\n%s\n%s", command, status, &stderr, &stdout)
		}
	}
}

// TestConfirm: a person says yes or something else, or ends it with Ctrl-C.
func TestConfirm(t *testing.T) {
	for said, want := range map[string]bool{"y\n": true, " YES \n": true, "n\n": false, "\n": false, "": false, "yes, but\n": false} {
		var stderr bytes.Buffer
		if got := confirm(t.Context(), strings.NewReader(said), &stderr, "Do it?"); got != want || stderr.String() != "Do it?" {
			t.Errorf("%q: %t, %q", said, got, &stderr)
		}
	}
	silent, end := io.Pipe()
	defer end.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if confirm(ctx, silent, io.Discard, "Do it?") {
		t.Error("Ctrl-C is taken for a yes")
	}
}

// TestVersion: the version, and no help after it.
func TestVersion(t *testing.T) {
	var stdout, stderr bytes.Buffer
	status := run([]string{"--version"}, os.Stdin, &stdout, &stderr)
	if text := stdout.String(); status != 0 || stderr.Len() > 0 || !strings.HasPrefix(text, "etcd_remediator, version") || strings.Contains(text, "usage: ") {
		t.Errorf("exit status %d\n%s\n%s", status, text, &stderr)
	}
}
