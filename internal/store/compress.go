// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// DefaultMaxDecoded is the most a compressed snapshot may decode to, in bytes.
	DefaultMaxDecoded = 20 << 30
	maxWindow         = 64 << 20 // of zstd, in bytes: it is held in memory
	readAhead         = 64 << 10
)

// Kinds of compression, as Decompress names them.
const (
	KindPlain = ""
	KindGzip  = "gzip"
	KindZstd  = "zstd"
)

// Decompress reads what r holds, decoded where its first bytes say that it is
// compressed. More than limit bytes (0: DefaultMaxDecoded) are a Problem too_large;
// a name that promises another compression, damage, a cut end and anything behind
// the end are a Problem cannot_decompress. Failures of r itself come as they are.
// Closing does not close r. What is not compressed is not bounded.
func Decompress(name string, r io.Reader, limit int64) (io.ReadCloser, string, error) {
	if limit <= 0 {
		limit = DefaultMaxDecoded
	}
	src := &source{r: r}
	head := bufio.NewReaderSize(src, readAhead)
	magic, _ := head.Peek(4) // fewer at an early end
	if src.err != nil {
		return nil, KindPlain, src.err
	}
	kind := kindOf(magic)
	if want := kindOfName(name); want != KindPlain && want != kind && len(magic) > 0 {
		return nil, kind, &Problem{ReasonDecompress, fmt.Errorf("the name says %s and the content is not", want)}
	}
	var err error
	d := &decoded{src: src, left: limit, limit: limit}
	switch kind {
	case KindGzip:
		d.r, err = gzip.NewReader(head)
	case KindZstd:
		d.r, err = newZstd(head)
	default:
		return io.NopCloser(head), kind, nil
	}
	if err != nil {
		return nil, kind, d.fail(err)
	}
	return d, kind, nil
}

func newZstd(r io.Reader) (io.ReadCloser, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// kindOf knows a compression by its first bytes. A snapshot begins with the number of
// its first page, eight zero bytes, and is never taken for one.
func kindOf(magic []byte) string {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return KindGzip
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return KindZstd
	case len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}):
		return KindZstd // a frame to skip, as pzstd writes first
	}
	return KindPlain
}

func kindOfName(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".gz", ".gzip":
		return KindGzip
	case ".zst", ".zstd":
		return KindZstd
	}
	return KindPlain
}

// source remembers its own failure, to tell it from a fault of the content.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// decoded counts what comes out of a decoder.
type decoded struct {
	r           io.ReadCloser
	src         *source
	left, limit int64
	err         error // sticky: a decoder is not asked again after a failure
}

func (d *decoded) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	// One byte more than is left tells an end from an excess.
	n, err := d.r.Read(p[:min(int64(len(p)), d.left+1)])
	switch {
	case int64(n) > d.left:
		n, err = int(d.left), &Problem{ReasonTooLarge, fmt.Errorf("decodes to more than %d bytes", d.limit)}
	case err != nil && !errors.Is(err, io.EOF):
		err = d.fail(err)
	case err != nil:
		err = io.EOF
	}
	d.left -= int64(n)
	d.err = err
	return n, err
}

func (d *decoded) Close() error {
	if d.err == nil {
		d.err = errors.New("read of a closed decoder")
	}
	return d.r.Close()
}

func (d *decoded) fail(err error) error {
	switch {
	case d.src.err != nil:
		return d.src.err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded): // the second where all of a frame is its window
		err = fmt.Errorf("its zstd window is larger than %d MiB", maxWindow>>20)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("its end is missing")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, zstd.ErrMagicMismatch):
		err = errors.New("its header is damaged, or something else stands behind its end")
	default:
		err = errors.New("its content is damaged: " + shorten(err.Error()))
	}
	return &Problem{ReasonDecompress, err}
}
