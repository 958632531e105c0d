// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/etcdops/etcdops/test/lab"
)

const (
	posters     = 64 // that post side by side
	postTime    = 10 * time.Second
	defragBytes = 1 << 29 // of each member's database
	eachPuts    = 50      // put/s to each member
)

// webhooks measures how many alerts a second are accepted. Each of the posters has
// an alert of its own fire and be resolved in turn, so that each post is news and
// has to be on the disk before its answer.
func webhooks(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "etcdops-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := startRemediator(ctx, o, dir, `clusters: [{name: lab, endpoints: ["http://127.0.0.1:1"]}]
remediation:
  journal: `+filepath.Join(dir, "journal")+`
  policies:
    - {name: p, matchers: ['alertname="Bench"'], clusters: [lab], action: compact}
`)
	if err != nil {
		return err
	}
	defer s.stop()
	for range o.runs {
		if err := s.flood(ctx); err != nil {
			return err
		}
	}
	return nil
}

// remediator is a serving etcd_remediator.
type remediator struct {
	cmd *exec.Cmd
	url string
}

var listensAt = regexp.MustCompile(`Listening on" address=(\S+)`)

func startRemediator(ctx context.Context, o options, dir, config string) (*remediator, error) {
	file, log := filepath.Join(dir, "etcdops.yml"), filepath.Join(dir, "log")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	logged, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer logged.Close()
	s := &remediator{cmd: exec.CommandContext(ctx, o.remediator, "serve", "--config.file="+file, "--web.listen-address=127.0.0.1:0")}
	s.cmd.Stdout, s.cmd.Stderr = logged, logged
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		text, err := os.ReadFile(log)
		if err != nil {
			return nil, err
		}
		if found := listensAt.FindSubmatch(text); found != nil {
			s.url = "http://" + string(found[1])
			return s, nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
	s.stop()
	return nil, errors.New("the remediator does not listen")
}

func (s *remediator) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// flood posts for a while and prints the rate.
func (s *remediator) flood(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: posters}}
	defer client.CloseIdleConnections()
	var accepted atomic.Int64
	var mu sync.Mutex
	var took []float64
	var errs error
	var all sync.WaitGroup
	begin := time.Now()
	for i := range posters {
		all.Go(func() {
			for turn := 0; time.Since(begin) < postTime && ctx.Err() == nil; turn++ {
				status := []string{"firing", "resolved"}[turn%2]
				sent := time.Now()
				err := post(ctx, client, s.url, status, i)
				mu.Lock()
				took, errs = append(took, float64(time.Since(sent))/milli), errors.Join(errs, err)
				mu.Unlock()
				if err != nil {
					return
				}
				accepted.Add(1)
			}
		})
	}
	all.Wait()
	if errs != nil {
		return errs
	}
	fmt.Printf("webhook:                       %.0f posts/s accepted by %d posters, p99 %.1f ms\n", float64(accepted.Load())/time.Since(begin).Seconds(), posters, p99(took))
	return nil
}

func post(ctx context.Context, client *http.Client, url, status string, n int) error {
	body := fmt.Sprintf(`{"version":"4","status":%q,"receiver":"r","groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"",`+
		`"alerts":[{"status":%q,"labels":{"alertname":"Bench","n":"%d"},"annotations":{},"startsAt":"2026-01-02T03:04:05Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"%016x"}]}`, status, status, n, n)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/alerts", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the webhook answers %s: %s", response.Status, text)
	}
	return nil
}

// put is one write to a member.
type put struct {
	at   time.Time
	took float64 // milliseconds
	err  error
}

// defrags measures what writers see on the members that are not being defragmented.
func defrags(ctx context.Context, o options) error {
	members, err := lab.Start(ctx, lab.Options{Version: o.version, QuotaBytes: 8 << 30, Fsync: true})
	if err != nil {
		return err
	}
	defer members.Close()
	if err := halfEmpty(ctx, members); err != nil {
		return err
	}
	base, err := members.WriteConfig(nil)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(base)
	if err != nil {
		return err
	}
	config := filepath.Join(members.Dir(), "remediator.yml")
	if err := os.WriteFile(config, []byte(string(text)+`remediation:
  journal: `+filepath.Join(members.Dir(), "journal")+`
  policies:
    - {name: p, clusters: [lab], action: defrag, stable_for: 5s, accept_unknown_disk: true, defrag: {settle: 5s, max_pause: 1m}}
`), 0o600); err != nil {
		return err
	}
	writers, stop, err := writeToAll(ctx, members)
	if err != nil {
		return err
	}
	if err := sleep(ctx, writerTime); err != nil { // idle
		return err
	}
	began := time.Now()
	run := exec.CommandContext(ctx, o.remediator, "run", "defrag", "--yes", "--output=json", "--config.file="+config)
	run.Stderr = os.Stderr
	out, err := run.Output()
	stop()
	if err != nil {
		return fmt.Errorf("run defrag: %w\n%s", err, out)
	}
	return tellDefrags(out, writers, began)
}

