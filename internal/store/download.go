// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

var errStalled = errors.New("the server has stopped sending")

// Open asks for an object and checks that it is the one that was listed: by the ETag
// of the answer itself where there is one, else by a question for its attributes.
func (o *objects) Open(ctx context.Context, obj Object) (io.ReadCloser, error) {
	own, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(o.rules.stall, func() { cancel(errStalled) })
	r, err := await(own, o.slots, func() (io.ReadCloser, error) { return o.get(own, obj) }, func(r io.ReadCloser) { _ = r.Close() })
	timer.Stop()
	switch {
	case err == nil:
		d := &download{objects: o, ctx: own, cancel: cancel, timer: timer, r: r}
		return &limited{ctx: ctx, r: d, limiter: o.rules.limiter}, nil
	case errors.Is(err, ErrChanged):
		cancel(nil)
		return nil, fmt.Errorf("open %q: %w", shorten(obj.Name), ErrChanged)
	case denied(err):
		cancel(nil)
		return nil, &Problem{ReasonUnreadable, errors.New(o.secrets.hide(describe(err)))}
	}
	err = o.fail(own, "open "+shorten(obj.Name)+" in", err)
	cancel(nil)
	return nil, err
}

func (o *objects) get(ctx context.Context, obj Object) (io.ReadCloser, error) {
	b, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	want, byETag := strings.CutPrefix(obj.Version, etagVersion)
	if !byETag {
		a, err := b.Attributes(ctx, o.key(obj.Name))
		if obj.Size < 0 {
			a.Size = -1 // it was not asked for at the listing
		}
		switch {
		case err != nil && b.IsObjNotFoundErr(err):
			return nil, ErrChanged
		case err != nil:
			return nil, err
		case timeVersion(a.LastModified, a.Size) != obj.Version:
			return nil, ErrChanged
		}
	}
	ctx, note := withETag(ctx)
	r, err := b.Get(ctx, o.key(obj.Name))
	if err != nil {
		if b.IsObjNotFoundErr(err) {
			err = ErrChanged
		}
		return nil, err
	}
	if got := note.get(); byETag && got != "" && got != want {
		_ = r.Close()
		return nil, ErrChanged
	}
	return r, nil
}

// download is an object under way.
type download struct {
	*objects
	ctx    context.Context //nolint:containedctx // of one reading: io.Reader has no room for it
	cancel context.CancelCauseFunc
	timer  *time.Timer
	r      io.ReadCloser
}

func (d *download) Read(p []byte) (int, error) {
	d.timer.Reset(d.rules.stall)
	n, err := d.r.Read(p)
	d.timer.Stop()
	if err == nil || errors.Is(err, io.EOF) && d.ctx.Err() == nil {
		return n, err
	}
	return n, d.fail(d.ctx, "read an object of", err)
}

func (d *download) Close() error {
	d.timer.Stop()
	d.cancel(nil) // first: a reader that waits for the server does not let itself be closed
	return d.r.Close()
}
