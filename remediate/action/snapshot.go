// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/remediate"
)

const (
	// roomFor is how many times the database's size must be free before a snapshot of
	// it is begun: the disk must not be full after it.
	roomFor = 2
	// The walk through a new snapshot gets more than one that only watches would: a
	// snapshot that could not be looked into does not count as sound here.
	walkTime      = 5 * time.Minute
	walkTimePerGB = time.Minute
	walkMemory    = 1 << 30 // bytes
)

// takeSnapshot writes one snapshot into a directory store of the cluster, a sound one
// or none, and lets go of older ones of its own.
type takeSnapshot struct {
	free func(directory string) (int64, error) // bytes that its file system has for us
}

func newTakeSnapshot() *takeSnapshot { return &takeSnapshot{free: freeBytes} }

// Name implements remediate.Action.
func (*takeSnapshot) Name() string { return remediate.ActionSnapshot }

// Plan implements remediate.Action.
func (a *takeSnapshot) Plan(_ context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	if c.Run.Has(remediate.StepSnapshot, "") {
		return nil, nil
	}
	b, err := destination(c)
	if err != nil {
		return nil, err
	}
	name := snapshotName(c.Name, c.Now())
	if err := fits(b, name); err != nil {
		return nil, err
	}
	from, ok := c.Seen.Reader()
	if !ok {
		return nil, refuse(refusedPlan, soon, "no voter answers its Status and a read")
	}
	if err := a.room(b.Directory, from); err != nil {
		return nil, err
	}
	return remediate.MemberStep(remediate.StepSnapshot, from, "%s of %s into %s, as %s",
		bytesText(from.Status.DBSize), from.Label(), b.Directory, name), nil
}

// destination finds the store that the policy names.
func destination(c *remediate.Cluster) (remediate.Backup, error) {
	if c.Policy.Snapshot == nil {
		return remediate.Backup{}, fmt.Errorf("the policy does not say where snapshots go")
	}
	i := slices.IndexFunc(c.Backups, func(b remediate.Backup) bool {
		return b.Name == c.Policy.Snapshot.Store && b.Directory != ""
	})
	if i < 0 {
		return remediate.Backup{}, &remediate.Blocked{
			Guard: refusedStore, Lasting: true,
			Reason: fmt.Sprintf("cluster %s has no store %q that is a plain directory", c.Name, c.Policy.Snapshot.Store),
		}
	}
	return c.Backups[i], nil
}

// fits refuses a name that nobody who looks after the store would take for a
// snapshot's.
func fits(b remediate.Backup, name string) error {
	if matched, err := path.Match(b.Pattern, name); err != nil || !matched {
		return &remediate.Blocked{
			Guard: refusedStore, Lasting: true,
			Reason: fmt.Sprintf("a snapshot called %s would not count in store %s, whose pattern is %q", name, b.Name, b.Pattern),
		}
	}
	return nil
}

func (a *takeSnapshot) room(directory string, m remediate.Member) error {
	free, err := a.free(directory)
	if err != nil {
		return fmt.Errorf("learn the free space of %s: %w", directory, err)
	}
	if m.Status.DBSize <= 0 {
		return refuse(refusedDisk, soon, "%s does not tell the size of its database, so nobody knows whether a snapshot of it has room", m.Label())
	}
	if need := roomFor * m.Status.DBSize; free < need || need < 0 {
		return refuse(refusedDisk, 0, "%s has %s free, and a snapshot of %s is begun only where %s are",
			directory, bytesText(free), bytesText(m.Status.DBSize), bytesText(need))
	}
	return nil
}

// freeBytes is what the file system of a directory has for a common user.
func freeBytes(directory string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(directory, &stat); err != nil {
		return 0, err
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil //nolint:unconvert // the types differ between systems
}

// Apply implements remediate.Action.
func (a *takeSnapshot) Apply(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	b, err := destination(c)
	if err != nil {
		return err
	}
	seen := c.Live.Observe(ctx, true)
	if ctx.Err() != nil {
		return fmt.Errorf("snapshot of %s: %w", s.Member, ctx.Err())
	}
	m, ok := seen.MemberAt(s.URL)
	if !ok || etcd.FormatID(m.ID) != s.MemberID || !sound(m) {
		return refuse(refusedPlan, soon, "%s is not %s any more, or does not answer", s.URL, s.Member)
	}
	root, err := os.OpenRoot(b.Directory)
	if err != nil {
		return fmt.Errorf("open store %s: %w", b.Name, err)
	}
	defer func() { _ = root.Close() }()
	sweep(c, root)
	if err := a.room(b.Directory, m); err != nil {
		return err
	}
	s.BeforeBytes = m.Status.DBSize
	w := &writing{cluster: c, step: s, root: root, backup: b, from: m, name: snapshotName(c.Name, c.Now())}
	if err := w.do(ctx); err != nil {
		return fmt.Errorf("snapshot of %s: %w", s.Member, err)
	}
	s.File = filepath.Join(b.Directory, w.name)
	s.Removed = w.retain()
	return nil
}

// walkLimits bound the walk through a snapshot of that many bytes.
func walkLimits(size int64) snapshot.Limits {
	return snapshot.Limits{Memory: walkMemory, Time: walkTime + time.Duration(float64(size)/1e9*float64(walkTimePerGB))}
}

// Verify implements remediate.Action. The file was judged before it got its name;
// here it is seen that it has it.
func (*takeSnapshot) Verify(_ context.Context, c *remediate.Cluster, s *remediate.Step) error {
	info, err := os.Lstat(s.File)
	if err != nil {
		return fmt.Errorf("find the snapshot: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() != s.AfterBytes {
		return fmt.Errorf("the snapshot %s was of %d bytes and is now of %d, mode %s: somebody changed it", s.File, s.AfterBytes, info.Size(), info.Mode())
	}
	if info.Mode().Perm()&^fileMode != 0 { // a file system without modes
		c.Log.Warn("others may read the snapshot, and it holds every secret of the cluster", "file", s.File, "mode", info.Mode().String())
	}
	c.Log.Info("snapshot is sound", "file", s.File, "size", s.AfterBytes, "revision", s.Revision, "keys", s.Keys)
	return nil
}
