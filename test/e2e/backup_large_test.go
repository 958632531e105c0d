// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// allowance is how much memory judging may take beside what the idle exporter has.
const allowance = 30 << 20

// TestBackupBomb has zeros, tens of GB of them, in a few MB. What begins as a
// snapshot does is read on and on: without more memory, and until the exporter is
// told to stop.
func TestBackupBomb(t *testing.T) {
	t.Parallel()
	l := backupLab(t, lab.Embedded)
	of := takeSnapshot(t, l, "3.7.3", filepath.Join(t.TempDir(), "a.db"))
	dir, scratch := t.TempDir(), t.TempDir()
	begins := readAll(t, of.file)[:16<<10]
	for _, name := range []string{"zeros.gz", "zeros.zst", "begins.gz", "begins.zst"} {
		bomb(t, filepath.Join(dir, name), begins)
	}
	e := exportKeyspace(t, l.Endpoints(), "keyspaces: []\n")
	for range 10 {
		e.Scrape("/metrics")
	}
	idle := e.anonymous()
	config := "keyspaces: []\nbackups:\n"
	for _, name := range []string{"zeros.gz", "zeros.zst"} {
		config += fmt.Sprintf("  - {name: %s, path: '%s', pattern: %s, scratch_directory: '%s', check_interval: 1s}\n", name, dir, name, scratch)
	}
	for _, name := range []string{"begins.gz", "begins.zst"} { // no scratch directory: it would be filled
		config += fmt.Sprintf("  - {name: %s, path: '%s', pattern: %s, check_interval: 1s}\n", name, dir, name)
	}
	e = exportKeyspace(t, l.Endpoints(), config)
	stop, began := e.peak(), time.Now()
	await(t, soon, "the bombs of zeros are found out", func() error {
		s := e.Scrape("/metrics")
		return errors.Join(s.Want(1, "backup_problem", "store", "zeros.gz", "reason", "not_a_snapshot"), s.Want(0, "backup_verified", "store", "zeros.gz"),
			s.Want(1, "backup_problem", "store", "zeros.zst", "reason", "not_a_snapshot"), s.Want(0, "backup_verified", "store", "zeros.zst"))
	})
	for time.Since(began) < 4*time.Second {
		s := e.Scrape("/metrics")
		check(t, s.Up(l.Endpoints()[0]), s.Want(1, "backup_files", "store", "begins.gz"))
		pause(t, 100*time.Millisecond)
	}
	most := stop()
	t.Logf("%d MiB at most, %d idle", most>>20, idle>>20)
	if most > idle+2*allowance && !raced { // two are read at a time
		t.Errorf("%d MiB of anonymous memory, %d idle", most>>20, idle>>20)
	}
	e.Stop()
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch directory: %v %v", left, err)
	}
}

// bomb writes 25 GiB of zeros, with a beginning where the name says so.
func bomb(t *testing.T, name string, begins []byte) {
	t.Helper()
	to := zst
	if strings.HasSuffix(name, ".gz") {
		to = gz
	}
	pack := func(content []byte) string {
		var packed strings.Builder
		w := to(&packed)
		_, err := w.Write(content)
		must(t, err, w.Close())
		return packed.String()
	}
	const each, times = 32 << 20, 800
	content := strings.Repeat(pack(make([]byte, each)), times)
	if strings.HasPrefix(filepath.Base(name), "begins") {
		content = pack(begins) + content
	}
	must(t, os.WriteFile(name, []byte(content), 0o600))
	age(t, name, time.Hour)
}

// TestBackupMemory judges a snapshot of 1 GB from a directory and from S3.
func TestBackupMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 2 GB")
	}
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain})
	dir, source := t.TempDir(), filepath.Join(t.TempDir(), "a.db")
	began := time.Now()
	largeSnapshot(t, source, 1000<<20)
	made := time.Since(began)
	s3 := startS3(t)
	object := serveLarge(t, source)
	listed := t.TempDir()
	e := exportKeyspace(t, l.Endpoints(), fmt.Sprintf("backups:\n  - {name: files, path: '%s', check_interval: 100ms}\n  - {name: objects, check_interval: 100ms, scratch_directory: '%s', %s}\n", dir, listed, s3.objstore()))
	ready := func() error {
		s := e.Scrape("/metrics")
		return errors.Join(s.Want(0, "backup_files", "store", "files"), s.Want(0, "backup_files", "store", "objects"), s.Up(l.Endpoints()[0]))
	}
	await(t, soon, "both stores are empty", ready)
	for range 10 {
		e.Scrape("/metrics")
	}
	for _, store := range []string{"files", "objects"} {
		idle, stop := e.anonymous(), e.peak()
		began := time.Now()
		if store == "files" {
			must(t, os.Rename(source, filepath.Join(dir, "a.db")))
			source = filepath.Join(dir, "a.db")
		} else {
			s3.gate.Store(&object)
		}
		await(t, time.Minute, store+" is judged", func() error {
			s := e.Scrape("/metrics")
			return errors.Join(s.Want(1, "backup_verified", "store", store), s.Want(1000, "backup_keys", "store", store), s.Want(1001, "backup_revision", "store", store))
		})
		most := stop()
		t.Logf("%s: %d MiB at most, %d idle; %s (made in %s)", store, most>>20, idle>>20, time.Since(began), made)
		if most > idle+allowance && !raced {
			t.Errorf("%s: %d MiB of anonymous memory, %d idle", store, most>>20, idle>>20)
		}
	}
}

// serveLarge is an S3 server for one object that stays on disk.
func serveLarge(t *testing.T, file string) http.HandlerFunc {
	t.Helper()
	content, err := os.Open(file)
	must(t, err)
	t.Cleanup(func() { content.Close() })
	info, err := content.Stat()
	must(t, err)
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
		if strings.Contains(r.URL.Path, "a.db") {
			http.ServeContent(w, r, "", info.ModTime(), io.NewSectionReader(content, 0, info.Size()))
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprintf(w, `<?xml version="1.0"?><ListBucketResult><Name>%s</Name><Prefix>prod/</Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>`+
			`<Contents><Key>prod/a.db</Key><LastModified>%s</LastModified><ETag>"0123456789abcdef0123456789abcdef"</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>`,
			s3Bucket, info.ModTime().UTC().Format("2006-01-02T15:04:05.000Z"), info.Size())
	}
}
