// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

// taken is a snapshot of a lab, with what is true of it.
type taken struct {
	file           string
	revision, keys int64
}

// takeSnapshot has etcdctl of a version save a snapshot of member 0, which must be
// plain, and asks etcdutl and the member what is in it.
func takeSnapshot(t testing.TB, l *lab.Lab, version, file string) taken {
	t.Helper()
	run(t, version, etcdbin.Etcdctl, "--endpoints="+l.Endpoints()[0], "snapshot", "save", file)
	var status struct {
		Revision int64 `json:"revision"`
	}
	must(t, json.Unmarshal(run(t, version, etcdbin.Etcdutl, "snapshot", "status", "--write-out=json", file), &status))
	client, err := l.Client()
	must(t, err)
	all, err := client.Get(patient(t), "\x00", clientv3.WithFromKey(), clientv3.WithCountOnly())
	must(t, err)
	return taken{file, status.Revision, all.Count}
}

// run runs one of etcd's own programs.
func run(t testing.TB, version, program string, args ...string) []byte {
	t.Helper()
	name, err := etcdbin.Path(patient(t), version, program)
	must(t, err)
	cmd := exec.CommandContext(patient(t), name, args...)
	cmd.Env = append(exporterEnvironment(), "ETCDCTL_API=3")
	stdout, err := cmd.Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		err = fmt.Errorf("%s %q: %w: %s", program, args, err, failed.Stderr)
	}
	must(t, err)
	return stdout
}

// writeConfig writes a configuration with one cluster, lab; more is its other
// fields, not indented.
func writeConfig(t testing.TB, file string, endpoints []string, more string) {
	t.Helper()
	text := fmt.Sprintf("clusters:\n  - name: lab\n    endpoints: [%s]\n", strings.Join(endpoints, ", "))
	for line := range strings.Lines(more) {
		text += "    " + line
	}
	must(t, pki.WriteFile(file, []byte(text), 0o600))
}

// age makes a file as old as that.
func age(t testing.TB, file string, old time.Duration) {
	t.Helper()
	then := time.Now().Add(-old)
	must(t, os.Chtimes(file, then, then))
}

// modified is a file's time as the exporter shows it.
func modified(t testing.TB, file string) float64 {
	t.Helper()
	info, err := os.Stat(file)
	must(t, err)
	return float64(info.ModTime().UnixMilli()) / 1000
}

// flip changes a bit of the byte in the middle of a file.
func flip(t testing.TB, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	content[len(content)/2] ^= 4
	must(t, os.WriteFile(file, content, 0o600))
}

// copyFile copies a file, of which only the first bytes where most is not negative.
func copyFile(t testing.TB, from, to string, most int64) {
	t.Helper()
	source, err := os.Open(from)
	must(t, err)
	defer source.Close()
	var reader io.Reader = source
	if most >= 0 {
		reader = io.LimitReader(source, most)
	}
	target, err := os.Create(to)
	must(t, err)
	_, err = io.Copy(target, reader)
	must(t, err, target.Close())
}

// largeSnapshot writes a snapshot of about so many bytes that etcd never saw, with
// one key for each MiB.
func largeSnapshot(t testing.TB, file string, size int) {
	t.Helper()
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true, NoGrowSync: true})
	must(t, err)
	value := make([]byte, 1<<20)
	for done := 0; done < size; done += 50 << 20 {
		must(t, db.Update(func(tx *bbolt.Tx) error {
			if _, err := tx.CreateBucketIfNotExists([]byte("meta")); err != nil {
				return err
			}
			bucket, err := tx.CreateBucketIfNotExists([]byte("key"))
			for i := done >> 20; err == nil && i < done>>20+50; i++ {
				err = putRevision(bucket, int64(i+2), value)
			}
			return err
		}))
	}
	must(t, db.Close())
	whole, err := os.OpenFile(file, os.O_RDWR, 0)
	must(t, err)
	hash := sha256.New()
	_, err = io.Copy(hash, whole)
	must(t, err)
	_, err = whole.Write(hash.Sum(nil))
	must(t, err, whole.Close())
}

// putRevision stores one value as etcd does: main revision, "_", sub-revision.
func putRevision(bucket *bbolt.Bucket, revision int64, value []byte) error {
	stored, err := proto.Marshal(&mvccpb.KeyValue{
		Key: fmt.Appendf(nil, "/registry/configmaps/large/%06d", revision), Value: value,
		CreateRevision: revision, ModRevision: revision, Version: 1,
	})
	if err != nil {
		return err
	}
	key := []byte{0, 0, 0, 0, 0, 0, 0, 0, '_', 0, 0, 0, 0, 0, 0, 0, 0}
	for i := range 8 {
		key[7-i] = byte(revision >> (8 * i))
	}
	return bucket.Put(key, stored)
}

// s3Server is an object store in memory. While gate holds a function, that answers
// instead.
type s3Server struct {
	*httptest.Server
	backend *s3mem.Backend
	gate    atomic.Pointer[http.HandlerFunc]
}

const s3Bucket, s3Key, s3Secret = "snapshots", "key-of-s3", "secret-of-s3"

func startS3(t testing.TB) *s3Server {
	t.Helper()
	s := &s3Server{backend: s3mem.New()}
	must(t, s.backend.CreateBucket(s3Bucket))
	fake := gofakes3.New(s.backend).Server()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if instead := s.gate.Load(); instead != nil {
			(*instead)(w, r)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *s3Server) put(t testing.TB, name, file string) {
	t.Helper()
	content, err := os.Open(file)
	must(t, err)
	defer content.Close()
	info, err := content.Stat()
	must(t, err)
	meta := map[string]string{"Last-Modified": info.ModTime().UTC().Format(http.TimeFormat)}
	_, err = s.backend.PutObject(s3Bucket, name, meta, content, info.Size(), nil)
	must(t, err)
}

// objstore is the field of a backup in the configuration, on one line.
func (s *s3Server) objstore() string {
	return fmt.Sprintf("objstore: {type: S3, prefix: prod/, config: {bucket: %s, endpoint: '%s', insecure: true, access_key: %s, secret_key: %s}}",
		s3Bucket, strings.TrimPrefix(s.URL, "http://"), s3Key, s3Secret)
}

// anonymous is the memory of the exporter and its children that no file is behind,
// in bytes; 0 where the system does not tell.
func (e *Exporter) anonymous() int64 {
	e.t.Helper()
	sum := int64(0)
	pids := []string{strconv.Itoa(e.cmd.Process.Pid)}
	for i := 0; i < len(pids); i++ {
		status, err := os.ReadFile(filepath.Join("/proc", pids[i], "status"))
		if err != nil {
			continue // a child that has ended
		}
		for line := range strings.Lines(string(status)) {
			if field, ok := strings.CutPrefix(line, "RssAnon:"); ok {
				kib, _ := strconv.ParseInt(strings.Fields(field)[0], 10, 64)
				sum += kib << 10
			}
		}
		threads, _ := filepath.Glob(filepath.Join("/proc", pids[i], "task", "*", "children"))
		for _, thread := range threads {
			children, _ := os.ReadFile(thread)
			pids = append(pids, strings.Fields(string(children))...)
		}
	}
	return sum
}

// peak notes the largest anonymous memory until it is stopped.
func (e *Exporter) peak() (stop func() int64) {
	done, largest := make(chan struct{}), make(chan int64)
	go func() {
		most := int64(0)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, e.anonymous())
			case <-done:
				largest <- most
				return
			}
		}
	}()
	return func() int64 {
		close(done)
		return <-largest
	}
}
