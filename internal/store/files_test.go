// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/old.db", "old", 2*time.Hour)
	write(t, dir+"/new.db", "newer", time.Hour)
	write(t, dir+"/new.db.part", "x", 0)
	write(t, dir+"/new.db.gz", "x", 0)
	write(t, dir+"/sub/deep.db", "x", 0)
	s := open(t, Config{Path: dir})
	objects := list(t, s)
	wantFound(t, objects, "new.db", "old.db")
	if o := objects[0]; o.Size != 5 || time.Since(o.Time) < time.Hour {
		t.Errorf("new.db: size %d, time %s", o.Size, o.Time)
	}
	if got := content(t, s, objects[1]); got != "old" {
		t.Errorf("old.db holds %q", got)
	}
	if again := list(t, s); again[0].Version != objects[0].Version || again[0].Version == again[1].Version {
		t.Errorf("versions: %q, then %q and %q", objects[0].Version, again[0].Version, again[1].Version)
	}
}

func TestDirectoryDown(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "x", 0)
	for path, want := range map[string]string{
		dir + "/none":   "no such file or directory",
		dir + "/file/x": "not a directory",
		os.DevNull:      "not a directory",
	} {
		_, err := open(t, Config{Path: path}).List(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), path) != 1 {
			t.Errorf("%s: %v, want %q and the path once", path, err, want)
		}
	}
	if got := list(t, open(t, Config{Path: dir})); len(got) != 0 {
		t.Errorf("an empty directory: %q", found(got))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, Config{Path: dir}).List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}

// TestOneFile: a path may name a file, whatever the pattern says.
func TestOneFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, `etcd*[1]\.bak`)
	write(t, name, "old", time.Hour)
	write(t, filepath.Join(dir, "etcd2.db"), "beside", 0)
	s := open(t, Config{Path: name})
	objects := list(t, s)
	wantFound(t, objects, filepath.Base(name))
	if got := content(t, s, objects[0]); got != "old" {
		t.Errorf("holds %q", got)
	}
	write(t, name, "newer", 0)
	if again := list(t, s); again[0].Size != 5 || again[0].Version == objects[0].Version {
		t.Errorf("overwritten: %+v", again)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
}

func TestChangedSinceListed(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, file string){
		"grown": func(t *testing.T, file string) {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString("more"); err != nil {
				t.Fatal(err)
			}
		},
		"replaced by its like": func(t *testing.T, file string) {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			write(t, file+".tmp", "other", 0)
			if err := errors.Join(os.Chtimes(file+".tmp", info.ModTime(), info.ModTime()), os.Rename(file+".tmp", file)); err != nil {
				t.Fatal(err)
			}
		},
		"removed":              func(_ *testing.T, file string) { _ = os.Remove(file) },
		"replaced by a folder": func(_ *testing.T, file string) { _ = errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
		"replaced by a link":   func(_ *testing.T, file string) { _ = errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/a.db", "first", time.Hour)
			s := open(t, Config{Path: dir})
			o := list(t, s)[0]
			change(t, dir+"/a.db")
			r, err := s.Open(t.Context(), o)
			if err == nil {
				r.Close()
			}
			if got := reasonOf(err); got != "changed" && got != ReasonLink {
				t.Errorf("opened after it was %s: %v", name, err)
			}
		})
	}
}

func TestChangedWhileRead(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.db", strings.Repeat("x", 1000), time.Hour)
	s := open(t, Config{Path: dir})
	r, err := s.Open(t.Context(), list(t, s)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	write(t, dir+"/a.db", strings.Repeat("y", 1000), time.Hour)
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, ErrChanged) {
		t.Errorf("read to the end of a file that was overwritten: %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := t.TempDir()
	write(t, dir+"/a.db", "x", 0)
	write(t, dir+"/sub/b.db", "x", 0)
	if err := errors.Join(os.Chmod(dir+"/a.db", 0), os.Chmod(dir+"/sub", 0)); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir+"/sub", 0o700)
	s := open(t, Config{Path: dir})
	if _, err := s.Open(t.Context(), list(t, s)[0]); reasonOf(err) != ReasonUnreadable {
		t.Errorf("a file without permission: %v", err)
	}
	wantFound(t, list(t, open(t, Config{Path: dir + "/*/*.db", Glob: true})), "sub unreadable")
	if _, err := open(t, Config{Path: dir + "/sub"}).List(t.Context()); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a directory without permission: %v", err)
	}
}

func TestFuture(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/sound.db", "x", time.Hour)
	write(t, dir+"/skewed.db", "x", -5*time.Minute)
	write(t, dir+"/future.db", "x", -48*time.Hour)
	objects := list(t, open(t, Config{Path: dir}))
	// Both lie ahead and count as now, so their names decide.
	wantFound(t, objects, "skewed.db", "future.db time_in_future", "sound.db")
}

