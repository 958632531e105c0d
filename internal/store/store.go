// SPDX-License-Identifier: Apache-2.0

// Package store reads where snapshots live: directories, globs and object stores,
// plain or compressed. It never writes to a store.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// ErrChanged says that an object is gone, or is not the one that was listed.
var ErrChanged = errors.New("the object changed since it was listed")

// Store is one place that holds snapshots.
type Store interface {
	// List names what the pattern matches, newest first. An entry that cannot be a
	// snapshot (a directory, a FIFO, a link that leads out) is listed with its
	// Problem. An error means that the place itself cannot be read.
	List(ctx context.Context) ([]Object, error)
	// Open reads an object as it is stored, until ctx ends. Whoever opened it closes
	// it. Where the object is not any more the one that was listed, or changes while
	// it is read, the error is ErrChanged. What concerns this one object alone is a
	// *Problem; any other error is the store's.
	Open(ctx context.Context, o Object) (io.ReadCloser, error)
	Close() error
}

// Object is one file or object as it was listed.
type Object struct {
	Name    string    // below the store's directory or prefix
	Size    int64     // in bytes, as stored; -1: not asked, as for the older ones of an object store
	Time    time.Time // from the name where the configuration says so, else of the last change; may lie ahead
	Version string    // changes whenever the content may have: modification time and inode, or etag
	Problem *Problem  // why it is no candidate; nil: it may be a snapshot

	Changed time.Time // when it was changed last, whatever Time is taken from
	Whole   bool      // it appeared as a whole, as in an object store: it is not being written
}

// Config says where snapshots live: Path or ObjStore, never both.
type Config struct {
	Path              string // a directory, one file, or a glob of whole paths
	Glob              bool   // Path is a glob; Pattern is not used then
	Pattern           string // of file names in a directory, as stored: "*.db" does not match x.db.gz
	TimeFromName      string // Go time layout; empty: the time of the last change
	ObjStore          *ObjStoreConfig
	MaxBytesPerSecond int64 // of what is read from the store, all readers together; 0: no bound
}

// New makes a store. It reads no directory and asks no server: what cannot be
// reached is told by List. An error names the field and holds no secret.
func New(cfg Config, log *slog.Logger) (Store, error) {
	r, err := newRules(cfg)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.Path != "" && cfg.ObjStore != nil:
		return nil, errors.New("objstore: path is given as well")
	case cfg.ObjStore != nil:
		return newObjStore(*cfg.ObjStore, r, log, nil)
	case cfg.Path == "":
		return nil, errors.New("path: path or objstore is needed")
	}
	f, err := newFiles(cfg.Path, cfg.Glob, r, log)
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	return f, nil
}
