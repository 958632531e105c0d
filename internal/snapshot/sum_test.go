// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

func reasonOf(p *Problem) string {
	if p == nil {
		return ""
	}
	return p.Reason
}

func TestSum(t *testing.T) {
	whole := small(t)
	database := whole[:len(whole)-trailerSize]
	noise := make([]byte, 3*chunkSize+32)
	rand.NewChaCha8([32]byte{}).Read(noise)
	halfMeta := bytes.Clone(whole) // the first meta page is lost, the second tells
	clear(halfMeta[:80])
	noMeta := bytes.Clone(database) // both are there, and fail their own checksums
	noMeta[70]++
	noMeta[4096+70]++
	for _, test := range []struct {
		name    string
		content []byte
		reason  string
		text    string // part of the error's
	}{
		{"whole", whole, "", ""},
		{"nothing", nil, ReasonEmpty, "no byte"},
		{"one byte", whole[:1], ReasonForeign, ""},
		{"noise", noise, ReasonForeign, "encrypted"},
		{"noise in sectors", noise[:chunkSize], ReasonForeign, "encrypted"},
		{"a sha alone", whole[len(whole)-32:], ReasonForeign, ""},
		{"zeros", make([]byte, 8192+32), ReasonForeign, ""},
		{"gzip", append([]byte("\x1f\x8b\x08"), noise...), ReasonForeign, "gzip"},
		{"zstd", append([]byte("\x28\xb5\x2f\xfd"), noise...), ReasonForeign, "zstd"},
		{"age", append([]byte("age-encryption.org/v1\n"), noise...), ReasonForeign, "age"},
		{"cut in the first meta page", whole[:40], ReasonTruncated, ""},
		{"cut behind the first meta page", whole[:4096], ReasonTruncated, "header tells"},
		{"cut at a page", whole[:8192], ReasonTruncated, "header tells"},
		{"cut at 32 bytes behind a page", whole[:8192+32], ReasonTruncated, "header tells"},
		{"cut by a byte", whole[:len(whole)-1], ReasonTruncated, "no whole snapshot has"},
		{"cut in the trailer", whole[:len(whole)-16], ReasonTruncated, "no whole snapshot has"},
		{"without the trailer", database, ReasonNoChecksum, "member's database file"},
		{"a database file that has grown", append(bytes.Clone(database), make([]byte, 1<<16)...), ReasonNoChecksum, ""},
		{"one byte more", append(bytes.Clone(whole), 0), ReasonTruncated, ""},
		{"one sector more", append(bytes.Clone(whole), make([]byte, 512)...), ReasonChecksum, "sha256 begins with"},
		{"first meta page lost", halfMeta, ReasonChecksum, ""},
		{"both meta pages damaged and sealed", seal(noMeta), "", ""}, // for the walk to find
	} {
		t.Run(test.name, func(t *testing.T) {
			for how, reader := range readers(test.content) {
				d, err := Sum(t.Context(), reader)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if reasonOf(d.Problem) != test.reason {
					t.Fatalf("%s: problem %v, want %q", how, d.Problem, test.reason)
				}
				if test.reason != "" && !strings.Contains(d.Problem.Error(), test.text) {
					t.Errorf("%s: %q does not tell of %q", how, d.Problem, test.text)
				}
				if test.reason == ReasonForeign || test.reason == ReasonEmpty {
					continue
				}
				want := sha256.Sum256(test.content[:max(0, len(test.content)-32)])
				if d.Size != int64(len(test.content)) || d.SHA256 != want {
					t.Errorf("%s: %d bytes of %d, sha %x, want %x", how, d.Size, len(test.content), d.SHA256, want)
				}
			}
		})
	}
}

func readers(content []byte) map[string]io.Reader {
	all := map[string]io.Reader{
		"at once":           bytes.NewReader(content),
		"EOF with the data": iotest.DataErrReader(bytes.NewReader(content)),
		"in halves":         iotest.HalfReader(bytes.NewReader(content)),
	}
	if len(content) < 1<<17 {
		all["byte by byte"] = iotest.OneByteReader(bytes.NewReader(content))
	}
	return all
}

// Every byte counts: in the meta pages, on free pages, in keys, in the trailer.
func TestSumFindsAnyFlippedByte(t *testing.T) {
	whole := small(t)
	for at := 0; at < len(whole); at += 257 {
		whole[at] ^= 0x10
		d, err := Sum(t.Context(), bytes.NewReader(whole))
		if err != nil || d.Problem == nil {
			t.Fatalf("byte %d of %d flipped: %v, %v", at, len(whole), d.Problem, err)
		}
		whole[at] ^= 0x10
	}
	for at := len(whole) - 32; at < len(whole); at++ {
		whole[at] ^= 1
		if d, err := Sum(t.Context(), bytes.NewReader(whole)); err != nil || reasonOf(d.Problem) != ReasonChecksum {
			t.Fatalf("byte %d of the trailer flipped: %v, %v", at, d.Problem, err)
		}
		whole[at] ^= 1
	}
}