// tellDefrags prints what each step did, and what the writers saw meanwhile.
func tellDefrags(out []byte, writers map[string][]put, began time.Time) error {
	var told struct {
		Steps []struct {
			Action, URL, Member string
			StartedAt           time.Time `json:"started_at"`
			FinishedAt          time.Time `json:"finished_at"`
			BeforeBytes         int64     `json:"before_bytes"`
			AfterBytes          int64     `json:"after_bytes"`
		}
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&told); err != nil {
		return err
	}
	during := func(from, to time.Time, on func(url string) bool) (took []float64, failed int) {
		for url, puts := range writers {
			for _, p := range puts {
				switch {
				case !on(url) || p.at.Before(from) || p.at.After(to):
				case p.err != nil:
					failed++
				default:
					took = append(took, p.took)
				}
			}
		}
		return took, failed
	}
	idle, _ := during(began.Add(-writerTime), began, func(string) bool { return true })
	fmt.Printf("writers, %d put/s a member:    p99 %.1f ms idle\n", eachPuts, p99(idle))
	for _, s := range told.Steps {
		others, failed := during(s.StartedAt, s.FinishedAt, func(url string) bool { return url != s.URL })
		its, itsFailed := during(s.StartedAt, s.FinishedAt, func(url string) bool { return url == s.URL })
		fmt.Printf("  %-12s %s: %.2f -> %.2f GB in %.1f s; the other members' writers p99 %.1f ms (%.1f x), max %.1f, %d failed; its own max %.0f ms, %d failed\n",
			s.Action, s.Member, float64(s.BeforeBytes)/1e9, float64(s.AfterBytes)/1e9, s.FinishedAt.Sub(s.StartedAt).Seconds(),
			p99(others), p99(others)/p99(idle), slices.Max(append(others, 0)), failed, slices.Max(append(its, 0)), itsFailed)
	}
	return nil
}

// halfEmpty makes databases of half a gigabyte, of which half holds nothing.
func halfEmpty(ctx context.Context, members *lab.Lab) error {
	client, err := members.Client()
	if err != nil {
		return err
	}
	value := strings.Repeat("x", 256<<10)
	for i := range defragBytes / len(value) {
		if _, err := client.Put(ctx, fmt.Sprintf("fill/%d/%06d", i%2, i), value); err != nil {
			return err
		}
	}
	gone, err := client.Delete(ctx, "fill/0/", clientv3.WithPrefix())
	if err != nil {
		return err
	}
	_, err = client.Compact(ctx, gone.Header.Revision, clientv3.WithCompactPhysical())
	return err
}

// writeToAll has a writer at each member until stop; then writers holds what they saw.
func writeToAll(ctx context.Context, members *lab.Lab) (writers map[string][]put, stop func(), err error) {
	conf, err := members.TLSConfig()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	writers = map[string][]put{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, url := range members.Endpoints() {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, TLS: conf, Logger: zap.NewNop()})
		if err != nil {
			cancel()
			return nil, nil, err
		}
		all.Go(func() {
			defer client.Close()
			var puts sync.WaitGroup
			for i := 0; sleep(ctx, time.Second/eachPuts) == nil; i++ {
				puts.Go(func() {
					asked, end := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
					defer end()
					sent := time.Now()
					_, err := client.Put(asked, fmt.Sprintf("writer/%03d", i%100), "v")
					mu.Lock()
					defer mu.Unlock()
					writers[url] = append(writers[url], put{sent, float64(time.Since(sent)) / milli, err})
				})
			}
			puts.Wait()
		})
	}
	return writers, func() { cancel(); all.Wait() }, nil
}
