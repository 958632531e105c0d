// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/etcdops/etcdops/internal/app/setup"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/dispatch"
	"github.com/etcdops/etcdops/remediate/journal"
	"github.com/etcdops/etcdops/remediate/live"
	"github.com/etcdops/etcdops/remediate/watch"
)

// cluster is one configured cluster, watched from the start on.
type cluster struct {
	config   config.Cluster
	etcd     *etcd.Cluster
	live     *live.Live
	history  *watch.History
	backups  []remediate.Backup
	election *election // nil: this process is the only one
	stop     context.CancelFunc
	ended    sync.WaitGroup
	log      *slog.Logger
}

// clusters are those that are configured at present.
type clusters struct {
	log     *slog.Logger
	journal *journal.Journal
	idle    bool // nothing is ever done: no election is taken part in, which writes to etcd

	mu  sync.Mutex
	all []*cluster
}

// apply makes the configured clusters the present ones. What did not change is kept,
// with what was seen of it; what is gone is closed in the background by done, which
// waits for its runs.
func (c *clusters) apply(life context.Context, v *config.Validated, done func(name string, end func())) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var next, made []*cluster
	for _, wanted := range v.Clusters {
		i := slices.IndexFunc(c.all, func(old *cluster) bool { return old.config.Equal(wanted) })
		if i >= 0 {
			next = append(next, c.all[i])
			continue
		}
		one, err := c.make(life, wanted, v.Remediation)
		if err != nil {
			for _, m := range made {
				m.close()
			}
			return err
		}
		next, made = append(next, one), append(made, one)
	}
	for _, old := range c.all {
		if !slices.Contains(next, old) {
			done(old.config.Name, old.close)
		}
	}
	c.all = next
	return nil
}

func (c *clusters) make(life context.Context, wanted config.Cluster, r *config.Remediation) (*cluster, error) {
	log := c.log.With("cluster", wanted.Name)
	client, err := etcd.NewCluster(setup.Cluster(wanted, log))
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", wanted.Name, err)
	}
	one := &cluster{config: wanted, etcd: client, log: log}
	if one.backups, err = backups(wanted, log); err != nil {
		one.close()
		return nil, err
	}
	one.live = live.New(client)
	one.history = watch.New(watch.Options{
		Cluster: wanted.Name, Sample: watch.Light(client), Store: samples{c.journal, log}, Log: log,
	})
	if r.Election.Enabled && !c.idle {
		if one.election, err = newElection(one, r.Election.Prefix, c.journal); err != nil {
			one.close()
			return nil, err
		}
	}
	life, one.stop = context.WithCancel(life)
	one.ended.Go(func() { one.history.Run(life) })
	if one.election != nil {
		one.ended.Go(func() { one.election.run(life) })
	}
	return one, nil
}

func (c *cluster) close() {
	if c.stop != nil {
		c.stop()
	}
	c.ended.Wait()
	c.etcd.Close()
	for _, b := range c.backups {
		if err := b.Store.Close(); err != nil {
			c.log.Warn("a backup store cannot be closed", "store", b.Name, "err", err)
		}
	}
}

func (c *clusters) close() {
	for _, one := range c.present() {
		one.close()
	}
}

func (c *clusters) present() []*cluster {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// targets are the clusters as runs need them.
func (c *clusters) targets() []dispatch.Target {
	var all []dispatch.Target
	for _, one := range c.present() {
		all = append(all, dispatch.Target{
			Name: one.config.Name, Live: one.live, History: one.history, DataDirs: one.config.DataDirs, Backups: one.backups,
		})
	}
	return all
}

// Holds says whether this process may act on a cluster, and who else does.
func (c *clusters) Holds(name string) (bool, string) {
	for _, one := range c.present() {
		if one.config.Name == name {
			if one.election == nil {
				return true, ""
			}
			return one.election.holds()
		}
	}
	return false, "the cluster is not configured"
}

// backups opens the stores of a cluster's snapshots.
func backups(c config.Cluster, log *slog.Logger) ([]remediate.Backup, error) {
	var all []remediate.Backup
	for _, b := range c.Backups {
		log := log.With("store", b.Name)
		opened, err := setup.Store(b, log)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cluster %s: backup store %s: %w", c.Name, b.Name, err), closeAll(all))
		}
		one := remediate.Backup{
			Name: b.Name, Pattern: b.Pattern, Store: opened, Scratch: b.ScratchDirectory,
			Judge: judge.New(judge.Options{Store: opened, Verify: true, Inspector: judge.Inspector{Scratch: b.ScratchDirectory}, Log: log}),
		}
		if b.Path != "" && !b.Glob {
			one.Directory = b.Path
		}
		all = append(all, one)
	}
	return all, nil
}

func closeAll(all []remediate.Backup) error {
	var errs []error
	for _, b := range all {
		errs = append(errs, store.Store.Close(b.Store))
	}
	return errors.Join(errs...)
}

// samples keeps the revision clock in the journal.
type samples struct {
	journal *journal.Journal
	log     *slog.Logger
}

// Samples implements watch.SampleStore.
func (s samples) Samples(cluster string) []watch.Sample {
	var all []watch.Sample
	for _, one := range s.journal.Samples(cluster) {
		all = append(all, watch.Sample(one))
	}
	return all
}

// AddSample implements watch.SampleStore.
func (s samples) AddSample(cluster string, clusterID uint64, at time.Time, revision int64) {
	s.journal.AddSample(cluster, clusterID, at, revision)
}

// DropSamples implements watch.SampleStore.
func (s samples) DropSamples(cluster, why string) {
	if err := s.journal.DropSamples(cluster, why); err != nil {
		s.log.Error("the revision clock in the journal cannot be dropped", "cluster", cluster, "err", err)
	}
}
