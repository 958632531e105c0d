// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes/kubernetestest"
	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

const (
	tryTime    = 25 * time.Second // at each rate
	putTimeout = 7 * time.Second  // etcd's own, about
	goodRatio  = 5                // of the p99 while pruning, over that before it
	tolerable  = "within 5 x idle and no failed put"
)

// pruned is a cluster whose events are pruned while somebody writes.
type pruned struct {
	o       options
	members *lab.Lab
	client  *clientv3.Client
	keys    int
}

// prunes deletes events at several rates, then the rest of them at the best one, and
// holds that against etcdctl, on three members over mutual TLS.
func prunes(ctx context.Context, o options) error {
	members, err := lab.Start(ctx, lab.Options{Version: o.version, QuotaBytes: 8 << 30})
	if err != nil {
		return err
	}
	defer members.Close()
	client, err := members.Client()
	if err != nil {
		return err
	}
	sizes := strings.Split(o.sizes, ",")
	p := &pruned{o: o, members: members, client: client}
	if p.keys, err = strconv.Atoi(strings.TrimSpace(sizes[len(sizes)-1])); err != nil {
		return err
	}
	if err := p.load(ctx, 1); err != nil {
		return err
	}
	best, err := p.rates(ctx)
	if err != nil {
		return err
	}
	if best == 0 {
		fmt.Printf("no rate is %s\n", tolerable)
	} else if err := p.once(ctx, "all the rest", best, 0); err != nil {
		return err
	}
	if err := p.load(ctx, 2); err != nil {
		return err
	}
	return p.etcdctl(ctx)
}

// rates tries each rate for a while and gives the best.
func (p *pruned) rates(ctx context.Context) (best int, err error) {
	rates := strings.Split(p.o.rates, ",")
	for _, text := range rates {
		rate, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return 0, err
		}
		most := min(rate*int(tryTime.Seconds()), p.keys/2/len(rates)) // half of the keys are for the best
		good, err := p.at(ctx, fmt.Sprintf("at most %d keys/s", rate), rate, most)
		if err != nil {
			return 0, err
		}
		if good {
			best = max(best, rate)
		}
	}
	return best, nil
}

func (p *pruned) once(ctx context.Context, name string, rate, most int) error {
	_, err := p.at(ctx, fmt.Sprintf("%s, at most %d keys/s", name, rate), rate, most)
	return err
}

// at prunes at one rate, most keys or all, and says whether writers bear it.
func (p *pruned) at(ctx context.Context, name string, rate, most int) (bool, error) {
	idle, err := p.idle(ctx)
	if err != nil {
		return false, err
	}
	job := pruneJob{
		Endpoints: p.members.Endpoints(), CA: p.members.CAFile(), Cert: p.members.ClientCert(), Key: p.members.ClientKey(),
		Rate: rate, Most: most,
	}
	if job.Revision, err = p.settle(ctx); err != nil {
		return false, err
	}
	var busy writes
	stop := make(chan struct{})
	var writing sync.WaitGroup
	result, seen, err := job.run(ctx, func() {
		writing.Go(func() { busy = p.write(ctx, stop) })
	})
	close(stop)
	writing.Wait()
	if err != nil {
		return false, err
	}
	ratio := busy.p99() / idle.p99()
	fmt.Printf("%s:\n  %d keys, %.0f keys/s while deleting, %.1f s with counting and listing\n", name, result.Keys, result.PerSecond, result.Seconds)
	fmt.Printf("  writer, %d put/s, p99:     %.1f ms, idle %.1f ms, %.1f x; longest %.1f ms; %d of %d puts failed\n",
		putsPerSecond, busy.p99(), idle.p99(), ratio, slices.Max(busy.took), busy.failed, len(busy.took))
	fmt.Printf("  the pruning process:       %.1f MB resident, %.1f MB of it anonymous, at most\n", seen.most().resident/1e6, seen.most().anonymous/1e6)
	return ratio <= goodRatio && busy.failed == 0, nil
}

