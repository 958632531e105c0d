// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
)

// shelf is a store whose list and content a test sets.
type shelf struct {
	objects []store.Object
	err     error
	open    func(ctx context.Context) (io.ReadCloser, error)

	mu    sync.Mutex
	lists int
}

func (s *shelf) List(context.Context) ([]store.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	return s.objects, s.err
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *shelf) listed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

func (s *shelf) Open(ctx context.Context, _ store.Object) (io.ReadCloser, error) { return s.open(ctx) }
func (s *shelf) Close() error                                                    { return nil }

// backupOf is the collector of one store that is checked every minute.
func backupOf(t *testing.T, s *shelf, verify bool, drill string) *backups {
	background := NewBackground(t.Context())
	t.Cleanup(background.Close)
	b, _ := newBackup(Deps{Background: background, Backups: []Backup{{
		Name: "local", Interval: time.Hour, CheckInterval: time.Minute, DrillFile: drill,
		Judge: judge.New(judge.Options{Store: s, Verify: verify, Log: slog.New(slog.DiscardHandler)}),
	}}}).(*backups)
	return b
}

// TestBackup: it is looked at without a scrape, every check_interval; the age grows
// between two of them.
func TestBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		s := &shelf{objects: []store.Object{
			{Name: "b.db", Size: 2080, Time: time.Now().Add(-time.Minute), Version: "1", Whole: true},
			{Name: "a.db", Size: 2080, Time: time.Now().Add(-time.Hour), Version: "1", Whole: true},
			{Name: "c.db", Problem: &store.Problem{Reason: store.ReasonNotRegular, Err: errors.New("a FIFO")}},
		}}
		b := backupOf(t, s, false, "")
		w.must(t, b).want(t, series{`backup_interval_seconds{store="local"}`: 3600, `backup_store_up{store="local"}`: math.NaN()})
		b.start()
		synctest.Wait()
		time.Sleep(30 * time.Second)
		w.must(t, b).want(t, series{
			`backup_store_up{store="local"}`:                            1,
			`backup_files{store="local"}`:                               2,
			`backup_age_seconds{store="local"}`:                         90,
			`backup_size_bytes{store="local"}`:                          2080,
			`backup_verified{store="local"}`:                            math.NaN(),
			`backup_sound_timestamp_seconds{store="local"}`:             math.NaN(),
			`backup_problem{reason="not_a_regular_file",store="local"}`: 1,
		})
		s.fail(errors.New("gone"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.listed() != 2 {
			t.Errorf("listed %d times in 90 s, want 2", s.listed())
		}
		got, err := w.scrape(t.Context(), b)
		if err == nil {
			t.Error("a store that is down is no error")
		}
		got.want(t, series{`backup_store_up{store="local"}`: 0, `backup_age_seconds{store="local"}`: 150})
	})
}

// TestBackupHangs: reading that does not end keeps neither the scrape nor the next
// check waiting.
func TestBackupHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		s := &shelf{
			objects: []store.Object{{Name: "a.db", Size: 2080, Time: time.Now(), Version: "1", Whole: true}},
			open: func(ctx context.Context) (io.ReadCloser, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		}
		b := backupOf(t, s, true, "")
		b.start()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s.listed() < 10 {
			t.Errorf("listed %d times while a read hangs, want once a minute", s.listed())
		}
		w.must(t, b).want(t, series{`backup_store_up{store="local"}`: 1, `backup_verified{store="local"}`: math.NaN()})
	})
}

// TestBackupDrill: the result file is read at every check; none yet is no error, one
// that makes no sense is.
func TestBackupDrill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		name := filepath.Join(t.TempDir(), "drill.json")
		b := backupOf(t, &shelf{}, true, name)
		success := `backup_restore_drill_success{store="local"}`
		b.start()
		synctest.Wait()
		w.must(t, b).want(t, series{success: math.NaN(), `backup_files{store="local"}`: 0})
		at := time.Unix(1_800_000_000, 0)
		if err := judge.WriteDrill(name, judge.Drill{Success: true, Time: at}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		w.must(t, b).want(t, series{success: 1, `backup_restore_drill_timestamp_seconds{store="local"}`: 1_800_000_000})
		if err := judge.WriteDrill(name, judge.Drill{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		got, err := w.scrape(t.Context(), b)
		if err == nil {
			t.Error("a result without a time is no error")
		}
		got.want(t, series{success: math.NaN()})
	})
}
