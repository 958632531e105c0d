// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

const (
	requestsPerEndpoint = 6 // and scrape, gRPC and HTTP together
	residentLimit       = 50 << 20
)

// TestBudget reads off the members' own counters what scrapes cost.
func TestBudget(t *testing.T) {
	for _, version := range []string{"3.4.23", "3.5.35", "3.7.3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			const scrapes = 20
			l := startLab(t, lab.Options{Version: version})
			client, err := l.Client()
			must(t, err)
			// The probe key has a value that nobody wants to see transferred.
			_, err = client.Put(patient(t), "health", strings.Repeat("x", 500_000))
			must(t, err)
			e := exportLab(t, l)
			for range 3 {
				e.Scrape("/metrics")
			}
			var before []*Scrape
			for _, m := range l.Members() {
				before = append(before, native(t, l, m))
			}
			for range scrapes {
				e.Scrape("/metrics")
			}
			for i, m := range l.Members() {
				after := native(t, l, m)
				grown := func(name string, labels ...string) float64 {
					return after.Sum(name, labels...) - before[i].Sum(name, labels...)
				}
				calls := grown("grpc_server_started_total")
				// Of the two looks at /metrics one is the test's own.
				asked := grown("promhttp_metric_handler_requests_total") - 1
				// The clock's requests are not counted by etcd: at most one a scrape.
				if per := (calls+max(asked, 0))/scrapes + 1; calls == 0 || per > requestsPerEndpoint {
					t.Errorf("%s: %.1f requests a scrape", m.Name(), per)
				}
				for _, method := range []string{"Alarm", "Authenticate", "Put", "Txn", "Watch", "HashKV", "Compact"} {
					if n := grown("grpc_server_started_total", "grpc_method", method); n != 0 {
						t.Errorf("%s: %v calls of %s", m.Name(), n, method)
					}
				}
				if sent := grown("etcd_network_client_grpc_sent_bytes_total") / scrapes; sent <= 0 || sent > 4096 {
					t.Errorf("%s: sent %.0f bytes a scrape", m.Name(), sent)
				}
				t.Logf("%s: %.1f calls and %.1f looks at /metrics a scrape", m.Name(), calls/scrapes, asked/scrapes)
			}
		})
	}
}

// TestScrapesShareARound has scrapes come all at one time, many times.
func TestScrapesShareARound(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Version: "3.6.16", TLS: lab.Plain})
	e := exportLab(t, l)
	e.Scrape("/metrics")
	const waves, together = 15, 20
	statuses := func() float64 {
		return native(t, l, l.Member(0)).Sum("grpc_server_started_total", "grpc_method", "Status")
	}
	scrapeTogether(t, e, together) // opens the connections that the waves use
	goroutines := e.Scrape("/metrics").Value("go_goroutines")
	before := statuses()
	for range waves {
		scrapeTogether(t, e, together)
	}
	asked := statuses() - before
	t.Logf("%d scrapes asked for Status %v times", waves*together, asked)
	// One round for all of a wave is the best; half of them sharing will do on
	// a machine that is busy.
	if asked < waves || asked > waves*together/2 {
		t.Errorf("%d scrapes, %d at a time, asked for Status %v times", waves*together, together, asked)
	}
	e.Client.CloseIdleConnections()
	await(t, 10*time.Second, "no more goroutines than before 300 scrapes", func() error {
		if now := e.Scrape("/metrics").Value("go_goroutines"); now > goroutines+5 {
			return fmt.Errorf("%v goroutines, %v before", now, goroutines)
		}
		return nil
	})
	if resident := e.Scrape("/metrics").Value("process_resident_memory_bytes"); resident > residentLimit && !raced {
		t.Errorf("%.0f MB resident", resident/(1<<20))
	}
}

// scrapeTogether scrapes n times at once.
func scrapeTogether(t *testing.T, e *Exporter, n int) {
	t.Helper()
	failed := make([]error, n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() { _, failed[i] = e.scrape("/metrics") })
	}
	done.Wait()
	must(t, failed...)
}

// TestReloadUnderLoad changes the configuration again and again under scrapes.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{TLS: lab.MTLS})
	file, err := l.WriteConfig(nil)
	must(t, err)
	first, err := os.ReadFile(file)
	must(t, err)
	second := append(bytes.Clone(first), "    probe_key: other\n"...)
	e := startExporter(t, "--config.file="+file)
	e.Scrape("/metrics")
	scrapeTogether(t, e, 4)
	goroutines := e.Scrape("/metrics").Value("go_goroutines")
	stop, failed := make(chan struct{}), make([]error, 4)
	var scrapers sync.WaitGroup
	for i := range failed {
		scrapers.Go(func() { failed[i] = scrapeUntil(e, stop, l.Endpoints()) })
	}
	for round := range 30 {
		text := [][]byte{first, second, second}[round%3] // also one that changes nothing
		must(t, os.WriteFile(file, text, 0o600))
		if a := e.Do(http.MethodPost, "/-/reload"); a.Status != http.StatusOK {
			t.Errorf("reload %d: %d %s", round, a.Status, a.Body)
		}
	}
	close(stop)
	scrapers.Wait()
	must(t, failed...)
	e.Client.CloseIdleConnections()
	await(t, 10*time.Second, "no more goroutines than before 30 reloads", func() error {
		s := e.Scrape("/metrics")
		if now := s.Value("go_goroutines"); now > goroutines+5 {
			return fmt.Errorf("%v goroutines, %v before", now, goroutines)
		}
		return s.Want(1, "exporter_config_last_reload_successful")
	})
}

// scrapeUntil scrapes without a break; every endpoint must be up every time.
func scrapeUntil(e *Exporter, stop <-chan struct{}, urls []string) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		s, err := e.scrape("/metrics")
		if err != nil {
			return err
		}
		var down []error
		for _, url := range urls {
			down = append(down, s.Up(url))
		}
		if err := errors.Join(down...); err != nil {
			return err
		}
	}
}