// settle gives up the history, so that each try finds the members alike, and gives
// the present revision.
func (p *pruned) settle(ctx context.Context) (int64, error) {
	got, err := p.client.Get(ctx, "health", clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	if _, err := p.client.Compact(ctx, got.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return 0, err
	}
	return got.Header.Revision, sleep(ctx, 5*time.Second)
}

// etcdctl deletes all of it as people do.
func (p *pruned) etcdctl(ctx context.Context) error {
	etcdctl, err := etcdbin.Path(ctx, p.o.version, etcdbin.Etcdctl)
	if err != nil {
		return err
	}
	if _, err := p.settle(ctx); err != nil {
		return err
	}
	idle, err := p.idle(ctx)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	var busy writes
	var writing sync.WaitGroup
	writing.Go(func() { busy = p.write(ctx, stop) })
	e, err := tool(ctx, etcdctl, "--endpoints="+strings.Join(p.members.Endpoints(), ","), "--cacert="+p.members.CAFile(),
		"--cert="+p.members.ClientCert(), "--key="+p.members.ClientKey(), "--command-timeout=5m", "del", "--prefix", eventsPrefix)
	if err == nil {
		err = sleep(ctx, 5*time.Second) // it works on
	}
	close(stop)
	writing.Wait()
	if err != nil {
		return err
	}
	got, err := p.client.Get(ctx, eventsPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	fmt.Printf("etcdctl del --prefix:\n  %.1f s, exit %d (%s), %d keys are left, %.0f MB of memory\n", e.wall.Seconds(), e.exit, strings.TrimSpace(firstLine(e.output)), got.Count, e.memory/1e6)
	fmt.Printf("  writer, %d put/s, p99:     %.1f ms, idle %.1f ms, %.1f x; longest %.1f ms; %d of %d puts failed\n",
		putsPerSecond, busy.p99(), idle.p99(), busy.p99()/idle.p99(), slices.Max(busy.took), busy.failed, len(busy.took))
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return fmt.Sprintf("%.200s", line)
}

// load writes events as an API server does.
func (p *pruned) load(ctx context.Context, seed int) error {
	const batch, workers = 100, 4
	begin := time.Now()
	todo := make(chan int)
	errs := make([]error, workers)
	var loading sync.WaitGroup
	for w := range workers {
		loading.Go(func() {
			for first := range todo {
				if errs[w] == nil {
					errs[w] = p.loadBatch(ctx, seed, first, min(batch, p.keys-first))
				}
			}
		})
	}
	for first := 0; first < p.keys; first += batch {
		todo <- first
	}
	close(todo)
	loading.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("load events: %w", err)
		}
	}
	fmt.Printf("%d events in %d namespaces (%.0f s to write)\n", p.keys, eventNamespaces, time.Since(begin).Seconds())
	return nil
}

func (p *pruned) loadBatch(ctx context.Context, seed, first, n int) error {
	var ops []clientv3.Op
	at := time.Now().Add(-time.Hour)
	for i := first; i < first+n; i++ {
		// Squaring makes the first namespaces the largest.
		share := float64(uint32(i)*2654435761) / (1 << 32)
		namespace := fmt.Sprintf("team-%03d", int(share*share*eventNamespaces))
		name := fmt.Sprintf("web-%07d-%d.%016x", i, seed, uint64(i)*0x9e3779b97f4a7c15)
		value, err := kubernetestest.Event(kubernetes.Event{
			Namespace: namespace, Name: name, Type: "Warning", Reason: "BackOff", Component: "kubelet", Host: "worker-17", Count: 3,
			InvolvedObject: kubernetes.Object{Kind: "Pod", Namespace: namespace, Name: name[:11]},
			FirstSeen:      at, LastSeen: at, Created: at,
		})
		if err != nil {
			return err
		}
		ops = append(ops, clientv3.OpPut(eventsPrefix+namespace+"/"+name, string(value)))
	}
	_, err := p.client.Txn(ctx).Then(ops...).Commit()
	return err
}

// writes is what a writer saw.
type writes struct {
	took   []float64 // milliseconds
	failed int
}

func (w writes) p99() float64 {
	if len(w.took) == 0 {
		return 0
	}
	return p99(w.took)
}

func (p *pruned) idle(ctx context.Context) (writes, error) {
	stop := make(chan struct{})
	timer := time.AfterFunc(writerTime, func() { close(stop) })
	defer timer.Stop()
	w := p.write(ctx, stop)
	if w.failed > 0 {
		return w, fmt.Errorf("%d puts failed while nothing else was done", w.failed)
	}
	return w, ctx.Err()
}

// write puts leases, which are outside the prefix, until it is told to stop. A put
// that takes long does not put off the next.
func (p *pruned) write(ctx context.Context, stop <-chan struct{}) (w writes) {
	const gap = time.Second / putsPerSecond
	var mu sync.Mutex
	var puts sync.WaitGroup
	value := strings.Repeat("v", 700)
	begin := time.Now()
	for i := 0; ; i++ {
		select {
		case <-stop:
			puts.Wait()
			return w
		case <-ctx.Done():
			puts.Wait()
			return w
		case <-time.After(time.Until(begin.Add(time.Duration(i) * gap))):
		}
		puts.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, putTimeout)
			defer cancel()
			sent := time.Now()
			_, err := p.client.Put(ctx, fmt.Sprintf("/registry/leases/writer/%04d", i%writerKeys), value)
			mu.Lock()
			defer mu.Unlock()
			w.took = append(w.took, float64(time.Since(sent))/milli)
			if err != nil {
				w.failed++
			}
		})
	}
}
