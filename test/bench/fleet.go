// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// fleet gives the lab many names and scrapes each every 15 seconds, spread over
// that time as Prometheus does.
func fleet(ctx context.Context, o options, members *lab.Lab) error {
	const interval = 15 * time.Second
	var config strings.Builder
	config.WriteString("clusters:\n")
	for i := range o.names {
		fmt.Fprintf(&config, "  - {name: c%d, endpoints: [%s], keyspaces: [], tls: {ca_file: %s, cert_file: %s, key_file: %s}}\n",
			i, strings.Join(members.Endpoints(), ", "), members.CAFile(), members.ClientCert(), members.ClientKey())
	}
	file := filepath.Join(members.Dir(), "fleet.yml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		return err
	}
	e, err := start(ctx, o.exporter, "--config.file="+file)
	if err != nil {
		return err
	}
	defer e.stop()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.minutes*float64(time.Minute)))
	defer cancel()
	var mu sync.Mutex
	var took []float64
	failed := 0
	var wg sync.WaitGroup
	for i := range o.names {
		wg.Go(func() {
			offset := time.NewTimer(interval * time.Duration(i) / time.Duration(o.names))
			defer offset.Stop()
			select {
			case <-offset.C:
			case <-ctx.Done():
				return
			}
			every := time.NewTicker(interval)
			defer every.Stop()
			for ctx.Err() == nil {
				_, d, err := e.scrape(ctx, fmt.Sprintf("/probe?cluster=c%d", i))
				mu.Lock()
				if err == nil {
					took = append(took, float64(d)/milli)
				} else if ctx.Err() == nil {
					failed++
				}
				mu.Unlock()
				select {
				case <-every.C:
				case <-ctx.Done():
				}
			}
		})
	}
	warm := time.NewTimer(2 * interval) // the first round makes the connections
	defer warm.Stop()
	<-warm.C
	begin := time.Now()
	used, err := cpu(e.cmd.Process.Pid)
	if err != nil {
		return err
	}
	wg.Wait()
	more, err := cpu(e.cmd.Process.Pid)
	if err != nil {
		return err
	}
	share := (more - used) / time.Since(begin).Seconds()
	families, _, err := e.scrape(context.WithoutCancel(ctx), "/metrics")
	if err != nil {
		return err
	}
	slices.Sort(took)
	fmt.Printf("%d names, each every 15 s:   %.1f %% of one core, %.0f MB resident, scrape %.1f ms (p99 %.1f), %d failed\n",
		o.names, share*100, sum(values(families, "process_resident_memory_bytes"))/1e6, median(took), took[len(took)*99/100], failed)
	return nil
}
