// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package operations runs the handbook, docs/operations: each page's commands, in
// order, against real etcd members, and holds what they print against the page.
//
// A page is plain Markdown. What the test reads in it:
//
//   - A block ```sh is run by `bash -eu -o pipefail`. All of a page's blocks share one
//     session on the machine that the reader works from: variables, functions and
//     background jobs stay. A command that fails fails the page.
//   - A first line `# on db2`, or `# on db1, then db2 and db3`, has the block run on those
//     hosts, one after another, each time in a fresh shell without the session's variables.
//   - A block ```text right after it is output that matters. Its lines must occur in what
//     the commands wrote, in this order; `...` stands for anything, spaces and the length
//     of table rules do not count.
//   - <!-- fails --> before a block: its last command must fail.
//   - <!-- file: /etc/x.yml --> or <!-- file: /etc/x.yml on db1 --> before a block of any
//     other language: it is written to that file.
//   - <!-- not run: why --> before a block that cannot run here. Any other block that is
//     neither run nor written nor output fails the page.
//   - A comment that begins with a line `<!-- lab` is a block that the reader does not see:
//     the cluster that a page starts from, a host that dies. Mostly `lab-cluster db1 db2 db3`.
//   - <!-- etcd 3.5.35 --> has that version in the hosts' /usr/local/bin; of several, the
//     first, and each in /opt/etcd-vVERSION-linux-amd64. Without it: 3.6.16.
//
// Pages name real things; the lab puts its own in their place, and takes them out of what
// is printed (place_test.go): db1 is 10.0.0.1 (and so on), the ports are 2379, 2380, 2381,
// 9090, 9093, 10379 and 10380, files lie below /etc, /var, /opt, /srv, /tmp and
// /usr/local, each host having its own. 127.0.0.1 and localhost:PORT are the host's own. (Connections
// from one host to another come from the real 127.0.0.1, though: certificates name localhost.)
// Stand-ins (standin/, units_test.go): systemctl runs /usr/local/bin/NAME with the variables
// of /etc/default/NAME, and waits until it reports itself ready, as Type=notify does;
// journalctl -u, scp, hostname and `chown etcd:etcd` do what they say. All else is real.
// etcd_exporter, etcd_remediator and etcd_restore_drill are on the PATH where a page names them.
//
// One page, with all that it prints: go -C test test ./operations -v -run 'Handbook/pages/tls'
package operations

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/etcdbin"
)

const (
	defaultVersion = "3.6.16"
	// blockTime bounds one block of a page, buildTime all that is built before.
	blockTime = 90 * time.Second
	buildTime = 10 * time.Minute
)

var (
	root     = filepath.Join("..", "..")
	handbook = filepath.Join(root, "docs", "operations")
)

func TestMain(m *testing.M) {
	if os.Getenv(standinEnv) != "" {
		os.Exit(askUnits(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestHandbook(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(handbook, "*.md"))
	must(t, err)
	if len(files) == 0 {
		t.Fatal("the handbook has no page")
	}
	var pages []*page
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		p, err := parse(filepath.Base(file), string(text))
		if err != nil {
			t.Error(err)
			continue
		}
		pages = append(pages, p)
	}
	programs := buildPrograms(t, pages)
	t.Run("pages", func(t *testing.T) {
		for _, p := range pages {
			t.Run(strings.TrimSuffix(p.name, ".md"), func(t *testing.T) {
				t.Parallel()
				p.run(t, programs)
			})
		}
	})
	var sum counts
	for _, p := range pages {
		c := p.counts()
		t.Logf("%-28s %s", p.name, c)
		sum.add(c)
	}
	t.Logf("%-28s %s", "all pages", sum)
}

// buildPrograms makes those of ours that a page names, as they are shipped, and returns
// their directory.
func buildPrograms(t *testing.T, pages []*page) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildTime)
	defer cancel()
	dir := t.TempDir()
	for program, module := range map[string]string{"etcd_exporter": root, "etcd_remediator": root, "etcd_restore_drill": filepath.Join(root, "drill")} {
		if !named(pages, program) {
			continue
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "disable_grpc_modules", "-o", filepath.Join(dir, program), "./cmd/"+program)
		cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", program, err, output)
		}
	}
	return dir
}

// named tells whether a command of a page names a program.
func named(pages []*page, program string) bool {
	for _, p := range pages {
		for _, b := range p.blocks {
			if b.runs() && strings.Contains(b.text, program) {
				return true
			}
		}
	}
	return false
}

// run runs a page from its first block to the first whose command fails.
func (p *page) run(t *testing.T, programs string) {
	l := newPlace(t)
	l.install(t, p.versions, programs)
	u := newUnits(t, l)
	s := newSession(t, l, u)
	for _, b := range p.blocks {
		if !b.runs() {
			continue
		}
		began := time.Now()
		output, err := s.run(t, b)
		output = l.toPage(output)
		t.Logf("%s:%d (%.1fs)\n%s", p.name, b.line, time.Since(began).Seconds(), output)
		if err != nil {
			t.Fatalf("%s:%d: %v\nthe commands:\n%s\n%s", p.name, b.line, err, b.text, l.toPage(u.logs()))
		}
		if err := compare(b.want, output); err != nil {
			t.Errorf("%s:%d: %v", p.name, b.line, err) // the rest can still be tried
		}
	}
}

// install puts etcd's programs where the hosts have them.
func (l *place) install(t *testing.T, versions []string, programs string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildTime)
	defer cancel()
	for i, version := range versions {
		for _, program := range []string{etcdbin.Etcd, etcdbin.Etcdctl, etcdbin.Etcdutl} {
			if program == etcdbin.Etcdutl && strings.HasPrefix(version, "3.4.") {
				continue // it came with 3.5
			}
			file, err := etcdbin.Path(ctx, version, program)
			must(t, err)
			for _, host := range hosts() {
				release := filepath.Join(l.home(host), "opt", fmt.Sprintf("etcd-v%s-linux-amd64", version))
				must(t, link(file, filepath.Join(release, program)))
				if i == 0 {
					must(t, link(file, filepath.Join(l.home(host), "usr", "local", "bin", program)))
				}
			}
		}
	}
	ours, err := filepath.Glob(filepath.Join(programs, "*"))
	must(t, err)
	for _, file := range ours {
		must(t, link(file, filepath.Join(l.home(desk), "usr", "local", "bin", filepath.Base(file))))
	}
}

func link(file, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.Symlink(file, name)
}
