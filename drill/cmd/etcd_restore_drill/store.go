// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/etcdops/etcdops/internal/config"
)

// backup gives the store that the flags name.
func (f *flags) backup() (config.Backup, error) {
	if f.snapshot != "" {
		return single(f.snapshot)
	}
	validated, err := config.Load(f.configFile)
	if err != nil {
		return config.Backup{}, err
	}
	cluster, err := pick("--cluster", "cluster", f.cluster, validated.Clusters, func(c config.Cluster) string { return c.Name })
	if err != nil {
		return config.Backup{}, err
	}
	return pick("--store", "backup store of cluster "+cluster.Name, f.store, cluster.Backups, func(b config.Backup) string { return b.Name })
}

// pick finds what has the name; the only one needs none.
func pick[T any](flag, what, name string, all []T, nameOf func(T) string) (T, error) {
	var zero T
	var names []string
	for _, one := range all {
		if nameOf(one) == name || name == "" && len(all) == 1 {
			return one, nil
		}
		names = append(names, nameOf(one))
	}
	switch {
	case len(all) == 0:
		return zero, fmt.Errorf("there is no %s in the configuration", what)
	case name == "":
		return zero, fmt.Errorf("%s is needed, one of: %s", flag, strings.Join(names, ", "))
	}
	return zero, fmt.Errorf("%s=%s: there is no such %s, only: %s", flag, name, what, strings.Join(names, ", "))
}

// single makes a store of one file that a person names.
func single(name string) (config.Backup, error) {
	path, err := filepath.EvalSymlinks(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return config.Backup{}, fmt.Errorf("--snapshot: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return config.Backup{}, fmt.Errorf("--snapshot: %w", err)
	}
	if !info.Mode().IsRegular() {
		return config.Backup{}, errors.New("--snapshot: " + name + " is not a regular file")
	}
	return config.Backup{Path: filepath.Dir(path), Pattern: quoteGlob(filepath.Base(path))}, nil
}
