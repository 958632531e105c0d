// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/etcdops/etcdops/collector"
	"github.com/etcdops/etcdops/internal/app/setup"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
)

// Child does the work of a child process that looks into a snapshot; main calls it
// first of all, and exits with what it gives.
func Child() (child bool, exit int) { return snapshot.Child() }

// stores are the places of a cluster's backups.
type stores []store.Store

func (s stores) close(log *slog.Logger) {
	for _, one := range s {
		if err := one.Close(); err != nil {
			log.Warn("a backup store cannot be closed", "err", err)
		}
	}
}

// backups makes the stores of a cluster, and what the collector needs of them. It
// asks no store yet.
func backups(c config.Cluster, log *slog.Logger) ([]collector.Backup, stores, error) {
	var all []collector.Backup
	var opened stores
	for _, b := range c.Backups {
		log := log.With("store", b.Name)
		one, err := setup.Store(b, log)
		if err != nil {
			opened.close(log)
			return nil, nil, fmt.Errorf("cluster %s: backup store %s: %w", c.Name, b.Name, err)
		}
		opened = append(opened, one)
		all = append(all, collector.Backup{
			Name: b.Name, Interval: b.Interval, CheckInterval: b.CheckInterval, DrillFile: b.DrillResultFile,
			Judge: judge.New(judge.Options{
				Store: one, Verify: b.Verify,
				Inspector: judge.Inspector{Scratch: b.ScratchDirectory}, Log: log,
			}),
		})
	}
	return all, opened, nil
}

// checkBackups finds what only the stores' own libraries know of a configuration.
func checkBackups(v *config.Validated) error {
	var errs []error
	for _, c := range v.Clusters {
		_, opened, err := backups(c, slog.New(slog.DiscardHandler))
		errs = append(errs, err)
		opened.close(slog.New(slog.DiscardHandler))
	}
	if err := errors.Join(errs...); err != nil {
		return errors.New(strings.TrimSpace(err.Error()))
	}
	return nil
}
