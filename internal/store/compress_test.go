// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gz(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t testing.TB, data []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, append(opts, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// decode gives what came out, and the reason for the end if it was none.
func decode(name string, stored []byte, limit int64) (out []byte, kind, reason string) {
	r, kind, err := Decompress(name, iotest.HalfReader(bytes.NewReader(stored)), limit)
	if err != nil {
		return nil, kind, reasonOf(err)
	}
	defer r.Close()
	out, err = io.ReadAll(r)
	return out, kind, reasonOf(err)
}

func TestDecompress(t *testing.T) {
	data := noise(300_000)
	plain := append(make([]byte, 8), data...)
	wide := zst(t, bytes.Repeat(data, 2), zstd.WithWindowSize(128<<20), zstd.WithSingleSegment(false))
	damaged := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }
	const bad = ReasonDecompress
	for _, c := range []struct {
		name   string
		stored []byte
		want   []byte
		kind   string
		reason string
	}{
		{"a.db", plain, plain, KindPlain, ""},
		{"a.db.gz", gz(t, data), data, KindGzip, ""},
		{"a.db.zst", zst(t, data), data, KindZstd, ""},
		{"a.db", gz(t, data), data, KindGzip, ""}, // the content counts
		{"a.db", zst(t, data), data, KindZstd, ""},
		{"a.gz", append(gz(t, data[:1000]), gz(t, data[1000:])...), data, KindGzip, ""},
		{"a.zst", append(zst(t, data[:1000]), zst(t, data[1000:])...), data, KindZstd, ""},
		{"a.zst", append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}, zst(t, data)...), data, KindZstd, ""},
		{"a.db", nil, nil, KindPlain, ""},
		{"a.db.gz", nil, nil, KindPlain, ""}, // an empty file is told as that
		{"a.db", []byte{0x1f}, []byte{0x1f}, KindPlain, ""},
		{"a.gz", plain, nil, KindPlain, bad},
		{"a.zst", plain, nil, KindPlain, bad},
		{"a.zst", gz(t, data), nil, KindGzip, bad},
		{"a.GZ", zst(t, data), nil, KindZstd, bad},
		{"a.gz", gz(t, data)[:9], nil, KindGzip, bad},
		{"a.gz", gz(t, data)[:200_000], nil, KindGzip, bad},
		{"a.gz", gz(t, data)[:len(gz(t, data))-3], nil, KindGzip, bad},
		{"a.zst", zst(t, data)[:5], nil, KindZstd, bad},
		{"a.zst", zst(t, data)[:200_000], nil, KindZstd, bad},
		{"a.zst", zst(t, data)[:len(zst(t, data))-2], nil, KindZstd, bad},
		{"a.gz", append(gz(t, data), "garbage"...), nil, KindGzip, bad},
		{"a.gz", append(gz(t, data), "garbage, longer than a header"...), nil, KindGzip, bad},
		{"a.gz", append(gz(t, data), make([]byte, 512)...), nil, KindGzip, bad},
		{"a.zst", append(zst(t, data), "garbage"...), nil, KindZstd, bad},
		{"a.zst", append(zst(t, data), 0), nil, KindZstd, bad},
		{"a.gz", damaged(gz(t, data)), nil, KindGzip, bad},
		{"a.zst", damaged(zst(t, data)), nil, KindZstd, bad},
		{"a.zst", wide, nil, KindZstd, bad},
	} {
		got, kind, reason := decode(c.name, c.stored, 0)
		if kind != c.kind || reason != c.reason {
			t.Errorf("%s of %d bytes: %q %q, want %q %q", c.name, len(c.stored), kind, reason, c.kind, c.reason)
		}
		if c.reason == "" && !bytes.Equal(got, c.want) {
			t.Errorf("%s of %d bytes: decodes to %d other bytes", c.name, len(c.stored), len(got))
		}
	}
	w, err := zstd.NewWriter(nil, zstd.WithWindowSize(128<<20), zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	one := w.EncodeAll(make([]byte, 65<<20), nil)
	for name, stored := range map[string][]byte{"a window of 128 MiB": wide, "a frame of 65 MiB that is its own window": one} {
		r, _, err := Decompress("a.zst", bytes.NewReader(stored), 0)
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodedSizeIsBounded(t *testing.T) {
	data := noise(100_000)
	for name, stored := range map[string][]byte{"a.gz": gz(t, data), "a.zst": zst(t, data)} {
		if got, _, reason := decode(name, stored, 100_000); reason != "" || len(got) != len(data) {
			t.Errorf("%s of just the bound: %d bytes, %s", name, len(got), reason)
		}
		if got, _, reason := decode(name, stored, 99_999); reason != ReasonTooLarge || len(got) != 99_999 {
			t.Errorf("%s of one byte more: %d bytes, %s", name, len(got), reason)
		}
	}
}

// TestBomb decodes 96 MiB of zeros under a bound of 64 MiB: in bounded memory.
func TestBomb(t *testing.T) {
	zeros := make([]byte, 1<<20)
	var packed, framed bytes.Buffer
	g := gzip.NewWriter(&packed)
	z, err := zstd.NewWriter(&framed, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for range 96 {
		if _, err := io.MultiWriter(g, z).Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(g.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	for name, stored := range map[string][]byte{"a.gz": packed.Bytes(), "a.zst": framed.Bytes()} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, _, err := Decompress(name, bytes.NewReader(stored), 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		r.Close()
		runtime.ReadMemStats(&after)
		if n != 64<<20 || reasonOf(err) != ReasonTooLarge {
			t.Errorf("%s of %d bytes: %d bytes, %v", name, len(stored), n, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
			t.Errorf("%s: %d MiB allocated", name, took>>20)
		}
	}
}

func TestSourceFailsAsItself(t *testing.T) {
	broken := errors.New("disk on fire")
	for name, stored := range map[string][]byte{"a.gz": gz(t, noise(200_000)), "a.zst": zst(t, noise(200_000)), "a.db": make([]byte, 200_000)} {
		for _, at := range []int{0, 2, 100_000} {
			r, _, err := Decompress(name, io.MultiReader(bytes.NewReader(stored[:at]), iotest.ErrReader(broken)), 0)
			if err == nil {
				_, err = io.ReadAll(r)
				r.Close()
			}
			if !errors.Is(err, broken) || reasonOf(err) == ReasonDecompress {
				t.Errorf("%s failing after %d bytes: %v", name, at, err)
			}
		}
	}
}

func FuzzDecompress(f *testing.F) {
	f.Add("a.gz", gz(f, noise(100)))
	f.Add("a.zst", zst(f, noise(100)))
	f.Add("a.zst", zst(f, make([]byte, 1<<16)))
	f.Add("a.db", append(gz(f, nil), gz(f, []byte("x"))...))
	f.Add("", []byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0x7f})
	f.Add("a.zst", []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa4, 0xff, 0xff, 0xff, 0x03})
	f.Fuzz(func(t *testing.T, name string, stored []byte) {
		const limit = 1 << 20
		start := time.Now()
		out, kind, reason := decode(name, stored, limit)
		switch {
		case kind != KindPlain && len(out) > limit:
			t.Errorf("%d bytes of a bound of %d", len(out), limit)
		case reason != "" && reason != ReasonDecompress && reason != ReasonTooLarge:
			t.Errorf("fails with %q", reason)
		case time.Since(start) > 10*time.Second:
			t.Errorf("took %s", time.Since(start))
		}
	})
}
