// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

const (
	chunkSize   = 1 << 20 // bytes; the first chunk must hold both meta pages
	chunks      = 2       // one is read while the other is hashed
	farBeyond   = 1 << 30 // bytes; a member's own file may be longer than its pages, but not by so much
	emptyReads  = 100     // in a row, before a reader is given up
	shownDigits = 6       // bytes of a sha in an error text
)

// Digest is what one pass over a snapshot's bytes tells.
type Digest struct {
	Size    int64    // bytes read: all of them, except for not_a_snapshot
	SHA256  [32]byte // of the content before the trailing sha
	Problem *Problem // nil: the trailing sha is right
}

// Sum reads a snapshot to its end, in about 2 MiB of memory, and compares the sha256
// that it ends in. An error means that the reading failed or the context ended; it is
// no verdict on the snapshot. The context is looked at between reads: a reader that
// may hang must watch the context by itself. What is no database is not read to its
// end.
func Sum(ctx context.Context, r io.Reader) (Digest, error) {
	ctx, cancel := context.WithCancel(ctx)
	ahead := newReadAhead()
	go ahead.run(ctx, r)
	defer func() { // r is the caller's again when Sum returns
		cancel()
		for range ahead.full {
		}
	}()
	var (
		d    Digest
		h    header
		body = lookBehind{hash: sha256.New()}
	)
	for c := range ahead.full {
		if d.Size == 0 && len(c.data) > 0 {
			if h = readHeader(c.data); !h.found {
				return Digest{Size: int64(len(c.data)), Problem: foreign(c.data)}, nil
			}
		}
		d.Size += int64(len(c.data))
		if h.size > 0 && d.Size > 2*h.size+farBeyond {
			d.Problem = &Problem{Reason: ReasonForeign, Err: fmt.Errorf("it begins like a database of %d bytes and goes on after %d", h.size, d.Size)}
			return d, nil
		}
		body.write(c.data)
		switch {
		case errors.Is(c.err, io.EOF):
			return d.judge(h, &body), nil
		case c.err != nil:
			return d, fmt.Errorf("read snapshot after %d bytes: %w", d.Size, c.err)
		}
		ahead.free <- c.data[:cap(c.data)]
	}
	return d, fmt.Errorf("read snapshot after %d bytes: %w", d.Size, context.Cause(ctx))
}

// judge compares the sums once all bytes are read.
func (d Digest) judge(h header, body *lookBehind) Digest {
	if d.Size == 0 {
		d.Problem = &Problem{Reason: ReasonEmpty, Err: errors.New("it holds no byte: the program that should write it failed, or the disk was full")}
		return d
	}
	body.hash.Sum(d.SHA256[:0])
	if d.Problem = h.judgeSize(d.Size); d.Problem == nil && d.SHA256 != body.tail {
		d.Problem = &Problem{Reason: ReasonChecksum, Err: fmt.Errorf("its sha256 begins with %x and should begin with %x: it was changed or damaged after it was written, copy it again or take a new snapshot", d.SHA256[:shownDigits], body.tail[:shownDigits])}
	}
	return d
}

// lookBehind hashes all but the last 32 bytes that were written to it, and keeps
// those: only the end of the stream tells which bytes are the trailer.
type lookBehind struct {
	hash hash.Hash
	tail [trailerSize]byte
	kept int // bytes of tail in use
}

func (l *lookBehind) write(p []byte) {
	if over := l.kept + len(p) - trailerSize; over > 0 {
		out := min(over, l.kept)
		l.hash.Write(l.tail[:out])
		l.kept = copy(l.tail[:], l.tail[out:l.kept])
		l.hash.Write(p[:over-out])
		p = p[over-out:]
	}
	l.kept += copy(l.tail[l.kept:], p)
}

// chunk is one buffer, full unless err tells why not.
type chunk struct {
	data []byte
	err  error
}

// readAhead reads while the one before is hashed.
type readAhead struct {
	free chan []byte
	full chan chunk // holds every buffer, so that sending never waits
}

func newReadAhead() *readAhead {
	a := &readAhead{free: make(chan []byte, chunks), full: make(chan chunk, chunks)}
	for range chunks {
		a.free <- make([]byte, chunkSize)
	}
	return a
}

// run ends at the first error, io.EOF among them, or with the context.
func (a *readAhead) run(ctx context.Context, r io.Reader) {
	defer close(a.full)
	for {
		select {
		case <-ctx.Done():
			return
		case buffer := <-a.free:
			n, err := fill(ctx, r, buffer)
			if ctx.Err() != nil {
				return
			}
			a.full <- chunk{data: buffer[:n], err: err}
			if err != nil {
				return
			}
		}
	}
}

// fill reads until the buffer is full; a slow reader gives a few bytes at a time.
func fill(ctx context.Context, r io.Reader, buffer []byte) (n int, err error) {
	for empty := 0; n < len(buffer) && err == nil; {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		var more int
		more, err = r.Read(buffer[n:])
		n += more
		if empty++; more > 0 {
			empty = 0
		}
		if empty == emptyReads && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}
