// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace"
	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

const (
	eventsPrefix    = "/registry/events/"
	eventNamespaces = 50
	maxGroups       = 500 // as the exporter has it for events
	laterScan       = 2 * time.Minute
)

// keySpace is a cluster with many events, and the member that everybody asks: a
// follower, as the exporter would.
type keySpace struct {
	o       options
	members *lab.Lab
	member  *lab.Member
	client  *clientv3.Client // of that member alone
	scanner etcd.ScanAPI     // the same
	etcdctl string
	keys    int
}

// keySpaces counts key spaces of growing size on three members over mutual TLS.
func keySpaces(ctx context.Context, o options) error {
	k, err := startKeySpace(ctx, o)
	if err != nil {
		return err
	}
	defer k.members.Close()
	defer k.client.Close()
	cluster, err := etcd.NewCluster(etcd.Config{
		Name: "bench", Endpoints: []string{k.member.ClientURL()}, ProbeKey: "health",
		CAFile: k.members.CAFile(), CertFile: k.members.ClientCert(), KeyFile: k.members.ClientKey(),
	})
	if err != nil {
		return err
	}
	defer cluster.Close()
	k.scanner = cluster.Scanner(k.member.ClientURL())
	for text := range strings.SplitSeq(o.sizes, ",") {
		size, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		begin := time.Now()
		load := lab.LoadOptions{Events: size - k.keys, Namespaces: eventNamespaces, Seed: uint64(size)}
		if err := k.members.Load(ctx, load); err != nil {
			return err
		}
		got, err := k.client.Get(ctx, eventsPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			return err
		}
		k.keys = int(got.Count) // the writer has made some
		fmt.Printf("\n-- %d keys in %d namespaces (%.0f s to write)\n", k.keys, eventNamespaces, time.Since(begin).Seconds())
		for _, measure := range []func(context.Context) error{k.compare, k.writer, k.exporterMemory} {
			if err := measure(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func startKeySpace(ctx context.Context, o options) (_ *keySpace, err error) {
	k := &keySpace{o: o}
	if k.etcdctl, err = etcdbin.Path(ctx, o.version, etcdbin.Etcdctl); err != nil {
		return nil, err
	}
	if k.members, err = lab.Start(ctx, lab.Options{Version: o.version, QuotaBytes: 8 << 30}); err != nil {
		return nil, err
	}
	leader, err := k.members.Leader(ctx)
	if err == nil {
		k.member = k.members.Member((leader + 1) % 3)
		conf, failed := k.members.TLSConfig()
		if err = failed; err == nil {
			k.client, err = clientv3.New(clientv3.Config{Endpoints: []string{k.member.ClientURL()}, TLS: conf, MaxCallRecvMsgSize: 1 << 30, Logger: zap.NewNop()})
		}
	}
	if err != nil {
		_ = k.members.Close()
		return nil, err
	}
	return k, nil
}

// price is what one way of counting takes, once.
type price struct {
	name              string
	wall, cpu, client float64 // seconds, of the member's processors; bytes of the client
	sent              float64 // bytes, by the member
}

// spend does something several times and gives what one time cost.
func (k *keySpace) spend(ctx context.Context, name string, times int, do func() (client float64, err error)) (price, error) {
	c := price{name: name}
	before, err := countersOf(ctx, k.members, k.member)
	if err != nil {
		return c, err
	}
	used, err := cpu(k.member.PID())
	if err != nil {
		return c, err
	}
	begin := time.Now()
	for range times {
		client, err := do()
		if err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
		c.client = max(c.client, client)
	}
	c.wall = time.Since(begin).Seconds() / float64(times)
	more, err := cpu(k.member.PID())
	if err != nil {
		return c, err
	}
	after, err := countersOf(ctx, k.members, k.member)
	c.cpu, c.sent = (more-used)/float64(times), (after.sent-before.sent)/float64(times)
	return c, err
}

// compare has all ways of counting take turns. What is short is done several times
// in a turn, since /proc counts hundredths of a second.
func (k *keySpace) compare(ctx context.Context) error {
	idle, err := k.spend(ctx, "idle", 5, func() (float64, error) { return 0, sleep(ctx, time.Second) })
	if err != nil {
		return err
	}
	fmt.Printf("member when nobody asks:       CPU %.3f s a second, which is part of what follows\n", idle.cpu)
	all := map[string][]price{}
	counter, result := k.counter(), keyspace.Result{}
	scan := func() (float64, error) {
		var err error
		result, err = counter.Scan(ctx, k.scanner)
		return 0, err
	}
	ways := []struct {
		name  string
		times int
		turns int // 0: each
		do    func() (float64, error)
	}{
		{listingWay, 1, 0, func() (float64, error) { return k.listing(ctx) }},
		{countWay, 10, 0, func() (float64, error) { return 0, k.countOnly(ctx) }},
		{coldWay, 1, 0, func() (float64, error) { counter = k.counter(); return scan() }},
		{warmWay, 5, 0, scan},
		{"paged, 10,000 a page", 1, 1, func() (float64, error) { return 0, k.paged(ctx, 10_000) }},
		{"paged, 1,000 a page", 1, 1, func() (float64, error) { return 0, k.paged(ctx, 1000) }},
	}
	walked := map[string]keyspace.Result{}
	for turn := range k.o.runs {
		for _, way := range ways {
			if way.turns > 0 && turn >= way.turns || k.keys > 200_000 && strings.HasPrefix(way.name, "paged, 1,000 ") {
				continue
			}
			c, err := k.spend(ctx, way.name, way.times, way.do)
			if err != nil {
				return err
			}
			all[way.name] = append(all[way.name], c)
			if way.name == coldWay || way.name == warmWay {
				if result.Keys != int64(k.keys) {
					return fmt.Errorf("%s: %d keys", way.name, result.Keys)
				}
				result.Requests, result.Largest = max(result.Requests, walked[way.name].Requests), max(result.Largest, walked[way.name].Largest)
				walked[way.name] = result
			}
		}
	}
	for _, way := range ways {
		if costs := all[way.name]; len(costs) > 0 {
			show(costs)
		}
	}
	for _, name := range []string{coldWay, warmWay} {
		fmt.Printf("%-30s %d requests, %d keys walked by one, at most\n", name+":", walked[name].Requests, walked[name].Largest)
	}
	versus(all)
	return nil
}

const (
	listingWay = "etcdctl | awk | sort | uniq"
	countWay   = "one CountOnly"
	coldWay    = "first scan"
	warmWay    = "later scan"
)

func show(costs []price) {
	of := func(f func(price) float64) float64 { return medianOf(costs, f) }
	line := fmt.Sprintf("%-30s %.3f s, server CPU %.3f s, %.0f bytes sent", costs[0].name+":",
		of(func(c price) float64 { return c.wall }), of(func(c price) float64 { return c.cpu }), of(func(c price) float64 { return c.sent }))
	if client := of(func(c price) float64 { return c.client }); client > 0 {
		line += fmt.Sprintf(", client %.0f MB", client/1e6)
	}
	fmt.Printf("%s (%d turns)\n", line, len(costs))
}

// versus prints ratios, turn by turn.
func versus(all map[string][]price) {
	ratio := func(a, b string, of func(price) float64) float64 {
		var ratios []float64
		for i := range all[a] {
			ratios = append(ratios, of(all[a][i])/of(all[b][i]))
		}
		return median(ratios)
	}
	used, sent := func(c price) float64 { return c.cpu }, func(c price) float64 { return c.sent }
	fmt.Printf("server CPU:                    listing %.1f x a later scan, which is %.2f x one CountOnly; first scan %.2f x\n",
		ratio(listingWay, warmWay, used), ratio(warmWay, countWay, used), ratio(coldWay, countWay, used))
	fmt.Printf("bytes:                         listing %.0f x a later scan, %.0f x the first\n",
		ratio(listingWay, warmWay, sent), ratio(listingWay, coldWay, sent))
}

func medianOf[T any](all []T, of func(T) float64) float64 {
	var numbers []float64
	for _, one := range all {
		numbers = append(numbers, of(one))
	}
	return median(numbers)
}

func (k *keySpace) counter() *keyspace.Counter {
	return keyspace.New(keyspace.Options{Prefix: eventsPrefix, MaxGroups: maxGroups})
}

// listing is what people do today. The memory is that of the pipeline's largest
// process.
func (k *keySpace) listing(ctx context.Context) (float64, error) {
	script := fmt.Sprintf(`"$0" "$@" get --prefix --keys-only %s | awk -F/ 'NF { n++; print $4 } END { exit n < %d }' | sort | uniq -c`, eventsPrefix, k.keys)
	e, err := succeed(ctx, "bash", "-o", "pipefail", "-c", script, k.etcdctl, "--endpoints="+k.member.ClientURL(),
		"--cacert="+k.members.CAFile(), "--cert="+k.members.ClientCert(), "--key="+k.members.ClientKey(), "--command-timeout=5m")
	return e.memory, err
}

func (k *keySpace) paged(ctx context.Context, limit int64) error {
	seen, from, end := 0, eventsPrefix, clientv3.GetPrefixRangeEnd(eventsPrefix)
	for {
		got, err := k.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(limit), clientv3.WithKeysOnly())
		if err != nil {
			return err
		}
		if seen += len(got.Kvs); !got.More {
			break
		}
		from = string(got.Kvs[len(got.Kvs)-1].Key) + "\x00"
	}
	if seen < k.keys {
		return fmt.Errorf("%d keys", seen)
	}
	return nil
}

func (k *keySpace) countOnly(ctx context.Context) error {
	_, err := k.client.Get(ctx, eventsPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly(), clientv3.WithSerializable())
	return err
}

// exporterMemory looks at the real program until it has counted both of its default
// prefixes and, where that comes soon, the events once more: a scan is followed by a
// pause of a hundred times what it cost.
func (k *keySpace) exporterMemory(ctx context.Context) error {
	config, err := k.members.WriteConfig(nil)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "    keyspaces:\n      - {prefix: /registry/, interval: 1s}\n      - {prefix: %s, interval: 1s, max_groups: %d}\n", eventsPrefix, maxGroups)
	if err = cmp.Or(err, file.Close()); err != nil {
		return err
	}
	e, err := start(ctx, k.o.exporter, "--config.file="+config)
	if err != nil {
		return err
	}
	defer e.stop()
	var ends []float64 // of scans of the events
	var both time.Time // are counted
	seen, err := sample(e.cmd.Process.Pid, func() error {
		for {
			families, _, err := e.scrape(ctx, "/metrics")
			if err != nil {
				return err
			}
			for _, at := range values(families, "etcdops_keyspace_scan_timestamp_seconds", eventsPrefix) {
				if !slices.Contains(ends, at) {
					ends = append(ends, at)
				}
			}
			if both.IsZero() && len(values(families, "etcdops_keyspace_scan_timestamp_seconds")) == 2 {
				both = time.Now()
			}
			if !both.IsZero() && (len(ends) > 1 || time.Since(both) > laterScan) {
				return nil
			}
			if err := sleep(ctx, time.Second); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	fmt.Printf("exporter, both prefixes:       %.1f MB resident, %.1f MB of it anonymous, at most, during %d scans of the events\n",
		seen.most().resident/1e6, seen.most().anonymous/1e6, len(ends))
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
