// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/etcdops/etcdops/collector"
	"github.com/etcdops/etcdops/internal/app/setup"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace"
)

// fleet is the clusters that are configured at present.
type fleet struct {
	options Options
	log     *slog.Logger
	hint    *hint
	rounds  *semaphore.Weighted

	mu       sync.RWMutex
	clusters []*cluster // in the order of the configuration
	closing  sync.WaitGroup
}

// cluster is one of them, with what lasts between its scrapes.
type cluster struct {
	config     config.Cluster
	etcd       *etcd.Cluster
	set        *collector.Set
	background *collector.Background
	stores     stores
	log        *slog.Logger
	users      sync.WaitGroup // requests that work with it
}

func newFleet(o Options) *fleet {
	return &fleet{options: o, log: o.Logger, rounds: semaphore.NewWeighted(maxRounds), hint: &hint{options: o, manifest: config.DefaultKubeadmManifest, log: o.Logger}}
}

// apply makes the configured clusters the present ones. What did not change is
// kept, with its connections and what it has learned; what is gone is closed
// when its last request has ended.
func (f *fleet) apply(life context.Context, v *config.Validated) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var next, made []*cluster
	for _, c := range v.Clusters {
		i := slices.IndexFunc(f.clusters, func(old *cluster) bool { return old.config.Equal(c) })
		if i >= 0 {
			next = append(next, f.clusters[i])
			continue
		}
		one, err := f.make(life, c)
		if err != nil {
			for _, m := range made {
				f.closing.Go(m.close)
			}
			return err
		}
		next, made = append(next, one), append(made, one)
	}
	for _, old := range f.clusters {
		if !slices.Contains(next, old) {
			f.closing.Go(old.close)
		}
	}
	f.clusters = next
	return nil
}

func (f *fleet) make(life context.Context, c config.Cluster) (*cluster, error) {
	log := f.log.With("cluster", c.Name)
	settings := setup.Cluster(c, log)
	settings.OnDown = f.hint.down
	client, err := etcd.NewCluster(settings)
	if err != nil {
		return nil, err
	}
	backups, opened, err := backups(c, log)
	if err != nil {
		client.Close()
		return nil, err
	}
	background := collector.NewBackground(life)
	set := collector.NewSet(client, f.options.Collectors, collector.Deps{
		Background: background, DataDirs: c.DataDirs,
		Certificates: client.Certificates, PeerCertificates: client.PeerCertificates, ManifestFlags: manifestFlags(c),
		Scanner: scanner(client), Keyspaces: keyspaces(c), Mirror: f.mirror(c), Backups: backups, Log: log,
	}, f.rounds, log)
	return &cluster{config: c, etcd: client, set: set, background: background, stores: opened, log: log}, nil
}

// scanner gives the connections for background work.
func scanner(client *etcd.Cluster) func(url string) etcd.ScanAPI {
	return func(url string) etcd.ScanAPI {
		if s := client.Scanner(url); s != nil {
			return s
		}
		return nil
	}
}

// manifestFlags reads kubeadm's manifest anew each time: it may have been changed.
func manifestFlags(c config.Cluster) func() (string, map[string]string, error) {
	if c.KubeadmManifest == "" {
		return nil
	}
	return func() (string, map[string]string, error) {
		kubeadm, err := config.LoadKubeadmManifest(c.KubeadmManifest)
		return kubeadm.Endpoint, kubeadm.Settings, err
	}
}

func keyspaces(c config.Cluster) []collector.Keyspace {
	var all []collector.Keyspace
	for _, k := range c.Keyspaces {
		all = append(all, collector.Keyspace{
			Options:  keyspace.Options{Prefix: k.Prefix, MaxGroups: k.MaxGroups, SampleBytes: k.SampleBytes, SampleExclude: k.SampleExclude},
			Interval: k.Interval,
		})
	}
	return all
}

// mirror says what a mirror is compared with.
func (f *fleet) mirror(c config.Cluster) *collector.Mirror {
	if c.MirrorOf == "" {
		return nil
	}
	return &collector.Mirror{Source: c.MirrorOf, Prefixes: c.MirrorPrefixes, Own: f.counts(c.Name), Others: f.counts(c.MirrorOf)}
}

// counts looks the cluster up each time: a reload may have put another in its place.
func (f *fleet) counts(name string) func(prefix string) (collector.Count, bool) {
	return func(prefix string) (collector.Count, bool) {
		c, release, ok := f.use(name)
		if !ok {
			return collector.Count{}, false
		}
		defer release()
		return c.set.Count(prefix)
	}
}

// only gives the cluster where there is just one.
func (f *fleet) only() (c *cluster, release func(), ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if len(f.clusters) != 1 {
		return nil, nil, false
	}
	f.clusters[0].users.Add(1)
	return f.clusters[0], f.clusters[0].users.Done, true
}

// use gives the named cluster, which stays open until release is called.
func (f *fleet) use(name string) (c *cluster, release func(), ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, c := range f.clusters {
		if c.config.Name == name {
			c.users.Add(1)
			return c, c.users.Done, true
		}
	}
	return nil, nil, false
}

// all are the present clusters.
func (f *fleet) all() []*cluster {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.Clone(f.clusters)
}

func (f *fleet) names() []string {
	var names []string
	for _, c := range f.all() {
		names = append(names, c.config.Name)
	}
	return names
}

// close ends what runs, for as long as that may take: a read from a dead file system
// never returns, and must not keep the program.
func (f *fleet) close() {
	for _, c := range f.all() {
		f.closing.Go(c.close)
	}
	ended := make(chan struct{})
	go func() {
		f.closing.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(shutdownTime):
		f.log.Warn("something in the background does not end, and is left behind")
	}
}

// close ends scans and the like at once, and the rest when its last request has ended.
func (c *cluster) close() {
	c.background.Rest()
	c.users.Wait()
	c.background.Close()
	c.etcd.Close()
	c.stores.close(c.log)
}
