// SPDX-License-Identifier: Apache-2.0

// Package verify is the command verify-snapshot: it judges files that a person
// names, and prints a table or JSON.
package verify

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
)

// Options are the command's arguments.
type Options struct {
	Files    []string
	Scratch  string    // directory for the look into compressed files; empty: none
	Output   string    // text or json
	Progress io.Writer // a terminal; nil: no bar
	Width    int       // of the terminal, in columns
}

// Result is one file as --output=json prints it.
type Result struct {
	File             string `json:"file"`
	Sound            bool   `json:"sound"`
	SizeBytes        int64  `json:"size_bytes"`         // as stored
	SnapshotBytes    int64  `json:"snapshot_bytes"`     // decompressed; 0: not known
	Compression      string `json:"compression"`        // empty, gzip or zstd
	SHA256           string `json:"sha256"`             // of the content before the trailing sum; empty: not read to its end
	Walked           bool   `json:"walked"`             // the next three are known
	Revision         int64  `json:"revision"`           //
	CompactRevision  int64  `json:"compact_revision"`   //
	Keys             int64  `json:"keys"`               // deleted ones not counted
	Reason           string `json:"reason"`             // why it is not sound
	Problem          string `json:"problem"`            // the same for a person
	NotWalkedBecause string `json:"not_walked_because"` // why a sound one was not looked into
}

// Run judges the files, one after the other, and says whether all are sound. An
// error means that a verdict could not be had or printed.
func Run(ctx context.Context, o Options, out io.Writer) (sound bool, err error) {
	sound = true
	var results []Result
	for _, name := range o.Files {
		result, err := judgeFile(ctx, o, name)
		if ctx.Err() != nil {
			return false, fmt.Errorf("interrupted while reading %s", name)
		}
		if err != nil {
			result.Reason, result.Problem = store.ReasonUnreadable, err.Error()
		}
		sound = sound && result.Sound
		results = append(results, result)
	}
	if o.Output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return sound, encoder.Encode(results)
	}
	return sound, table(out, results)
}

func judgeFile(ctx context.Context, o Options, name string) (Result, error) {
	result := Result{File: name}
	whole, err := filepath.EvalSymlinks(name) // a link that a person names is followed
	if err != nil {
		return result, plain(err)
	}
	directory, base := filepath.Split(whole)
	if directory == "" {
		directory = "."
	}
	files, err := store.New(store.Config{Path: directory, Pattern: literal(base)}, slog.New(slog.DiscardHandler))
	if err != nil {
		return result, err
	}
	defer files.Close()
	objects, err := files.List(ctx)
	switch {
	case err != nil:
		return result, err
	case len(objects) != 1:
		return result, fmt.Errorf("%s: no such file", name)
	}
	object := objects[0]
	if object.Problem != nil && object.Problem.Reason == store.ReasonFuture {
		object.Problem = nil // it is not its age that a person asks for
	}
	result.SizeBytes = object.Size
	bar := newBar(o.Progress, o.Width, filepath.Base(name), object.Size)
	defer bar.clear()
	v, err := judge.Inspector{Scratch: o.Scratch, Progress: bar.show}.Inspect(ctx, files, object)
	if err != nil {
		return result, err
	}
	result.take(v)
	return result, nil
}

// plain leaves out the names of calls and the path, which stands beside it.
func plain(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return errors.New(strings.TrimPrefix(err.Error(), "EvalSymlinks: "))
}

func (r *Result) take(v judge.Verdict) {
	r.Sound, r.SnapshotBytes, r.Compression = v.Sound, v.Size, v.Compression
	r.Walked, r.Revision, r.CompactRevision, r.Keys = v.Walked, v.Contents.Revision, v.Contents.CompactRevision, v.Contents.Keys
	if v.SHA256 != [32]byte{} {
		r.SHA256 = hex.EncodeToString(v.SHA256[:])
	}
	if v.Problem != nil {
		r.Reason, r.Problem = v.Problem.Reason, v.Problem.Err.Error()
	}
	if v.Unwalked != nil {
		r.NotWalkedBecause = v.Unwalked.Err.Error()
	}
}

// literal makes a pattern that matches one name alone.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// shownSum is how much of the sha256 the table shows, in hex digits.
const shownSum = 12

func table(out io.Writer, results []Result) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tSIZE\tREVISION\tKEYS\tSHA256\tVERDICT")
	for _, r := range results {
		revision, keys, sum, verdict := "-", "-", "-", "sound"
		if r.Walked {
			revision, keys = strconv.FormatInt(r.Revision, 10), strconv.FormatInt(r.Keys, 10)
		}
		if r.SHA256 != "" {
			sum = r.SHA256[:shownSum]
		}
		switch {
		case !r.Sound:
			verdict = "NOT SOUND: " + r.Reason + ": " + line(r.Problem)
		case r.NotWalkedBecause != "":
			verdict = "sound by its sha256; not looked into: " + line(r.NotWalkedBecause)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", line(r.File), size(max(r.SnapshotBytes, r.SizeBytes)), revision, keys, sum, verdict)
	}
	return w.Flush()
}

// line keeps what stands in a cell in its cell.
func line(text string) string {
	quoted := strconv.Quote(text)
	if quoted == `"`+text+`"` {
		return text
	}
	return quoted[1 : len(quoted)-1]
}

func size(bytes int64) string {
	const unit = 1024
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, power := float64(bytes)/unit, 0
	for value >= unit && power < 3 {
		value /= unit
		power++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[power])
}
