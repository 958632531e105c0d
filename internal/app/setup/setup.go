// SPDX-License-Identifier: Apache-2.0

// Package setup makes of the configuration what every program needs: connections
// to etcd and stores of snapshots.
package setup

import (
	"fmt"
	"log/slog"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/store"
)

// Cluster says how a configured cluster is reached.
func Cluster(c config.Cluster, log *slog.Logger) etcd.Config {
	return etcd.Config{
		Name: c.Name, Endpoints: c.Endpoints, Discover: c.Discover, AllowCIDRs: c.AllowCIDRs,
		CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile,
		ServerName: c.TLS.ServerName, InsecureSkipVerify: c.TLS.InsecureSkipVerify,
		Username: c.Auth.Username, PasswordFile: c.Auth.PasswordFile,
		ProbeKey: c.ProbeKey, MetricsURLs: c.MetricsURLs, Logger: log,
	}
}

// Store opens a configured store of snapshots. It asks nobody yet; the error names
// the field.
func Store(b config.Backup, log *slog.Logger) (store.Store, error) {
	c := store.Config{
		Path: b.Path, Glob: b.Glob, Pattern: b.Pattern, TimeFromName: b.TimeFromName,
		MaxBytesPerSecond: int64(b.MaxBytesPerSecond),
	}
	if o := b.ObjStore; o != nil {
		text, err := o.Config.YAML()
		if err != nil {
			return nil, fmt.Errorf("objstore.config: %w", err)
		}
		c.ObjStore = &store.ObjStoreConfig{Type: o.Type, Config: text, ConfigFile: o.ConfigFile, Prefix: o.Prefix}
	}
	return store.New(c, log)
}
