// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/etcdops/etcdops/test/lab"
)

const (
	bucket    = "snapshots"
	idleTime  = 15 * time.Second
	judgeTime = 5 * time.Minute
)

// place is where the exporter looks for snapshots.
type place struct {
	name, config string
	put, remove  func() error // of the snapshot
}

// judgeInBackground looks at the memory of an exporter that is scraped each second:
// idle, and then while it judges a snapshot that has just come.
func judgeInBackground(ctx context.Context, o options, dir, file string) error {
	member, err := lab.Start(ctx, lab.Options{Members: 1})
	if err != nil {
		return err
	}
	defer member.Close()
	server, backend, err := serveS3()
	if err != nil {
		return err
	}
	defer server.Close()
	local, scratch := filepath.Join(dir, "store"), filepath.Join(dir, "scratch")
	for _, made := range []string{local, scratch} {
		if err := os.Mkdir(made, 0o700); err != nil {
			return err
		}
	}
	s3 := fmt.Sprintf("objstore: {type: S3, config: {bucket: %s, endpoint: %q, insecure: true, access_key: bench, secret_key: bench}}",
		bucket, strings.TrimPrefix(server.URL, "http://"))
	target := filepath.Join(local, "newest.db")
	upload := func() error {
		content, err := os.Open(file)
		if err != nil {
			return err
		}
		defer content.Close()
		info, err := content.Stat()
		if err == nil {
			meta := map[string]string{"Last-Modified": time.Now().UTC().Format(http.TimeFormat)}
			_, err = backend.PutObject(bucket, "newest.db", meta, content, info.Size(), nil)
		}
		return err
	}
	erase := func() error { _, err := backend.DeleteObject(bucket, "newest.db"); return err }
	for _, p := range []place{
		{"directory", fmt.Sprintf("path: %q", local), func() error { return os.Link(file, target) }, func() error { return os.Remove(target) }},
		{"S3, with a scratch directory", s3 + fmt.Sprintf(", scratch_directory: %q", scratch), upload, erase},
		{"S3, the sha256 alone", s3, upload, erase},
	} {
		if err := repeatJudging(ctx, o, member, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func serveS3() (*httptest.Server, *s3mem.Backend, error) {
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		return nil, nil, err
	}
	return httptest.NewServer(gofakes3.New(backend).Server()), backend, nil
}

// repeatJudging starts a fresh exporter for each run.
func repeatJudging(ctx context.Context, o options, member *lab.Lab, p place) error {
	config, err := member.WriteConfig(nil)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	text = fmt.Appendf(text, "    keyspaces: []\n    backups:\n      - {name: bench, check_interval: 1s, %s}\n", p.config)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	var idle, above, took []float64
	for range min(o.runs, 3) {
		before, during, seconds, err := judgeOnce(ctx, o, config, p)
		if err != nil {
			return err
		}
		idle, above, took = append(idle, before/1e6), append(above, (during-before)/1e6), append(took, seconds)
	}
	fmt.Printf("judged from %-30s %.1f MB of anonymous memory above %.1f MB idle (%s), in %.1f s\n",
		p.name+":", median(above), median(idle), list(above), median(took))
	return nil
}

// judgeOnce gives the median of the idle exporter's anonymous memory, and the most
// that it and its children have of it until the snapshot is judged.
func judgeOnce(ctx context.Context, o options, config string, p place) (idle, most, seconds float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, judgeTime)
	defer cancel()
	e, err := start(ctx, o.exporter, "--config.file="+config)
	if err != nil {
		return 0, 0, 0, err
	}
	defer e.stop()
	verified := func(until time.Time, wanted int) error {
		for wanted > 0 || time.Now().Before(until) {
			families, _, err := e.scrape(ctx, "/metrics")
			if err != nil {
				return err
			}
			got := values(families, "etcdops_backup_verified")
			if len(got) == 1 && got[0] != 1 || len(got) > wanted {
				return errors.New("not judged as it should be")
			}
			if wanted > 0 && len(got) == wanted {
				return nil
			}
			if err := sleep(ctx, time.Second); err != nil {
				return err
			}
		}
		return nil
	}
	before, err := sample(e.cmd.Process.Pid, func() error { return verified(time.Now().Add(idleTime), 0) })
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	begin := time.Now()
	during, err := sample(e.cmd.Process.Pid, func() error {
		if err := p.put(); err != nil {
			return err
		}
		begin = time.Now()
		return verified(begin, 1)
	})
	if err != nil {
		return 0, 0, 0, err
	}
	later := before.anonymous[len(before.anonymous)/2:] // it has made its connections
	return median(later), during.most().anonymous, time.Since(begin).Seconds(), nil
}
