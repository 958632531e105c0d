// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/etcdops/etcdops/test/lab"
)

// backupLab is a member with keys that were changed and deleted, too.
func backupLab(t *testing.T, version string) *lab.Lab {
	t.Helper()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain, Version: version})
	must(t, l.Load(patient(t), lab.LoadOptions{Keys: 200, Events: 300}))
	putKeys(t, l, numbered("/registry/gone/", 40)...)
	deleteKeys(t, l, "/registry/gone/")
	putKeys(t, l, numbered("/registry/twice/", 10)...)
	putKeys(t, l, numbered("/registry/twice/", 10)...)
	return l
}

// sound is an error unless the store's newest file is that snapshot.
func sound(s *Scrape, store string, of taken) error {
	s.t.Helper()
	return errors.Join(s.Want(1, "backup_store_up", "store", store), s.Want(1, "backup_verified", "store", store),
		s.Want(float64(of.revision), "backup_revision", "store", store), s.Want(float64(of.keys), "backup_keys", "store", store))
}

// TestBackupVersions judges what each version's etcdctl writes, by --backup.path.
func TestBackupVersions(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.5.35", "3.6.16", "3.7.3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			l := backupLab(t, version)
			dir := t.TempDir()
			of := takeSnapshot(t, l, version, filepath.Join(dir, "a.db"))
			e := exportLab(t, l, "--backup.path="+dir, "--backup.interval=6h")
			await(t, soon, "the snapshot is judged", func() error { return sound(e.Scrape("/metrics"), dir, of) })
			s := e.Scrape("/metrics")
			info, err := os.Stat(of.file)
			must(t, err)
			check(t, s.Want(1, "backup_files", "store", dir), s.Want(6*3600, "backup_interval_seconds", "store", dir), s.WantNone("backup_problem"),
				s.Want(modified(t, of.file), "backup_timestamp_seconds"), s.Want(modified(t, of.file), "backup_sound_timestamp_seconds"),
				s.Want(float64(info.Size()), "backup_size_bytes"), s.Want(float64(info.Size()), "backup_uncompressed_size_bytes"),
				s.Want(1, "exporter_collector_success", "collector", "backup"), logsOnce(e, "snapshot is sound", "revision="))
			if age := s.Value("backup_age_seconds"); age < 0 || age > patience.Seconds() {
				t.Errorf("the age is %v s", age)
			}
			if at := s.Value("backup_verified_timestamp_seconds"); at < s.Value("backup_timestamp_seconds") {
				t.Errorf("judged at %v, before it was written", at)
			}
		})
	}
}

// storeCase is a store in a directory of its own.
type storeCase struct {
	make    func(dir string)
	more    string // fields
	problem string // of the newest file, or an entry; empty: none
	after   func(s *Scrape, store string) error
}

// TestBackupStores has one exporter look at stores in every state.
func TestBackupStores(t *testing.T) {
	t.Parallel()
	l := backupLab(t, "3.6.16")
	of := takeSnapshot(t, l, "3.6.16", filepath.Join(t.TempDir(), "a.db"))
	root := t.TempDir()
	cases := slices.Concat(spoiled(t, of), healthyStores(t, of))
	config := "keyspaces: []\nbackups:\n"
	for name, c := range cases {
		store := fmt.Sprint(name)
		dir := filepath.Join(root, store)
		must(t, os.Mkdir(dir, 0o700))
		c.make(dir)
		config += fmt.Sprintf("  - {name: '%s', check_interval: 1s, path: '%s'%s}\n", store, dir, c.more)
	}
	e := exportKeyspace(t, l.Endpoints(), config)
	for name, c := range cases {
		store := fmt.Sprint(name)
		await(t, soon, fmt.Sprintf("store %s (%s%s) is judged", store, c.problem, c.more), func() error {
			s := e.Scrape("/metrics")
			if c.problem == "" {
				return errors.Join(s.WantNone("backup_problem", "store", store), c.after(s, store))
			}
			return errors.Join(s.Want(1, "backup_problem", "store", store, "reason", c.problem), c.after(s, store))
		})
	}
	s := e.Scrape("/metrics")
	check(t, s.Up(l.Endpoints()[0]), s.Want(1, "exporter_collector_success", "collector", "backup"))
	if strings.Contains(s.Text, root) {
		t.Error("a file name shows in the metrics")
	}
}

