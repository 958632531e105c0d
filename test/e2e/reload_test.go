// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

const (
	reloadGood = "exporter_config_last_reload_successful"
	reloadTime = "exporter_config_last_reload_success_timestamp_seconds"
)

// reloadable is an exporter with a configuration file that a test rewrites.
type reloadable struct {
	*Exporter
	file string
}

// write replaces the file with clusters, which are names and client URLs in turn.
func (r *reloadable) write(clusters ...string) {
	r.t.Helper()
	text := "clusters:\n"
	for i := 0; i+1 < len(clusters); i += 2 {
		text += fmt.Sprintf("  - {name: %s, endpoints: ['%s']}\n", clusters[i], clusters[i+1])
	}
	r.writeText(text)
}

func (r *reloadable) writeText(text string) {
	r.t.Helper()
	must(r.t, pki.WriteFile(r.file, []byte(text), 0o600))
}

// post asks for a reload over HTTP.
func (r *reloadable) post() *Answer {
	r.t.Helper()
	return r.Do("POST", "/-/reload")
}

func startReloadable(t *testing.T, clusters ...string) *reloadable {
	t.Helper()
	r := &reloadable{Exporter: &Exporter{t: t}, file: filepath.Join(t.TempDir(), "etcdops.yml")}
	r.write(clusters...)
	r.Exporter = startExporter(t, "--config.file="+r.file)
	return r
}

func TestReload(t *testing.T) {
	t.Parallel()
	a := startLab(t, lab.Options{Members: 1, TLS: lab.Plain}).Endpoints()[0]
	b := startLab(t, lab.Options{Members: 1, TLS: lab.Plain}).Endpoints()[0]
	e := startReloadable(t, "a", a)
	first := e.Scrape("/metrics")
	check(t, first.Up(a), first.Want(1, reloadGood), refuses(e.Get("/probe?cluster=b"), 404))

	// What the exporter has learned of a cluster that stays must stay.
	narrow := first.Value("endpoint_clock_skew_error_seconds", "url", a) / 2
	var before float64
	await(t, soon, "the clock of a is known better", func() error {
		if before = e.Scrape("/probe?cluster=a").Value("endpoint_clock_skew_error_seconds", "url", a); before > narrow {
			return fmt.Errorf("the error is still %v", before)
		}
		return nil
	})
	e.write("b", b, "a", a)
	check(t, answers(e.post(), 200))
	s := e.Scrape("/probe?cluster=a")
	if after := s.Value("endpoint_clock_skew_error_seconds", "url", a); after > before+0.05 {
		t.Errorf("the clock error went from %v to %v: the cluster has started over", before, after)
	}
	check(t, s.Up(a), e.Scrape("/probe?cluster=b").Up(b))
	own := e.Scrape("/metrics")
	check(t, own.WantNone("endpoint_up"), own.Want(1, reloadGood), answers(e.Get("/"), 200, a, b))
	if own.Value(reloadTime) <= first.Value(reloadTime) {
		t.Error("the time of the last reload did not move")
	}

	t.Run("SIGHUP", func(t *testing.T) {
		e.write("a", a, "c", b)
		e.Signal(syscall.SIGHUP)
		await(t, soon, "b is gone", func() error {
			return errors.Join(refuses(e.Get("/probe?cluster=b"), 404, "a, c"), answers(e.Get("/probe?cluster=c"), 200))
		})
		check(t, e.Scrape("/probe?cluster=c").Up(b))
	})
	t.Run("bad file", func(t *testing.T) { badReload(t, e, a, b) })
	t.Run("changed cluster", func(t *testing.T) {
		e.write("a", b)
		check(t, answers(e.post(), 200), knows(e.Scrape("/metrics"), b))
	})
}

// badReload expects the configuration before it, clusters a and c, to stay.
func badReload(t *testing.T, e *reloadable, a, c string) {
	last := e.Scrape("/metrics").Value(reloadTime)
	for name, text := range map[string]string{
		"unknown field": "clusters:\n  - {name: b, endpoints: ['" + a + "'], nope: 1}\n",
		"no YAML":       "clusters: [\n",
		"empty":         "",
		"no file":       "clusters:\n  - {name: b, endpoints: ['https://h:1'], tls: {ca_file: gone}}\n",
	} {
		e.writeText(text)
		answer := e.post()
		check(t, answers(answer, 500, "etcdops.yml:"))
		if goTypes.MatchString(answer.Body) {
			t.Errorf("%s: the reason is Go, not a message: %s", name, answer.Body)
		}
		own := e.Scrape("/metrics")
		check(t, own.Want(0, reloadGood), own.Want(last, reloadTime))
		check(t, e.Scrape("/probe?cluster=a").Up(a), e.Scrape("/probe?cluster=c").Up(c), refuses(e.Get("/probe?cluster=b"), 404))
	}
	check(t, logs(e.Exporter, 4, "level=error", "reload failed"))
	e.Signal(syscall.SIGHUP)
	check(t, logs(e.Exporter, 5, "level=error", "reload failed"))
	check(t, e.Scrape("/probe?cluster=a").Up(a))

	e.write("a", a, "c", c)
	check(t, answers(e.post(), 200))
	own := e.Scrape("/metrics")
	check(t, own.Want(1, reloadGood))
	if own.Value(reloadTime) <= last {
		t.Error("the time of the last reload did not move")
	}
}

// TestReloadWhileScraped reloads again and again under scrapes, which must all
// be answered; a cluster whose configuration changes gets new connections.
func TestReloadWhileScraped(t *testing.T) {
	t.Parallel()
	a := startLab(t, lab.Options{Members: 1, TLS: lab.Plain}).Endpoints()[0]
	e := startReloadable(t, "a", a)
	must(t, e.Scrape("/metrics").Up(a))
	scraped := make(chan error)
	stop := make(chan struct{})
	for range 3 {
		go func() {
			for {
				s, err := e.scrape("/probe?cluster=a")
				if err == nil {
					err = s.Up(a)
				}
				select {
				case scraped <- err:
				case <-stop:
					return
				}
			}
		}()
	}
	goroutines := e.Scrape("/metrics").Value("go_goroutines")
	for i := range 20 {
		e.writeText(fmt.Sprintf("clusters:\n  - {name: a, endpoints: ['%s'], probe_key: key%d}\n", a, i))
		check(t, answers(e.post(), 200), <-scraped, <-scraped)
	}
	close(stop)
	await(t, soon, "old clusters are closed", func() error {
		if now := e.Scrape("/metrics").Value("go_goroutines"); now > goroutines+15 {
			return fmt.Errorf("%v goroutines, %v before", now, goroutines)
		}
		return nil
	})
	if n := strings.Count(e.Log(), "endpoint is down"); n > 0 {
		t.Errorf("the endpoint went down %d times", n)
	}
}

// TestReloadFlags reads the same flags again: that is no error.
func TestReloadFlags(t *testing.T) {
	t.Parallel()
	e := startExporter(t, "--etcd.endpoints=http://127.0.0.1:1")
	check(t, answers(e.Do("POST", "/-/reload"), 200), e.Scrape("/metrics").Want(1, reloadGood),
		e.Scrape("/metrics").Down("http://127.0.0.1:1", "refused"))
}
