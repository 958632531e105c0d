// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/store/judge"
)

var backupMetrics = []Metric{
	gauge("backup_store_up", "1 when the store could be listed at the last check.", "store"),
	gauge("backup_files", "Files in the store that may be snapshots.", "store"),
	gauge("backup_interval_seconds", "How often a backup is due, as configured.", "store"),
	gauge("backup_timestamp_seconds", "Unix time of the newest file that is no longer being written: from its name where time_from_name says so, else of its last change.", "store"),
	gauge("backup_age_seconds", "Age of that file at the time of the scrape.", "store"),
	gauge("backup_size_bytes", "Size of that file as stored.", "store"),
	gauge("backup_uncompressed_size_bytes", "Size of the snapshot in that file.", "store"),
	gauge("backup_verified", "1 when that file is sound (the sha256 at its end is right and, where it could be walked, its pages are readable), 0 when it is not; absent until it was read.", "store"),
	gauge("backup_verified_timestamp_seconds", "Unix time at which that file was judged.", "store"),
	gauge("backup_revision", "Revision of the key space in that file.", "store"),
	gauge("backup_keys", "Keys in that file, deleted ones not counted.", "store"),
	gauge("backup_problem", "Always 1: what is wrong with that file, or with another entry of the store (docs/backups.md has the reasons).", "store", "reason"),
	gauge("backup_sound_timestamp_seconds", "Unix time of the newest file that is known to be sound.", "store"),
	gauge("backup_restore_drill_success", "1 when the last restore drill (etcd_restore_drill) brought a snapshot of the store back to life, 0 when it did not.", "store"),
	gauge("backup_restore_drill_timestamp_seconds", "Unix time at which the last restore drill ended.", "store"),
}

// Backup is one store that is looked at.
type Backup struct {
	Name          string
	Interval      time.Duration // how often a backup is due
	CheckInterval time.Duration
	Judge         *judge.Judge
	DrillFile     string // empty: no drill
}

type backups struct {
	subject
	stores []*watchedStore
}

func newBackup(d Deps) Collector {
	b := &backups{subject: newSubject("backup", "How old the backups are and whether they could be restored: stores are listed at every check_interval, each new file is read once, in the background. On where a store is configured.", backupMetrics)}
	for _, backup := range d.Backups {
		s := &watchedStore{Backup: backup}
		s.checking = job{background: d.Background, log: d.Log, run: s.check, idle: forever}
		s.reading = job{background: d.Background, log: d.Log, run: s.read}
		b.stores = append(b.stores, s)
	}
	return b
}

// applies says whether there is a store.
func (c *backups) applies() bool { return len(c.stores) > 0 }

// start begins before the first scrape: reading a snapshot takes a while.
func (c *backups) start() {
	for _, s := range c.stores {
		s.checking.ask()
	}
}

func (c *backups) Collect(context.Context, *etcd.View) ([]prometheus.Metric, error) {
	b := c.batch()
	for _, s := range c.stores {
		s.report(b, time.Now())
	}
	return b.done()
}

// watchedStore is one store: the jobs that list it and read from it, side by side,
// since reading may take hours where it is bounded.
type watchedStore struct {
	Backup
	checking, reading job

	mu    sync.Mutex
	drill *judge.Drill
	err   error // of the drill's result file
}

// check lists the store, and sees to what is there to be read.
func (s *watchedStore) check(ctx context.Context) time.Duration {
	_ = s.Judge.Check(ctx) // the report has it
	s.checkDrill()
	s.reading.ask()
	return s.CheckInterval
}

// checkDrill reads the drill's result file. Before the first drill there is none.
func (s *watchedStore) checkDrill() {
	if s.DrillFile == "" {
		return
	}
	drill, err := judge.ReadDrill(s.DrillFile)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drill, s.err = &drill, nil
	if err != nil {
		s.drill, s.err = nil, err
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.err = nil
	}
}

// read reads all that is worth it. The next check begins it again.
func (s *watchedStore) read(ctx context.Context) time.Duration {
	for s.Judge.Next(ctx) {
	}
	return 0
}

func (s *watchedStore) report(b *batch, now time.Time) {
	r := s.Judge.Report()
	b.add("backup_interval_seconds", s.Interval.Seconds(), s.Name)
	if r.Checked.IsZero() {
		return
	}
	b.add("backup_store_up", number(r.Err == nil), s.Name)
	if r.Err != nil {
		b.fail(fmt.Errorf("store %s: %w", s.Name, r.Err))
	}
	b.add("backup_files", float64(r.Files), s.Name)
	for _, p := range r.Problems {
		b.add("backup_problem", 1, s.Name, p.Reason)
	}
	if r.Newest != nil {
		s.reportNewest(b, *r.Newest, now)
	}
	if r.Sound != nil {
		b.add("backup_sound_timestamp_seconds", seconds(r.Sound.Time), s.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.fail(s.err)
	if s.drill != nil {
		b.add("backup_restore_drill_success", number(s.drill.Success), s.Name)
		b.add("backup_restore_drill_timestamp_seconds", seconds(s.drill.Time), s.Name)
	}
}

func (s *watchedStore) reportNewest(b *batch, f judge.File, now time.Time) {
	b.add("backup_timestamp_seconds", seconds(f.Time), s.Name)
	b.add("backup_age_seconds", max(0, now.Sub(f.Time).Seconds()), s.Name)
	b.add("backup_size_bytes", float64(f.Size), s.Name)
	v := f.Verdict
	if v == nil {
		return
	}
	b.add("backup_verified", number(v.Sound), s.Name)
	b.add("backup_verified_timestamp_seconds", seconds(v.At), s.Name)
	if v.Size > 0 {
		b.add("backup_uncompressed_size_bytes", float64(v.Size), s.Name)
	}
	if v.Walked {
		b.add("backup_revision", float64(v.Contents.Revision), s.Name)
		b.add("backup_keys", float64(v.Contents.Keys), s.Name)
	}
}
