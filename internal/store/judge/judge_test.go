// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store"
)

func TestMain(m *testing.M) {
	if child, exit := snapshot.Child(); child {
		os.Exit(exit)
	}
	os.Exit(m.Run())
}

func TestSound(t *testing.T) {
	p := newPlace(t, "")
	p.write("a.db", aSnapshot(t, 5), 2*time.Hour)
	p.write("b.db", aSnapshot(t, 7), time.Hour)
	r := p.look()
	p.wantNewest(r, "b.db", true)
	v := r.Newest.Verdict
	if !v.Walked || v.Contents.Revision != 8 || v.Contents.Keys != 7 || v.Size != r.Newest.Size {
		t.Errorf("verdict %+v", v)
	}
	if r.Files != 2 || r.Sound.Name != "b.db" || len(r.Problems) != 0 {
		t.Errorf("report %+v", r)
	}
}

// TestNewestIsBad: the one before it is read as well, and is the newest sound one.
func TestNewestIsBad(t *testing.T) {
	p := newPlace(t, "")
	good := aSnapshot(t, 5)
	p.write("a.db", good, 3*time.Hour)
	p.write("b.db", good, 2*time.Hour)
	p.write("c.db", flipped(good), time.Hour)
	r := p.look()
	p.wantNewest(r, "c.db", false)
	if r.Sound == nil || r.Sound.Name != "b.db" {
		t.Errorf("sound: %+v, want b.db", r.Sound)
	}
	if len(r.Problems) != 1 || r.Problems[0].Reason != snapshot.ReasonChecksum {
		t.Errorf("problems %v", r.Problems)
	}
}

// TestOnce: a file is read once, and again when it has changed.
func TestOnce(t *testing.T) {
	p := newPlace(t, "")
	p.write("a.db", aSnapshot(t, 5), time.Hour)
	first := p.look().Newest.Verdict.At
	if again := p.look().Newest.Verdict.At; !again.Equal(first) {
		t.Error("the file was judged again without a change")
	}
	p.write("a.db", aSnapshot(t, 6), time.Hour)
	if v := p.look().Newest.Verdict; v.Contents.Keys != 6 {
		t.Errorf("the changed file was not judged again: %+v", v)
	}
}

// TestGrowing: a file that is being written is neither the newest nor a problem,
// and one that stays as it is at half of its size is both.
func TestGrowing(t *testing.T) {
	p := newPlace(t, "")
	good := aSnapshot(t, 5)
	p.write("old.db", good, time.Hour)
	p.look()
	for part := 1; part <= 3; part++ {
		p.write("new.db", good[:part*1000], 0)
		r := p.look()
		p.wantNewest(r, "old.db", true)
		if len(r.Problems) > 0 {
			t.Fatalf("a file that is being written is a problem: %v", r.Problems)
		}
		p.now = p.now.Add(40 * time.Second)
	}
	p.age("new.db", 10*time.Minute)
	p.look()
	p.now = p.now.Add(settle)
	r := p.look()
	if r.Newest.Name != "new.db" || r.Newest.Verdict == nil || r.Newest.Verdict.Sound {
		t.Errorf("a file that stopped growing: %+v", r.Newest)
	}
	p.write("new.db", good, 0) // done: its size says so, no need to wait
	p.wantNewest(p.look(), "new.db", true)
}

// TestGrowingBySectors: a file that has the size of a whole snapshot for a while.
func TestGrowingBySectors(t *testing.T) {
	p := newPlace(t, "")
	good := aSnapshot(t, 5)
	p.write("old.db", good, time.Hour)
	p.look()
	p.write("new.db", good[:512*20+32], 0)
	for range 2 {
		r := p.look()
		p.wantNewest(r, "old.db", true)
		if len(r.Problems) > 0 {
			t.Fatalf("a file that is being written is a problem: %v", r.Problems)
		}
	}
	p.now = p.now.Add(settle + time.Second)
	p.wantNewest(p.look(), "new.db", false) // it stayed as it was
	p.write("new.db", good, 0)
	p.wantNewest(p.look(), "new.db", true)
}