func TestNewestAreHeld(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		write(t, fmt.Sprintf("%s/%03d.db", dir, i), "x", time.Duration(i)*time.Minute)
	}
	s := open(t, Config{Path: dir}).(*files)
	s.rules.limit = 7
	objects := list(t, s)
	if len(objects) != 7 || objects[0].Name != "000.db" || objects[6].Name != "006.db" {
		t.Errorf("held %q", found(objects))
	}
}

func TestGlob(t *testing.T) {
	dir := t.TempDir() + "/a[b]"
	write(t, dir+"/h1/etcd-1.db", "x", 3*time.Hour)
	write(t, dir+"/h2/etcd-2.db", "x", 2*time.Hour)
	write(t, dir+"/h2/other.db", "x", 0)
	write(t, dir+"/h3/deep/etcd-3.db", "x", time.Hour)
	write(t, dir+"/etcd-4.db", "x", 0)
	write(t, dir+"/h1file", "x", 0)
	base := strings.NewReplacer("[", `\[`, "]", `\]`).Replace(dir)
	for glob, want := range map[string][]string{
		"/*/etcd-*.db":    {"h2/etcd-2.db", "h1/etcd-1.db"},
		"/h[12]/*-?.db":   {"h2/etcd-2.db", "h1/etcd-1.db"},
		"/*/deep/*.db":    {"h3/deep/etcd-3.db"},
		"/h1/etcd-1.db":   {"etcd-1.db"},
		"/etcd-*.db":      {"etcd-4.db"},
		"//./etcd-*.db":   {"etcd-4.db"},
		"/*/*/*/*.db":     nil,
		"/nothing-*.db":   nil,
		"/h1*/etcd-1.db":  {"h1/etcd-1.db"},
		"/h1/*":           {"etcd-1.db"},
		"/etcd-4.db/*.db": nil,
	} {
		if glob == "/etcd-4.db/*.db" {
			if _, err := open(t, Config{Path: base + glob, Glob: true}).List(t.Context()); err == nil {
				t.Errorf("%s: a file as directory was listed", glob)
			}
			continue
		}
		t.Run(glob, func(t *testing.T) { wantFound(t, list(t, open(t, Config{Path: base + glob, Glob: true})), want...) })
	}
	s := open(t, Config{Path: base + "/*/etcd-*.db", Glob: true})
	if got := content(t, s, list(t, s)[0]); got != "x" {
		t.Errorf("read %q", got)
	}
	if _, err := open(t, Config{Path: base + "none/*/*.db", Glob: true}).List(t.Context()); err == nil {
		t.Error("a glob without its static directory was listed")
	}
}

func TestRate(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.db", strings.Repeat("x", 300_000), time.Hour)
	s := open(t, Config{Path: dir, MaxBytesPerSecond: 1_000_000})
	start := time.Now()
	if got := len(content(t, s, list(t, s)[0])); got != 300_000 {
		t.Errorf("read %d bytes", got)
	}
	// The first 64 KiB come at once.
	if took := time.Since(start); took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("300 kB at 1 MB/s took %s", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := s.Open(ctx, list(t, s)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("reading beyond the deadline: %v", err)
	}
}

func TestHangingCallsAreLeftBehind(t *testing.T) {
	s, release := newSlots(), make(chan struct{})
	dropped := make(chan int, maxHanging)
	for range maxHanging {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := await(ctx, s, func() (int, error) { <-release; return 1, nil }, func(n int) { dropped <- n })
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := await(ctx, s, func() (int, error) { t.Error("called"); return 0, nil }, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more call than may hang: %v", err)
	}
	close(release)
	for range maxHanging {
		<-dropped
	}
}

func TestBadConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		"path: path or objstore": {Pattern: "*.db"},
		"pattern: \"[\"":         {Path: "/x", Pattern: "["},
		"pattern: \"a/b\"":       {Path: "/x", Pattern: "a/b"},
		"pattern: is needed":     {Path: "/x"},
		"max_bytes_per_second":   {Path: "/x", Pattern: "*", MaxBytesPerSecond: -1},
		"time_from_name: \"0102": {Path: "/x", Pattern: "*", TimeFromName: "0102"},
		"objstore: path":         {Path: "/x", Pattern: "*", ObjStore: &ObjStoreConfig{}},
		"path: \"/x/[\"":         {Path: "/x/[", Glob: true},
		"path: \"/*/../a\"":      {Path: "/*/../a", Glob: true},
		"path: the glob":         {Path: "//", Glob: true},
	} {
		if _, err := New(cfg, quiet()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", cfg, err, want)
		}
	}
	if _, err := New(Config{Path: filepath.Join(t.TempDir(), "none"), Pattern: "*"}, quiet()); err != nil {
		t.Errorf("a directory that is not there yet: %v", err)
	}
}
