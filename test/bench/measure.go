// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

const milli = float64(time.Millisecond)

// latency compares a warm scrape with the slowest single request in it, and with
// etcdctl asking the same members, in turn.
func latency(ctx context.Context, e *exporter, members *lab.Lab, etcdctl string) error {
	for range 5 {
		if _, _, err := e.scrape(ctx, "/metrics"); err != nil {
			return err
		}
	}
	var scrapes, ratios, tool, factor []float64
	args := []string{
		"--endpoints=" + strings.Join(members.Endpoints(), ","), "--cacert=" + members.CAFile(),
		"--cert=" + members.ClientCert(), "--key=" + members.ClientKey(), "endpoint", "status", "--cluster", "-w", "json",
	}
	for range 31 {
		families, took, err := e.scrape(ctx, "/metrics")
		if err != nil {
			return err
		}
		slowest := slices.Max(values(families, "etcdops_endpoint_check_duration_seconds"))
		begin := time.Now()
		if out, err := exec.CommandContext(ctx, etcdctl, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("etcdctl: %w: %s", err, out)
		}
		other := time.Since(begin)
		scrapes = append(scrapes, float64(took)/milli)
		ratios = append(ratios, took.Seconds()/slowest)
		tool = append(tool, float64(other)/milli)
		factor = append(factor, float64(other)/float64(took))
	}
	fmt.Printf("warm scrape:                  %.1f ms (31 runs, %.1f to %.1f)\n", median(scrapes), slices.Min(scrapes), slices.Max(scrapes))
	fmt.Printf("  over its slowest request:   %.2f x\n", median(ratios))
	fmt.Printf("etcdctl endpoint status:      %.1f ms, %.1f x the scrape (run by run)\n", median(tool), median(factor))
	return nil
}

// cost reads etcd's own counters around scrapes of an otherwise idle cluster.
func cost(ctx context.Context, e *exporter, members *lab.Lab) error {
	const scrapes = 40
	before, err := counters(ctx, members)
	if err != nil {
		return err
	}
	families, _, err := e.scrape(ctx, "/metrics")
	if err != nil {
		return err
	}
	index := slices.Max(values(families, "etcdops_endpoint_raft_index"))
	for range scrapes - 1 {
		if families, _, err = e.scrape(ctx, "/metrics"); err != nil {
			return err
		}
	}
	grown := slices.Max(values(families, "etcdops_endpoint_raft_index")) - index
	after, err := counters(ctx, members)
	if err != nil {
		return err
	}
	fmt.Printf("raft entries by %d scrapes:   %.0f\n", scrapes, grown)
	fmt.Printf("gRPC requests a scrape:       %.2f an endpoint\n", (after.requests-before.requests)/scrapes/float64(len(members.Members())))
	fmt.Printf("bytes sent a scrape:          %.0f an endpoint, by the members (no value among them: every Range is count only)\n",
		(after.sent-before.sent)/scrapes/float64(len(members.Members())))
	return nil
}

type counted struct{ requests, sent float64 }

func counters(ctx context.Context, members *lab.Lab) (counted, error) {
	var c counted
	for _, m := range members.Members() {
		one, err := countersOf(ctx, members, m)
		if err != nil {
			return counted{}, err
		}
		c.requests, c.sent = c.requests+one.requests, c.sent+one.sent
	}
	return c, nil
}

func countersOf(ctx context.Context, members *lab.Lab, m *lab.Member) (counted, error) {
	conf, err := members.TLSConfig()
	if err != nil {
		return counted{}, err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
	defer client.CloseIdleConnections()
	body, err := fetch(ctx, client, m.HTTPURL()+"/metrics")
	if err != nil {
		return counted{}, err
	}
	families, err := parse(body)
	if err != nil {
		return counted{}, err
	}
	return counted{
		requests: sum(values(families, "grpc_server_started_total")),
		sent:     sum(values(families, "etcd_network_client_grpc_sent_bytes_total")),
	}, nil
}

// memory scrapes on and looks at what the process holds.
func memory(ctx context.Context, e *exporter, scrapes int) error {
	var before, after, resident float64
	for i := range scrapes {
		families, _, err := e.scrape(ctx, "/metrics")
		if err != nil {
			return err
		}
		after = sum(values(families, "go_goroutines"))
		resident = sum(values(families, "process_resident_memory_bytes"))
		if i == 20 {
			before = after
		}
	}
	fmt.Printf("after %d scrapes:           %.1f MB resident, %.0f goroutines (%.0f after 20)\n", scrapes, resident/1e6, after, before)
	return nil
}

// hung stops one member: the scrape must end in time and the others' reads must
// take as long as before.
func hung(ctx context.Context, e *exporter, members *lab.Lab) error {
	leader, err := members.Leader(ctx)
	if err != nil {
		return err
	}
	victim := members.Member((leader + 1) % 3)
	var before, during, whole []float64
	for range 9 {
		families, _, err := e.scrape(ctx, "/metrics")
		if err != nil {
			return err
		}
		before = append(before, median(values(families, "etcdops_endpoint_check_duration_seconds"))*1e3)
	}
	if err := victim.Pause(); err != nil {
		return err
	}
	for range 5 {
		families, took, err := e.scrape(ctx, "/metrics")
		if err != nil {
			return err
		}
		whole = append(whole, took.Seconds())
		during = append(during, median(values(families, "etcdops_endpoint_check_duration_seconds"))*1e3)
	}
	if err := victim.Resume(); err != nil {
		return err
	}
	fmt.Printf("one of three hung:            scrape %.2f s at most (timeout 5 s); the others' reads %.2f ms, before %.2f ms\n",
		slices.Max(whole), median(during), median(before))
	return members.WaitReady(ctx)
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}
