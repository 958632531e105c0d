// SPDX-License-Identifier: Apache-2.0

// Package judge says whether the snapshots in a store could be restored: it brings
// a store's files and the verdicts on them together, reads each file once, and
// remembers what it found.
package judge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store"
)

// ReasonWalk says that a snapshot whose sha is right could not be looked into: no
// child could be started, or another program holds a lock on the file.
const ReasonWalk = "walk_failed"

// MaxSize is how much a snapshot may decompress to, in bytes.
const MaxSize = 20 << 30

// Verdict is what is known of one file.
type Verdict struct {
	At          time.Time
	Sound       bool
	Problem     *store.Problem // why it is not sound
	Unwalked    *store.Problem // why a sound one was not looked into; nil: it was, or there is no scratch directory
	Compression string         // "", gzip or zstd
	Size        int64          // of the snapshot itself, decompressed, in bytes; 0: not read to its end
	SHA256      [32]byte       // of its content, without the sum at its end; zero: not read to its end
	Walked      bool
	Contents    snapshot.Contents // where it was walked
}

// Inspector reads files and judges them.
type Inspector struct {
	Scratch  string // directory for compressed and remote snapshots; empty: their sha only
	Limits   snapshot.Limits
	Progress func(read int64) // of the bytes as stored; may be nil

	look func(context.Context, *os.File, snapshot.Limits) (snapshot.Contents, error) // nil: snapshot.Walk
}

// Inspect reads one file and judges it. An error says that there is no verdict: the
// store failed, or the file changed meanwhile.
func (i Inspector) Inspect(ctx context.Context, s store.Store, o store.Object) (Verdict, error) {
	v, err := i.read(ctx, s, o)
	if problem, ok := errors.AsType[*store.Problem](err); ok && problem.Reason != store.ReasonUnreadable {
		v.Problem, err = problem, nil // what cannot be read now may be readable later
	}
	if err == nil && v.Problem != nil && o.Problem == nil { // a file that is still being written has every fault
		err = unchanged(ctx, s, o)
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("read %s: %w", o.Name, err)
	}
	v.At, v.Sound = time.Now(), v.Problem == nil
	return v, nil
}

func unchanged(ctx context.Context, s store.Store, o store.Object) error {
	again, err := s.Open(ctx, o)
	if err == nil {
		return again.Close()
	}
	if !errors.Is(err, store.ErrChanged) {
		err = nil // it has told its problem already
	}
	return err
}

func (i Inspector) read(ctx context.Context, s store.Store, o store.Object) (Verdict, error) {
	if o.Problem != nil {
		return Verdict{}, o.Problem
	}
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := watch(i.Progress, cancel)
	defer watched.timer.Stop()
	raw, err := s.Open(reading, o)
	if err != nil {
		return Verdict{}, because(reading, err)
	}
	defer raw.Close()
	watched.Reader = raw
	content, kind, err := store.Decompress(o.Name, watched, MaxSize)
	if err != nil {
		return Verdict{}, because(reading, err)
	}
	defer content.Close()
	v := Verdict{Compression: kind}
	if file, local := store.LocalFile(raw); local && kind == store.KindPlain {
		if err := v.sum(reading, content); err != nil || v.Problem != nil {
			return v, err
		}
		return i.walk(ctx, v, file)
	}
	return i.unpack(ctx, reading, v, content)
}

// unpack judges what has to be copied before it can be looked into. Where there is
// no room for a copy, the sha alone decides.
func (i Inspector) unpack(ctx, reading context.Context, v Verdict, content io.Reader) (Verdict, error) {
	if i.Scratch == "" {
		err := v.sum(reading, content)
		return v, err
	}
	scratch, err := newScratch(i.Scratch)
	if err != nil {
		v.Unwalked = &store.Problem{Reason: ReasonScratch, Err: err}
		err := v.sum(reading, content)
		return v, err
	}
	defer scratch.close()
	if err := v.sum(reading, io.TeeReader(content, scratch)); err != nil || v.Problem != nil {
		return v, err
	}
	if scratch.err != nil {
		v.Unwalked = &store.Problem{Reason: ReasonScratch, Err: scratch.err}
		return v, nil
	}
	return i.walk(ctx, v, scratch.file)
}

// sum reads a snapshot to its end.
func (v *Verdict) sum(reading context.Context, content io.Reader) error {
	digest, err := snapshot.Sum(reading, content)
	if err != nil {
		return because(reading, err)
	}
	v.Problem = (*store.Problem)(digest.Problem)
	if v.Problem == nil || v.Problem.Reason != snapshot.ReasonForeign {
		v.Size, v.SHA256 = digest.Size, digest.SHA256
	}
	return nil
}

// walk looks into a file whose sha is right; no other one is ever opened.
func (i Inspector) walk(ctx context.Context, v Verdict, file *os.File) (Verdict, error) {
	look := snapshot.Walk
	if i.look != nil {
		look = i.look
	}
	contents, err := look(ctx, file, i.Limits)
	if err != nil {
		if ctx.Err() == nil { // the sha is right all the same
			v.Unwalked, err = &store.Problem{Reason: ReasonWalk, Err: err}, nil
		}
		return v, err
	}
	switch p := (*store.Problem)(contents.Problem); {
	case p == nil:
		v.Walked, v.Contents = true, contents
	case p.Reason == snapshot.ReasonTimeout, p.Reason == snapshot.ReasonMemory:
		v.Unwalked = p // our bound, not the file's fault: the sha is right
	default:
		v.Problem = p
	}
	return v, nil
}

// because tells a stall from other failures.
func because(reading context.Context, err error) error {
	if reading.Err() != nil {
		return context.Cause(reading)
	}
	return err
}
