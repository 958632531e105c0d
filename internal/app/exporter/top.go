// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/etcdops/etcdops/internal/app/exporter/top"
	"github.com/etcdops/etcdops/internal/app/setup"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/etcd"
)

// Top watches one configured cluster; name may be empty where there is just one.
func Top(ctx context.Context, o Options, name string, what top.Options, out io.Writer) error {
	validated, err := load(o)
	if err != nil {
		return err
	}
	c, err := choose(validated.Clusters, name)
	if err != nil {
		return err
	}
	client, err := etcd.NewCluster(setup.Cluster(c, slog.New(slog.DiscardHandler))) // what goes wrong is in the report
	if err != nil {
		return err
	}
	defer client.Close()
	what.Name, what.Cluster, what.User = c.Name, client, c.Auth.Username
	return top.Run(ctx, what, out)
}

func choose(clusters []config.Cluster, name string) (config.Cluster, error) {
	var names []string
	for _, c := range clusters {
		if c.Name == name || name == "" && len(clusters) == 1 {
			return c, nil
		}
		names = append(names, c.Name)
	}
	if name == "" {
		return config.Cluster{}, fmt.Errorf("several clusters are configured; say --cluster=NAME, one of: %s", strings.Join(names, ", "))
	}
	return config.Cluster{}, fmt.Errorf("--cluster=%.100q is not configured; known clusters: %s", name, strings.Join(names, ", "))
}