// spoiled are stores whose newest entry is not a sound snapshot; where a sound one
// lies beside it, that is an hour older.
func spoiled(t *testing.T, of taken) []storeCase {
	info, err := os.Stat(of.file)
	must(t, err)
	beside := func(spoil func(name string)) func(dir string) {
		return func(dir string) {
			old := filepath.Join(dir, "old.db")
			copyFile(t, of.file, old, -1)
			age(t, old, 3*time.Hour)
			spoil(filepath.Join(dir, "x.db"))
		}
	}
	cut := func(size int64) func(string) {
		return beside(func(name string) { copyFile(t, of.file, name, size); age(t, name, 2*time.Hour) })
	}
	// The newest file is no good, and the older one is found.
	bad := func(s *Scrape, store string) error {
		return errors.Join(s.Want(0, "backup_verified", "store", store), older(s, store, 3*time.Hour), s.WantNone("backup_revision", "store", store))
	}
	// What is no file does not hide the one beside it.
	passed := func(s *Scrape, store string) error {
		return errors.Join(sound(s, store, of), older(s, store, 3*time.Hour), s.Want(1, "backup_files", "store", store))
	}
	return []storeCase{
		{beside(func(name string) { copyFile(t, of.file, name, -1); flip(t, name) }), "", "checksum_mismatch", bad},
		{cut(info.Size() / 1024 * 512), "", "truncated", bad},
		{cut(info.Size()/1024*512 + 32), "", "truncated", bad},
		{cut(0), "", "empty", bad},
		{cut(info.Size() - 32), "", "no_checksum", bad},
		{beside(func(name string) {
			must(t, os.WriteFile(name, []byte(strings.Repeat("text ", 500)), 0o600))
			age(t, name, time.Hour)
		}), "", "not_a_snapshot", bad},
		{beside(func(name string) { must(t, os.Mkdir(name, 0o700)) }), "", "not_a_regular_file", passed},
		{beside(func(name string) { must(t, syscall.Mkfifo(name, 0o600)) }), "", "not_a_regular_file", passed},
		{beside(func(name string) { must(t, os.Symlink("gone.db", name)) }), "", "link", passed},
		{beside(func(name string) { must(t, os.Symlink("/etc/passwd", name)) }), "", "link", passed},
		{beside(func(name string) { copyFile(t, of.file, name, -1); age(t, name, -48*time.Hour) }), "", "time_in_future", passed},
	}
}

// older is an error unless the newest sound file is of that age.
func older(s *Scrape, store string, want time.Duration) error {
	at, err := s.Lookup("backup_sound_timestamp_seconds", "store", store)
	if is := time.Since(time.UnixMilli(int64(at * 1000))); err == nil && (is < want || is > want+patience) {
		return fmt.Errorf("the newest sound file is %s old, want %s", is, want)
	}
	return err
}

// healthyStores are those that have what is wanted of them.
func healthyStores(t *testing.T, of taken) []storeCase {
	compressed := func(name string, to func(io.Writer) io.WriteCloser) func(string) {
		return func(dir string) { // old enough: its size does not tell that it is whole
			compress(t, filepath.Join(dir, name), to, readAll(t, of.file))
			age(t, filepath.Join(dir, name), time.Hour)
		}
	}
	scratch := ", scratch_directory: '" + t.TempDir() + "'"
	plain := func(dir string) { copyFile(t, of.file, filepath.Join(dir, "a.db"), -1) }
	whole := func(s *Scrape, store string) error { return sound(s, store, of) }
	bySum := func(s *Scrape, store string) error {
		return errors.Join(s.Want(1, "backup_verified", "store", store), s.WantNone("backup_keys", "store", store))
	}
	drill := filepath.Join(t.TempDir(), "drill.json")
	return []storeCase{
		{compressed("a.db.gz", gz), `, pattern: "*.db*"` + scratch, "", whole},
		{compressed("a.db.zst", zst), `, pattern: "*.db*"` + scratch, "", whole},
		{compressed("a.db.gz", gz), `, pattern: "*.db*"`, "", bySum},
		{compressed("a.db.zst", zst), `, pattern: "*.db*"`, "", bySum},
		{plain, ", verify: false", "", func(s *Scrape, store string) error {
			return errors.Join(s.Want(1, "backup_files", "store", store), s.WantNone("backup_verified", "store", store), s.WantNone("backup_sound_timestamp_seconds", "store", store))
		}},
		{func(string) {}, "", "", func(s *Scrape, store string) error {
			return errors.Join(s.Want(1, "backup_store_up", "store", store), s.Want(0, "backup_files", "store", store), s.WantNone("backup_timestamp_seconds", "store", store))
		}},
		{func(dir string) {
			plain(dir)
			must(t, os.WriteFile(drill, []byte(`{"success": true, "time": "2026-01-02T03:04:05Z", "snapshot": "a.db"}`), 0o600))
		}, ", drill_result_file: '" + drill + "'", "", func(s *Scrape, store string) error {
			return errors.Join(sound(s, store, of), s.Want(1, "backup_restore_drill_success", "store", store),
				s.Want(float64(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix()), "backup_restore_drill_timestamp_seconds", "store", store))
		}},
		{func(dir string) {
			copyFile(t, of.file, filepath.Join(dir, "etcd-20260102-0304.db"), -1)
		}, ", time_from_name: 20060102-1504", "", func(s *Scrape, store string) error {
			return errors.Join(sound(s, store, of), s.Want(float64(time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC).Unix()), "backup_timestamp_seconds", "store", store))
		}},
	}
}

func readAll(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	return content
}