// TestOddEntries are problems with a reason, hold nothing up, and hide nothing.
func TestOddEntries(t *testing.T) {
	p := newPlace(t, "")
	p.write("good.db", aSnapshot(t, 5), time.Hour)
	if err := syscall.Mkfifo(filepath.Join(p.directory, "fifo.db"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(p.directory, "directory.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere/at/all", filepath.Join(p.directory, "link.db")); err != nil {
		t.Fatal(err)
	}
	p.write("future.db", aSnapshot(t, 5), -24*time.Hour)
	r := p.look()
	p.wantNewest(r, "good.db", true)
	for _, reason := range []string{store.ReasonNotRegular, store.ReasonLink, store.ReasonFuture} {
		if !slices.ContainsFunc(r.Problems, func(q store.Problem) bool { return q.Reason == reason }) {
			t.Errorf("no problem %s in %v", reason, r.Problems)
		}
	}
}

func TestReasons(t *testing.T) {
	good := aSnapshot(t, 5)
	for reason, content := range map[string][]byte{
		snapshot.ReasonEmpty:      {},
		snapshot.ReasonForeign:    bytes.Repeat([]byte("no database"), 1000),
		snapshot.ReasonNoChecksum: good[:len(good)-sha256.Size],
		snapshot.ReasonTruncated:  good[:len(good)/2+1],
		snapshot.ReasonChecksum:   flipped(good),
		store.ReasonDecompress:    compressed(t, good)[:200],
	} {
		t.Run(reason, func(t *testing.T) {
			p := newPlace(t, "")
			p.write("a.db", content, time.Hour)
			r := p.look()
			p.wantNewest(r, "a.db", false)
			if got := r.Newest.Verdict.Problem.Reason; got != reason || len(r.Problems) != 1 {
				t.Errorf("reason %s, problems %v", got, r.Problems)
			}
		})
	}
}

// TestCompressed: without a scratch directory the sha decides, with one the file is
// looked into and nothing is left there.
func TestCompressed(t *testing.T) {
	good := aSnapshot(t, 5)
	for _, scratch := range []string{"", t.TempDir()} {
		p := newPlace(t, scratch)
		p.write("a.db.gz", compressed(t, good), time.Hour)
		r := p.look()
		p.wantNewest(r, "a.db.gz", true)
		v := r.Newest.Verdict
		if v.Walked != (scratch != "") || v.Size != int64(len(good)) || v.Compression != store.KindGzip {
			t.Errorf("scratch %q: %+v", scratch, v)
		}
		if scratch == "" {
			continue
		}
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
			t.Errorf("left in the scratch directory: %v, %v", left, err)
		}
	}
}

// TestScratchIsFull: the sha decides, and the reason is told.
func TestScratchIsFull(t *testing.T) {
	p := newPlace(t, filepath.Join(t.TempDir(), "missing"))
	p.write("a.db.gz", compressed(t, aSnapshot(t, 5)), time.Hour)
	r := p.look()
	p.wantNewest(r, "a.db.gz", true)
	if r.Newest.Verdict.Walked || len(r.Problems) != 1 || r.Problems[0].Reason != ReasonScratch {
		t.Errorf("problems %v", r.Problems)
	}
	s, err := newScratch(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.left = 10
	if n, err := io.Copy(s, bytes.NewReader(make([]byte, 100))); n != 100 || err != nil || s.err == nil {
		t.Errorf("a full scratch file took %d bytes, %v, and tells %v", n, err, s.err)
	}
}

// TestWalkIsBounded: a walk that meets our own bound is no fault of the file, whose
// sha is right; what a walk finds is.
func TestWalkIsBounded(t *testing.T) {
	for reason, sound := range map[string]bool{
		snapshot.ReasonTimeout: true, snapshot.ReasonMemory: true, snapshot.ReasonDamaged: false, snapshot.ReasonNoKeys: false,
	} {
		p := newPlace(t, "")
		p.judge.options.Inspector.look = func(context.Context, *os.File, snapshot.Limits) (snapshot.Contents, error) {
			return snapshot.Contents{Problem: &snapshot.Problem{Reason: reason, Err: errors.New("found")}}, nil
		}
		p.write("a.db", aSnapshot(t, 5), time.Hour)
		r := p.look()
		p.wantNewest(r, "a.db", sound)
		if r.Newest.Verdict.Walked || len(r.Problems) != 1 || r.Problems[0].Reason != reason {
			t.Errorf("%s: verdict %+v, problems %v", reason, r.Newest.Verdict, r.Problems)
		}
	}
}

// TestStoreIsGone: what was known stays, and its fault is told.
func TestStoreIsGone(t *testing.T) {
	p := newPlace(t, "")
	p.write("a.db", aSnapshot(t, 5), time.Hour)
	p.look()
	if err := os.RemoveAll(p.directory); err != nil {
		t.Fatal(err)
	}
	if err := p.judge.Check(t.Context()); err == nil {
		t.Fatal("a missing directory can be listed")
	}
	r := p.judge.Report()
	p.wantNewest(r, "a.db", true)
	if r.Err == nil {
		t.Error("the report does not tell that the store is gone")
	}
}

// changing is a store whose file changes while it is read.
type changing struct{ store.Store }

func (c changing) Open(context.Context, store.Object) (io.ReadCloser, error) {
	return nil, fmt.Errorf("open: %w", store.ErrChanged)
}

// TestChangesMeanwhile: there is no verdict on a file that changed while it was read.
func TestChangesMeanwhile(t *testing.T) {
	p := newPlace(t, "")
	p.write("a.db", flipped(aSnapshot(t, 5)), time.Hour)
	p.judge.options.Store = changing{p.judge.options.Store}
	r := p.look()
	if r.Newest == nil || r.Newest.Verdict != nil {
		t.Errorf("newest %+v", r.Newest)
	}
	if len(r.Problems) != 1 || r.Problems[0].Reason != store.ReasonUnreadable {
		t.Errorf("problems %v", r.Problems)
	}
}

// failing is a store that fails in its own way.
type failing struct {
	store.Store
	list func(ctx context.Context) error
	open func() error
}

func (f failing) List(ctx context.Context) ([]store.Object, error) {
	if f.list != nil {
		return nil, f.list(ctx)
	}
	return f.Store.List(ctx)
}

func (f failing) Open(ctx context.Context, o store.Object) (io.ReadCloser, error) {
	if f.open != nil {
		if err := f.open(); err != nil {
			return nil, err
		}
	}
	return f.Store.Open(ctx, o)
}

// TestPassingFailure: a file that cannot be read for a while is no unsound one, and is
// read again later.
func TestPassingFailure(t *testing.T) {
	p := newPlace(t, "")
	p.write("a.db", aSnapshot(t, 5), time.Hour)
	denied := true
	p.judge.options.Store = failing{Store: p.judge.options.Store, open: func() error {
		if denied {
			return &store.Problem{Reason: store.ReasonUnreadable, Err: errors.New("expired credentials")}
		}
		return nil
	}}
	r := p.look()
	if r.Newest == nil || r.Newest.Verdict != nil || len(r.Problems) != 1 || r.Problems[0].Reason != store.ReasonUnreadable {
		t.Errorf("newest %+v, problems %v", r.Newest, r.Problems)
	}
	denied = false
	p.now = p.now.Add(retry + time.Second)
	p.wantNewest(p.look(), "a.db", true)
}

// TestNoChild: where no walk can be made the sha decides, and the file is not read
// again and again.
func TestNoChild(t *testing.T) {
	p := newPlace(t, "")
	p.judge.options.Inspector.look = func(context.Context, *os.File, snapshot.Limits) (snapshot.Contents, error) {
		return snapshot.Contents{}, errors.New("fork: resource temporarily unavailable")
	}
	p.write("a.db", aSnapshot(t, 5), time.Hour)
	r := p.look()
	p.wantNewest(r, "a.db", true)
	if len(r.Problems) != 1 || r.Problems[0].Reason != ReasonWalk {
		t.Errorf("problems %v", r.Problems)
	}
}

// TestListHangs: a store that gives no list in time is down.
func TestListHangs(t *testing.T) {
	p := newPlace(t, "")
	files := p.judge.options.Store
	synctest.Test(t, func(t *testing.T) {
		j := New(Options{Log: slog.New(slog.DiscardHandler), Store: failing{Store: files, list: func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}})
		begun := time.Now()
		if err := j.Check(t.Context()); !errors.Is(err, errSlowList) || j.Report().Err == nil || time.Since(begun) != listTime {
			t.Errorf("%v after %s, report %v", err, time.Since(begun), j.Report().Err)
		}
	})
}
