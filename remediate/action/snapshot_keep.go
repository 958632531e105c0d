// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

const (
	partialPrefix = ".partial-" // of a file that is being written
	suffix        = ".db"
	stamp         = "20060102T150405Z" // UTC
	maxName       = 100                // bytes of a cluster's name in a file's

	// leftOver is how old a file that is being written must be to be taken for what a
	// crash left.
	leftOver = time.Hour
)

// snapshotName names a snapshot of a cluster.
func snapshotName(cluster string, at time.Time) string {
	return fileSafe(cluster) + "-" + at.UTC().Format(stamp) + suffix
}

// isOwnName says whether a snapshot of that cluster could have been given the name
// here.
func isOwnName(cluster, name string) bool {
	rest, ok := strings.CutPrefix(name, fileSafe(cluster)+"-")
	if !ok {
		return false
	}
	at, ok := strings.CutSuffix(rest, suffix)
	if !ok {
		return false
	}
	t, err := time.Parse(stamp, at)
	return err == nil && t.Format(stamp) == at
}

// fileSafe makes a cluster's name fit for a file's. Two that look alike after it stay
// different.
func fileSafe(cluster string) string {
	safe := strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._", r) {
			return r
		}
		return '_'
	}, cluster)
	safe = strings.TrimLeft(safe[:min(len(safe), maxName)], ".-")
	if safe == cluster && safe != "" {
		return safe
	}
	sum := sha256.Sum256([]byte(cluster))
	return fmt.Sprintf("%s-%x", cmp.Or(safe, "cluster"), sum[:4])
}

// sweep removes what a crash left of earlier snapshots of this cluster. What cannot
// be removed stays: the disk's room is looked at afterwards.
func sweep(c *remediate.Cluster, root *os.Root) {
	directory, err := root.Open(".")
	if err != nil {
		return // the writing will tell
	}
	defer func() { _ = directory.Close() }()
	entries, _ := directory.ReadDir(-1)
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), partialPrefix)
		if !ok || !isOwnName(c.Name, name) {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || c.Now().Sub(info.ModTime()) < leftOver {
			continue
		}
		if err := root.Remove(e.Name()); err != nil {
			c.Log.Warn("what a crash left cannot be removed", "file", e.Name(), "err", err)
			continue
		}
		c.Log.Info("removed what a crash left", "file", e.Name(), "size", info.Size())
	}
}

// retain removes the oldest of our own snapshots beyond the number that stays, and
// tells which. The new one was judged a moment ago and always stays. What cannot be
// removed is no reason for the run to fail: the snapshot is there.
func (w *writing) retain() []string {
	keep := w.cluster.Policy.Snapshot.Keep
	if keep <= 0 {
		return nil
	}
	var removed []string
	older := w.older()
	for len(older) > 0 && len(older)+1 > keep {
		name := older[0]
		older = older[1:]
		if err := w.root.Remove(name); err != nil {
			w.cluster.Log.Warn("an older snapshot cannot be removed", "file", name, "err", err)
			continue
		}
		removed = append(removed, filepath.Join(w.backup.Directory, name))
	}
	if len(removed) > 0 {
		if err := syncDirectory(w.root); err != nil {
			w.cluster.Log.Warn("the removal of older snapshots may not last", "err", err)
		}
	}
	return removed
}

// older are the snapshots in this directory that the journal says are ours, oldest
// first, without the new one. One that was moved away or replaced by something else
// does not count.
func (w *writing) older() []string {
	var names []string
	seen := map[string]bool{w.name: true}
	for _, file := range w.cluster.Ledger.Snapshots(w.cluster.Name, w.backup.Name) {
		name := filepath.Base(file)
		if seen[name] || filepath.Dir(file) != filepath.Clean(w.backup.Directory) ||
			!isOwnName(w.cluster.Name, name) || fits(w.backup, name) != nil {
			continue
		}
		seen[name] = true
		info, err := w.root.Lstat(name)
		if err != nil || !info.Mode().IsRegular() {
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				w.cluster.Log.Warn("an older snapshot cannot be looked at", "file", name, "err", err)
			}
			continue
		}
		names = append(names, name)
	}
	return names
}
