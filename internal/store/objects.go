// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/thanos-io/objstore"
)

const (
	// askedAfter is of how many objects, the newest, the size is asked for. A listing
	// brings names and times alone, a thousand of them with one request.
	askedAfter = 10
	// settled is the age from which an object with an unchanged time is taken for
	// unchanged: times in listings have whole seconds.
	settled = time.Minute
)

// objects is a directory of an object store.
type objects struct {
	label     string // for a person: kind and bucket
	prefix    string // without slashes at its ends
	etags     bool   // HEAD and GET carry the same ETag
	rules     rules
	slots     slots
	log       *slog.Logger
	secrets   secrets
	transport *transport
	connect   func(context.Context) (objstore.BucketReader, error)

	mu     sync.Mutex // connect
	bucket objstore.BucketReader

	knownMu sync.Mutex
	known   map[string]attributes // by name, of objects that the last listing had
	warned  bool
}

// attributes is what was learned of one object, beyond its listing.
type attributes struct {
	listed time.Time // its time in the listing
	asked  time.Time
	size   int64
	etag   string
}

func (o *objects) String() string {
	if o.prefix == "" {
		return o.label
	}
	return o.label + " below " + o.prefix + "/"
}

func (o *objects) GoString() string { return o.String() }

// Close lets go of idle connections; what is being read goes on.
func (o *objects) Close() error {
	o.transport.close()
	return nil
}

func (o *objects) open(ctx context.Context) (objstore.BucketReader, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bucket == nil {
		b, err := o.connect(ctx)
		if err != nil {
			return nil, err
		}
		o.bucket = b
	}
	return o.bucket, nil
}

// List asks for the names, one request for a thousand, and then for size and ETag of
// the newest objects as far as they are not known.
func (o *objects) List(ctx context.Context) ([]Object, error) {
	list, err := await(ctx, o.slots, func() ([]Object, error) {
		// What the library left running ends with the call.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		b, err := o.open(ctx)
		if err != nil {
			return nil, err
		}
		list, err := o.names(ctx, b)
		if err != nil {
			return nil, err
		}
		return o.ask(ctx, b, list)
	}, func([]Object) {})
	if err != nil {
		return nil, o.fail(ctx, "list", err)
	}
	return list, nil
}

func (o *objects) names(ctx context.Context, b objstore.BucketReader) ([]Object, error) {
	found := o.rules.newest()
	dir := o.prefix
	if dir != "" {
		dir += "/"
	}
	err := b.IterWithAttributes(ctx, dir, func(a objstore.IterObjectAttributes) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		name, below := strings.CutPrefix(a.Name, dir)
		if !below || name == "" || strings.Contains(name, "/") {
			return nil // a deeper directory
		}
		if matched, _ := path.Match(o.rules.pattern, name); !matched {
			return nil
		}
		modified, _ := a.LastModified()
		entry := Object{Name: name, Size: -1, Whole: true, Version: timeVersion(modified, -1)}
		o.rules.date(&entry, modified)
		found.add(entry)
		return nil
	}, objstore.WithUpdatedAt())
	if err != nil {
		return nil, err
	}
	list := found.sorted()
	o.knownMu.Lock()
	defer o.knownMu.Unlock()
	if found.dropped && !o.warned {
		o.warned = true
		o.log.Warn("the store holds more objects than are looked at: only the newest are", "store", o.String(), "limit", o.rules.limit)
	}
	return list, nil
}

// ask fills in size and version of the newest objects, and of those it knows from
// when they were the newest.
func (o *objects) ask(ctx context.Context, b objstore.BucketReader, list []Object) ([]Object, error) {
	o.knownMu.Lock()
	defer o.knownMu.Unlock()
	known := make(map[string]attributes, len(o.known))
	kept, asked := list[:0], 0
	for _, entry := range list {
		a, ok := o.known[entry.Name]
		ok = ok && a.listed.Equal(entry.Changed)
		if asked < askedAfter && entry.Problem == nil {
			asked++
			if !ok || a.asked.Sub(a.listed) < settled {
				var err error
				a, err = o.attributes(ctx, b, entry)
				switch {
				case err == nil:
					ok = true
				case b.IsObjNotFoundErr(err):
					continue // removed since the listing
				case denied(err) && ctx.Err() == nil:
					entry.Problem = &Problem{ReasonUnreadable, errors.New(o.secrets.hide(describe(err)))}
				default:
					return nil, err
				}
			}
		}
		if ok {
			known[entry.Name] = a
			entry.Size, entry.Version = a.size, a.version(entry.Changed)
		}
		kept = append(kept, entry)
	}
	o.known = known
	return kept, nil
}

func (o *objects) attributes(ctx context.Context, b objstore.BucketReader, entry Object) (attributes, error) {
	ctx, note := withETag(ctx)
	got, err := b.Attributes(ctx, o.key(entry.Name))
	if err != nil {
		return attributes{}, err
	}
	a := attributes{listed: entry.Changed, asked: o.rules.now(), size: got.Size}
	if o.etags {
		a.etag = note.get()
	}
	return a, nil
}

func (o *objects) key(name string) string {
	if o.prefix == "" {
		return name
	}
	return o.prefix + "/" + name
}

func (a attributes) version(modified time.Time) string {
	if a.etag != "" {
		return etagVersion + a.etag
	}
	return timeVersion(modified, a.size)
}

const etagVersion = "etag "

// timeVersion leaves out fractions of a second: a listing may tell them where the
// object's own attributes do not.
func timeVersion(modified time.Time, size int64) string {
	if size < 0 {
		return fmt.Sprintf("time %d", modified.Unix())
	}
	return fmt.Sprintf("time %d size %d", modified.Unix(), size)
}
