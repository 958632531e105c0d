// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

const (
	snapshotKeys  = 1_000_000
	snapshotValue = 700 // bytes, about; with keys and pages that makes 1 GB
)

// snapshots judges a snapshot of about 1 GB that etcdctl took of a member.
func snapshots(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "etcdops-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "sound.db")
	if err := takeSnapshot(ctx, o, file); err != nil {
		return err
	}
	etcdutl, err := etcdbin.Path(ctx, o.version, etcdbin.Etcdutl)
	if err != nil {
		return err
	}
	if err := judgeInTurn(ctx, o, etcdutl, file); err != nil {
		return err
	}
	if err := judgeFlipped(ctx, o, etcdutl, file, filepath.Join(dir, "flipped.db")); err != nil {
		return err
	}
	return judgeInBackground(ctx, o, dir, file)
}

func takeSnapshot(ctx context.Context, o options, file string) error {
	etcdctl, err := etcdbin.Path(ctx, o.version, etcdbin.Etcdctl)
	if err != nil {
		return err
	}
	l, err := lab.Start(ctx, lab.Options{Members: 1, TLS: lab.Plain, Version: o.version, QuotaBytes: 8 << 30})
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Load(ctx, lab.LoadOptions{Events: snapshotKeys, ValueBytes: snapshotValue}); err != nil {
		return err
	}
	if _, err := succeed(ctx, etcdctl, "--endpoints="+l.Endpoints()[0], "--command-timeout=5m", "snapshot", "save", file); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err == nil {
		fmt.Printf("snapshot:                      %.2f GB, %d keys\n", float64(info.Size())/1e9, snapshotKeys)
	}
	return err
}

// judgeInTurn compares the times of programs that read all of the file.
func judgeInTurn(ctx context.Context, o options, etcdutl, file string) error {
	ways := [][]string{
		{o.exporter, "verify-snapshot", file},
		{"sha256sum", file},
		{etcdutl, "snapshot", "status", file},
	}
	if _, err := exec.LookPath("openssl"); err == nil {
		ways = append(ways, []string{"openssl", "dgst", "-sha256", file})
	}
	for _, cached := range []bool{true, false} {
		if err := takeTurns(ctx, o.runs, ways, file, cached); err != nil {
			return err
		}
	}
	return nil
}

// takeTurns runs each program once a turn, with the file in the page cache or read
// from the disk.
func takeTurns(ctx context.Context, runs int, ways [][]string, file string, cached bool) error {
	took, used, ratios := make([][]float64, len(ways)), make([][]float64, len(ways)), make([][]float64, len(ways))
	fmt.Printf("file in the page cache: %t\n", cached)
	for range runs {
		for i, way := range ways {
			if !cached { // dd with nothing to copy drops the file from the cache
				if _, err := succeed(ctx, "dd", "if="+file, "iflag=nocache", "count=0"); err != nil {
					return err
				}
			}
			e, err := succeed(ctx, way[0], way[1:]...)
			if err != nil {
				return err
			}
			took[i], used[i] = append(took[i], e.wall.Seconds()), append(used[i], e.cpu.Seconds())
			ratios[i] = append(ratios[i], e.wall.Seconds()/took[0][len(took[0])-1])
		}
	}
	for i, way := range ways {
		name := strings.TrimSuffix(strings.Join(append([]string{filepath.Base(way[0])}, way[1:]...), " "), " "+file)
		fmt.Printf("  %-30s %.2f s (%s), CPU %.2f s", name+":", median(took[i]), list(took[i]), median(used[i]))
		if i > 0 {
			fmt.Printf("; %.2f x verify-snapshot, turn by turn", median(ratios[i]))
		}
		fmt.Println()
	}
	return nil
}

// judgeFlipped shows who finds one changed byte, in the middle of a value.
func judgeFlipped(ctx context.Context, o options, etcdutl, file, flipped string) error {
	if _, err := succeed(ctx, "cp", file, flipped); err != nil {
		return err
	}
	defer os.Remove(flipped)
	if err := flip(flipped); err != nil {
		return err
	}
	for _, way := range [][]string{{o.exporter, "verify-snapshot", flipped}, {etcdutl, "snapshot", "status", flipped}} {
		e, err := tool(ctx, way[0], way[1:]...)
		if err != nil {
			return err
		}
		fmt.Printf("one byte flipped, %s: exit %d\n    %s\n", filepath.Base(way[0]), e.exit, strings.ReplaceAll(strings.TrimSpace(e.output), "\n", "\n    "))
	}
	return nil
}

// flip changes a byte in a value near the middle of a snapshot: Load's values begin
// with "k8s\0" and have hundreds of bytes.
func flip(name string) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	middle, window := info.Size()/2, make([]byte, 1<<20)
	if _, err := io.ReadFull(io.NewSectionReader(file, middle, int64(len(window))), window); err != nil {
		return err
	}
	at := bytes.Index(window, []byte("k8s\x00"))
	if at < 0 {
		return fmt.Errorf("%s has no value in the middle", name)
	}
	_, err = file.WriteAt([]byte{window[at+100] ^ 1}, middle+int64(at)+100)
	return err
}