func gz(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func zst(w io.Writer) io.WriteCloser {
	z, err := zstd.NewWriter(w)
	if err != nil {
		panic(err) // no options, no error
	}
	return z
}

// compress writes the parts to a file, each as a stream of its own.
func compress(t *testing.T, file string, to func(io.Writer) io.WriteCloser, parts ...[]byte) {
	t.Helper()
	out, err := os.Create(file)
	must(t, err)
	for _, part := range parts {
		w := to(out)
		_, err = w.Write(part)
		must(t, err, w.Close())
	}
	must(t, out.Close())
}

// TestBackupGrows appends to a file in steps: until it is whole, the older one
// counts.
func TestBackupGrows(t *testing.T) {
	t.Parallel()
	l := backupLab(t, lab.Embedded)
	dir := t.TempDir()
	of := takeSnapshot(t, l, "3.7.3", filepath.Join(t.TempDir(), "a.db"))
	old, grows := filepath.Join(dir, "old.db"), filepath.Join(dir, "grows.db")
	copyFile(t, of.file, old, -1)
	age(t, old, time.Hour)
	e := exportKeyspace(t, l.Endpoints(), fmt.Sprintf("backups: [{name: local, path: '%s', check_interval: 100ms}]\n", dir))
	await(t, soon, "the old one is judged", func() error { return sound(e.Scrape("/metrics"), "local", of) })
	was := modified(t, old)
	content := readAll(t, of.file)
	out, err := os.Create(grows)
	must(t, err)
	defer out.Close()
	for step := range slices.Chunk(content, len(content)/7/512*512) {
		s := e.Scrape("/metrics")
		check(t, sound(s, "local", of), s.Want(was, "backup_timestamp_seconds"), s.WantNone("backup_problem"))
		_, err := out.Write(step)
		must(t, err)
		if info, _ := out.Stat(); info.Size() < int64(len(content)) {
			pause(t, 400*time.Millisecond) // for some looks at the store
			s := e.Scrape("/metrics")
			check(t, sound(s, "local", of), s.Want(was, "backup_timestamp_seconds"), s.WantNone("backup_problem"))
		}
	}
	await(t, soon, "the new one is judged", func() error {
		s := e.Scrape("/metrics")
		return errors.Join(sound(s, "local", of), s.Want(modified(t, grows), "backup_timestamp_seconds"), s.Want(modified(t, grows), "backup_sound_timestamp_seconds"))
	})
	check(t, logs(e, 2, "snapshot is sound"))
	if n := logged(e, "level=warn"); n > 0 {
		t.Errorf("%d warnings", n)
	}
}

// TestBackupS3 is an object store that stops, and one that hangs.
func TestBackupS3(t *testing.T) {
	t.Parallel()
	l := backupLab(t, lab.Embedded)
	endpoint := l.Endpoints()[0]
	of := takeSnapshot(t, l, "3.7.3", filepath.Join(t.TempDir(), "a.db"))
	good, hangs := startS3(t), startS3(t)
	good.put(t, "prod/a.db", of.file)
	good.put(t, "other/b.db", of.file)
	released := make(chan struct{})
	hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
	})
	hangs.gate.Store(&hang)
	defer close(released)
	config := fmt.Sprintf("backups:\n  - {name: good, check_interval: 500ms, scratch_directory: '%s', %s}\n  - {name: hangs, check_interval: 500ms, %s}\n", t.TempDir(), good.objstore(), hangs.objstore())
	dir := t.TempDir()
	file := filepath.Join(dir, "etcdops.yml")
	writeConfig(t, file, l.Endpoints(), config)
	e := startExporter(t, "--config.file="+file)
	quick := func() *Scrape {
		s := e.Scrape("/metrics")
		if s.Took > 2*time.Second {
			t.Errorf("a scrape took %s", s.Took)
		}
		check(t, s.Up(endpoint), collectors(s), s.WantNone("backup_verified", "store", "hangs"), s.Want(24*3600, "backup_interval_seconds", "store", "hangs"))
		return s
	}
	await(t, soon, "the snapshot in S3 is judged", func() error {
		s := quick()
		return errors.Join(sound(s, "good", of), s.Want(1, "backup_files", "store", "good"), s.WantNone("backup_problem"))
	})

	good.CloseClientConnections()
	good.Close()
	await(t, time.Minute, "the server is known to be down", func() error { return quick().Want(0, "backup_store_up", "store", "good") })
	s := quick()
	check(t, s.Want(1, "backup_verified", "store", "good"), s.Want(0, "exporter_collector_success", "collector", "backup"))
	check(t, logsOnce(e, "level=warn", "collector=backup", "connection refused"))
	for _, secret := range []string{s3Key, s3Secret} {
		if strings.Contains(e.Log()+s.Text+e.Get("/").Body, secret) {
			t.Errorf("%s shows", secret)
		}
	}

	// A reload that takes a store away, while the other one still hangs.
	writeConfig(t, file, l.Endpoints(), "backups:\n  - {name: hangs, check_interval: 500ms, "+hangs.objstore()+"}\n")
	if a := e.Do("POST", "/-/reload"); a.Status != 200 || a.Took > stopTime {
		t.Errorf("the reload answers %d after %s", a.Status, a.Took)
	}
	s = quick()
	for name := range s.Families {
		check(t, s.WantNone(strings.TrimPrefix(name, namespace), "store", "good"))
	}
	e.Stop()
}
