// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/etcdops/etcdops/internal/app/exporter"
	"github.com/etcdops/etcdops/internal/app/exporter/verify"
	"github.com/etcdops/etcdops/internal/cli"
)

// The commands. Without one the program serves.
const (
	serveCommand  = "serve"
	verifyCommand = "verify-snapshot"
	topCommand    = "top"
)

func (f *flags) commands() {
	f.app.Command(serveCommand, "Serve metrics: what the program does without a command.").Default()

	v := f.app.Command(verifyCommand, "Say of each snapshot file whether it could be restored; exit 0 only when all are sound.")
	v.Arg("FILE", "Snapshot files, plain or compressed with gzip or zstd.").Required().StringsVar(&f.verify.Files)
	v.Flag("scratch-directory", "Where a compressed file is unpacked for the look into it; up to half of its free space. Empty: its checksum only.").
		Default(os.TempDir()).StringVar(&f.verify.Scratch)
	v.Flag("output", "text or json.").Default("text").SetValue(cli.Word{Flag: "output", Into: &f.verify.Output, Words: []string{"text", "json"}})

	t := f.app.Command(topCommand, "Who is filling my etcd? Watch all changes of one cluster for a while: writes and bytes by resource, namespace, key and event.")
	t.Flag("cluster", "Name of the cluster in --config.file. (default: the only one)").PlaceHolder("NAME").StringVar(&f.cluster)
	t.Flag("for", "How long to watch; at most 1 GiB is received.").Default("30s").SetValue(cli.Duration{Flag: "for", Into: &f.top.For})
	t.Flag("prefix", "Watch keys that begin so alone. (default: all keys)").PlaceHolder("PREFIX").StringVar(&f.top.Prefix)
	t.Flag("rows", "Rows of each table.").Default("10").IntVar(&f.top.Rows)
	t.Flag("output", "text or json.").Default("text").SetValue(cli.Word{Flag: "output", Into: &f.top.Output, Words: []string{"text", "json"}})
}

// verifySnapshots is the command verify-snapshot.
func (f *flags) verifySnapshots(ctx context.Context, stdout, stderr io.Writer) int {
	if _, width, ok := terminal(stderr); ok {
		f.verify.Progress, f.verify.Width = stderr, width
	}
	sound, err := verify.Run(ctx, f.verify, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "etcd_exporter: %v\n", err)
	}
	if err != nil || !sound {
		return 1
	}
	return 0
}

// showTop is the command top.
func (f *flags) showTop(ctx context.Context, options exporter.Options, stdout, stderr io.Writer) int {
	switch {
	case f.top.For <= 0:
		fmt.Fprintf(stderr, "etcd_exporter: --for=%s is no time to watch for, write such as 30s\n", f.top.For)
		return 1
	case f.top.Rows < 1:
		fmt.Fprintf(stderr, "etcd_exporter: --rows=%d: at least 1\n", f.top.Rows)
		return 1
	}
	if file, _, ok := terminal(stdout); ok && os.Getenv("TERM") != "dumb" {
		f.top.Size = func() (columns, lines int) {
			columns, lines, _ = term.GetSize(int(file.Fd()))
			return columns, lines
		}
	}
	if err := exporter.Top(ctx, options, f.cluster, f.top, stdout); err != nil {
		fmt.Fprintf(stderr, "etcd_exporter: %v\n", err)
		return 1
	}
	return 0
}

// terminal says whether a person looks at w, and how many columns there are.
func terminal(w io.Writer) (file *os.File, columns int, ok bool) {
	file, ok = w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, 0, false
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	return file, columns, err == nil
}
