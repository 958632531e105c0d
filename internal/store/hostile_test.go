// SPDX-License-Identifier: Apache-2.0

//go:build unix

package store

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestHostileEntries has one of each kind of thing that is no file. None may hang,
// none may be read, and none may hide the snapshot beside it.
func TestHostileEntries(t *testing.T) {
	dir := t.TempDir()
	outside := t.TempDir() + "/secret.db"
	write(t, outside, "outside", 0)
	write(t, dir+"/sound.db", "sound", time.Hour)
	mustDo(t,
		os.Mkdir(dir+"/directory.db", 0o700),
		syscall.Mkfifo(dir+"/fifo.db", 0o600),
		os.Symlink("none.db", dir+"/dangling.db"),
		os.Symlink(outside, dir+"/out.db"),
		os.Symlink("../"+"../etc/passwd", dir+"/up.db"),
		os.Symlink("/dev/zero", dir+"/device-link.db"),
		os.Symlink("fifo.db", dir+"/to-fifo.db"),
		os.Symlink("loop.db", dir+"/loop.db"),
	)
	want := map[string]string{
		"sound.db": "", "directory.db": ReasonNotRegular, "fifo.db": ReasonNotRegular, "dangling.db": ReasonLink,
		"out.db": ReasonLink, "up.db": ReasonLink, "device-link.db": ReasonLink, "loop.db": ReasonLink,
	}
	if l, err := new(net.ListenConfig).Listen(t.Context(), "unix", dir+"/socket.db"); err == nil {
		defer l.Close()
		want["socket.db"] = ReasonNotRegular
	}
	if syscall.Mknod(dir+"/device.db", syscall.S_IFCHR|0o600, 1<<8|5) == nil { // /dev/zero; needs root
		want["device.db"] = ReasonNotRegular
	}
	s := open(t, Config{Path: dir})
	objects := list(t, s)
	if len(objects) != len(want) {
		t.Errorf("found %q", found(objects))
	}
	for name, reason := range want {
		o := one(t, objects, name)
		if got := o.Problem; (got == nil) != (reason == "") || got != nil && got.Reason != reason {
			t.Errorf("%s: %v, want %s", name, got, reason)
		}
		if reason == "" {
			continue
		}
		r, err := s.Open(t.Context(), o)
		if err == nil {
			r.Close()
		}
		if reasonOf(err) != reason {
			t.Errorf("open %s: %v, want %s", name, err, reason)
		}
	}
}

// TestLinksWithin shows that a link which stays in the directory never makes a sound
// store look broken: one to a listed file is that file, others are followed.
func TestLinksWithin(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/etcd-1.db", "one", time.Hour)
	write(t, dir+"/data/2.snapshot", "two", 2*time.Hour)
	alias := t.TempDir() + "/alias"
	mustDo(t,
		os.Symlink("etcd-1.db", dir+"/latest.db"),
		os.Symlink(dir+"/etcd-1.db", dir+"/absolute.db"),
		os.Symlink("latest.db", dir+"/chain.db"),
		os.Symlink("data/2.snapshot", dir+"/current.db"),
		os.Symlink(dir+"/data/2.snapshot", dir+"/again.db"),
		os.Symlink(dir, alias),
	)
	for _, path := range []string{dir, alias} {
		s := open(t, Config{Path: path})
		objects := list(t, s)
		wantFound(t, objects, "etcd-1.db", "current.db")
		if got := content(t, s, objects[1]); got != "two" {
			t.Errorf("through a link: %q", got)
		}
	}
	// A link may be turned while it is looked at.
	s := open(t, Config{Path: dir, Pattern: "latest.db"})
	o := list(t, s)[0]
	write(t, dir+"/etcd-3.db", "3", 0)
	mustDo(t, os.Remove(dir+"/latest.db"), os.Symlink("etcd-3.db", dir+"/latest.db"))
	if _, err := s.Open(t.Context(), o); reasonOf(err) != "changed" {
		t.Errorf("open a link that was turned: %v", err)
	}
}

func TestLinkedDirectories(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside+"/a.db", "x", 0)
	write(t, dir+"/2026/a.db", "x", 0)
	write(t, dir+"/.hidden/b.db", "hidden", time.Hour)
	mustDo(t,
		os.Symlink("2026", dir+"/latest"),
		os.Symlink(dir+"/2026", dir+"/latest-absolute"),
		os.Symlink(".", dir+"/self"),
		os.Symlink("none", dir+"/dangling"),
		os.Symlink(outside, dir+"/out"),
		syscall.Mkfifo(dir+"/fifo", 0o600),
		os.Symlink("fifo", dir+"/to-fifo"),
	)
	objects := list(t, open(t, Config{Path: dir + "/[a-z2]*/*.db", Glob: true}))
	if len(objects) != 2 || one(t, objects, "out").Problem.Reason != ReasonLink {
		t.Errorf("found %q", found(objects))
	}
	one(t, objects, "2026/a.db")
	mustDo(t, os.Remove(dir+"/out"), os.Symlink(".hidden", dir+"/seen"))
	s := open(t, Config{Path: dir + "/[a-z]*/*.db", Glob: true})
	objects = list(t, s)
	o := one(t, objects, "seen/b.db")
	if got := content(t, s, o); got != "hidden" {
		t.Errorf("through a linked directory: %q", got)
	}
	if len(objects) != 2 { // and 2026/a.db by one of its two links
		t.Errorf("found %q", found(objects))
	}
	mustDo(t, syscall.Mkfifo(dir+"/pipe.db", 0o600))
	if _, err := open(t, Config{Path: dir + "/pipe.db"}).List(t.Context()); err == nil {
		t.Error("a FIFO was listed as a directory")
	}
}
