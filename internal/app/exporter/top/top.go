// SPDX-License-Identifier: Apache-2.0

// Package top answers "who is filling my etcd?": it watches one cluster for a
// while and tells who writes how much, by resource, namespace and key, and for
// Kubernetes events by reason, source and involved object.
//
// The watch is one watcher on one member, rather a follower, from now on: the
// server sends every change once more, value included, and that is what it costs.
// Its member is asked for its Status every 5 s. Memory is bounded whatever is
// written, and the watch ends by itself when MaxBytes were received. When a member
// fails, another goes on from the next revision; where that was compacted
// meanwhile, the report has a gap.
//
// Options.Output "json" prints one Report, documented there.
package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// What is meant where an option is zero.
const (
	DefaultFor      = 30 * time.Second
	DefaultRows     = 10
	DefaultMaxBytes = 1 << 30
)

// The outputs.
const (
	Text = "text"
	JSON = "json"
)

// Options say what is watched, for how long, and how it is shown.
type Options struct {
	Cluster *etcd.Cluster // stays the caller's to close
	Name    string        // of the cluster, for headings
	User    string        // that etcd knows us by; for an error's text

	Prefix   string        // of the keys; empty: all there are
	Endpoint string        // watch this one only; empty: a follower, and another when it fails
	For      time.Duration // 0: DefaultFor
	MaxBytes uint64        // that are received at most; 0: DefaultMaxBytes
	Rows     int           // a table; 0: DefaultRows
	Output   string        // Text (or empty) or JSON

	// Size gives the terminal's columns and lines, asked before each drawing. nil:
	// out is no terminal, and only the final table is printed, without escapes.
	Size func() (columns, lines int)
}

func (o Options) resolve() (Options, error) {
	if o.For == 0 {
		o.For = DefaultFor
	}
	if o.Rows == 0 {
		o.Rows = DefaultRows
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Output == "" {
		o.Output = Text
	}
	switch {
	case o.For < 0:
		return o, fmt.Errorf("watch for %s: that is no time", o.For)
	case o.Rows < 0 || o.Rows > keyCounters:
		return o, fmt.Errorf("%d rows: from 1 to %d can be shown", o.Rows, keyCounters)
	case o.Output != Text && o.Output != JSON:
		return o, fmt.Errorf("output %q is neither %s nor %s", o.Output, Text, JSON)
	}
	return o, nil
}

// Run watches until the time is over or ctx ends, and prints what it saw: that is
// success either way, also when nothing was written. It fails where no member can
// be watched from the start, where etcd refuses, or where no member was left at
// the end; what was seen until then is printed all the same.
func Run(ctx context.Context, o Options, out io.Writer) error {
	o, err := o.resolve()
	if err != nil {
		return err
	}
	if err := run(ctx, realSource{o.Cluster}, o, out); err != nil {
		return fmt.Errorf("cluster %s: %w", printable(o.Name), err)
	}
	return nil
}

func run(ctx context.Context, s source, o Options, out io.Writer) error {
	l := &ledger{cluster: o.Name, prefix: o.Prefix, tally: newTally()}
	f := &follower{
		source: s, ledger: l, prefix: o.Prefix, endpoint: o.Endpoint,
		maxBytes: o.MaxBytes, user: o.User, failures: map[string]int{},
	}
	first, err := f.pick(ctx)
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted before the watch began")
	case err != nil:
		return err
	}
	// Not a deadline: gRPC would hand it on, and the server might end the watch a
	// moment before we do.
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(o.For, cancel).Stop()
	stop := draw(watching, o, l, out)
	err = f.follow(watching, first)
	over := watching.Err() != nil
	cancel()
	stop()
	switch {
	case errors.Is(err, errEnough):
		l.note("%s were received, which is the bound: ended early", size(float64(o.MaxBytes)))
		l.end(endedMaxBytes)
		err = nil
	case !over: // etcd refuses
		l.end(endedLost)
		if l.report(0).Total.Writes == 0 {
			return err
		}
	case ctx.Err() != nil:
		l.end(endedInterrupted)
		err = nil
	case f.cut != nil:
		l.end(endedLost)
		err = fmt.Errorf("the watch was cut and no member took it again: %s", oneLine(f.cut))
	default:
		l.end(endedTime)
		err = nil
	}
	return errors.Join(err, write(l.report(o.Rows), o, out))
}

// write prints the final report.
func write(r Report, o Options, out io.Writer) error {
	if o.Output == JSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(r); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
		return nil
	}
	columns := 0
	if o.Size != nil {
		columns, _ = o.Size()
	}
	if _, err := io.WriteString(out, render(r, view{columns: columns})); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}
