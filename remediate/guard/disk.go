// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/remediate"
)

// A defragmentation writes the database anew beside the old one: its size in use,
// with a fifth and 1 GiB to spare (rule 5).
const (
	diskFactor = 1.2
	diskSpare  = 1 << 30 // bytes
)

// disk refuses to defragment without the space for it. A full disk ends the member.
type disk struct {
	free func(dir string) (uint64, error)
}

func (disk) Name() string { return "disk" }

func (g disk) Check(_ context.Context, c *remediate.Cluster, s *remediate.Step) error {
	if _, err := observed(c); err != nil {
		return err
	}
	switch otherwise := len(c.Policy.RequireQueries) > 0 || c.Policy.AcceptUnknownDisk; {
	case !concerns(c, s, remediate.StepDefrag):
		return nil
	case !isStep(s) && (len(c.DataDirs) > 0 || otherwise): // the step tells
		return nil
	case isStep(s) && c.DataDirs[s.URL] != "":
		return g.room(c, s)
	case otherwise: // the queries are the guard queries' to ask
		return nil
	default:
		return remediate.Refuse("the free space is not known: name the member's data directory in data_dirs, ask for it in require_queries, or set accept_unknown_disk")
	}
}

func (g disk) room(c *remediate.Cluster, s *remediate.Step) error {
	m, err := target(c, s)
	if err != nil {
		return err
	}
	dir := c.DataDirs[s.URL]
	free, err := g.free(dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", plain(dir), err)
	}
	if need := diskFactor*float64(m.Status.DBInUse) + diskSpare; float64(free) < need {
		return remediate.Refuse("%s free in %s of %s, %s needed (1.2 times the %s in use and 1 GiB)", size(float64(free)), plain(dir), name(m), size(need), size(float64(m.Status.DBInUse)))
	}
	return nil
}

// statfs gives the free space for anybody but root, in bytes.
func statfs(dir string) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("statfs: %w", err)
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}