func TestLookBehindKeepsTheEndAtAnyCut(t *testing.T) {
	content := []byte(strings.Repeat("0123456789abcdef", 10))
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		l := lookBehind{hash: sha256.New()}
		for rest := content; len(rest) > 0; {
			n := min(len(rest), random.IntN(70))
			l.write(rest[:n])
			rest = rest[n:]
		}
		want := sha256.Sum256(content[:len(content)-32])
		if got := [32]byte(l.hash.Sum(nil)); got != want || string(l.tail[:]) != string(content[len(content)-32:]) {
			t.Fatalf("sum %x and tail %q", got, l.tail)
		}
	}
}

func TestSumReportsAReadError(t *testing.T) {
	whole, broken := small(t), errors.New("the disk is gone")
	_, err := Sum(t.Context(), io.MultiReader(bytes.NewReader(whole[:9000]), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "after 9000 bytes") {
		t.Errorf("got %v", err)
	}
	_, err = Sum(t.Context(), idleReader{})
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

// endlessReader gives zeros behind a real beginning, and ends the context on the way.
type endlessReader struct {
	start  io.Reader
	reads  int
	cancel context.CancelFunc
	done   bool // Sum has returned: nobody may read any more
}

func (e *endlessReader) Read(p []byte) (int, error) {
	if e.done {
		panic("read after Sum returned")
	}
	if e.reads++; e.reads == 10 {
		e.cancel()
	}
	if n, err := e.start.Read(p); err == nil {
		return n, nil
	}
	clear(p)
	return len(p), nil
}

func TestSumEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reader := &endlessReader{start: bytes.NewReader(small(t)), cancel: cancel}
	_, err := Sum(ctx, reader)
	reader.done = true // the race detector tells when it is still read
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if reader.reads > 11 {
		t.Errorf("read %d times, the context ended at the tenth", reader.reads)
	}
}

// slowReader gives noise, then hangs in a read until it is let go.
type slowReader struct {
	reads          int
	entered, letGo chan struct{}
	reading        atomic.Bool
}

func (s *slowReader) Read(p []byte) (int, error) {
	s.reading.Store(true)
	defer s.reading.Store(false)
	if s.reads++; s.reads == 2 {
		close(s.entered)
		<-s.letGo
	}
	return copy(p, bytes.Repeat([]byte("noise"), len(p)/5+1)), nil
}

// The caller closes the reader when Sum has returned.
func TestSumLeavesNoReadBehind(t *testing.T) {
	reader := &slowReader{entered: make(chan struct{}), letGo: make(chan struct{})}
	returned := make(chan bool, 1)
	go func() {
		_, err := Sum(t.Context(), reader)
		returned <- err == nil && !reader.reading.Load()
	}()
	select {
	case <-reader.entered:
	case sound := <-returned: // it knew enough before a second read began
		if !sound {
			t.Error("Sum failed, or a read was left behind")
		}
		return
	}
	select {
	case <-returned:
		t.Error("Sum returned in the middle of a read")
	case <-time.After(100 * time.Millisecond):
	}
	close(reader.letGo)
	if !<-returned {
		t.Error("Sum failed, or a read was left behind")
	}
}

func TestComplete(t *testing.T) {
	for size, want := range map[int64]bool{-32: false, 0: false, 32: false, 512: false, 543: false, 544: true, 545: false, 1 << 30: false, 1<<30 + 32: true} {
		if Complete(size) != want {
			t.Errorf("%d bytes: complete is %v", size, !want)
		}
	}
}

func FuzzSum(f *testing.F) {
	whole := small(f)
	f.Add(whole)
	f.Add(whole[:4096])
	f.Add(whole[:8192+32])
	f.Add([]byte{})
	f.Add(seal([]byte("x")))
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := Sum(t.Context(), iotest.HalfReader(bytes.NewReader(content)))
		if err != nil {
			t.Fatal(err)
		}
		if d.Problem != nil {
			if d.Problem.Error() == "" || strings.ContainsAny(d.Problem.Error(), "\n\r") {
				t.Errorf("no clear line: %q", d.Problem)
			}
			return
		}
		if want := seal(content[:len(content)-32]); !bytes.Equal(want, content) || !Complete(int64(len(content))) {
			t.Errorf("%d bytes passed without a right sha", len(content))
		}
	})
}

// A file that begins like a snapshot and has no end, such as what a few bytes can be
// decompressed to, is not read for ever.
func TestSumOfAnEndlessFile(t *testing.T) {
	d, err := Sum(t.Context(), io.MultiReader(bytes.NewReader(small(t)), zeros{}))
	if err != nil || reasonOf(d.Problem) != ReasonForeign || d.Size > 2<<30 {
		t.Errorf("%v after %d bytes, %v", d.Problem, d.Size, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
