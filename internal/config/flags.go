// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"time"
)

// Flags are what the command line says of the one cluster that is configured
// without a file. Files are relative to the working directory.
type Flags struct {
	Endpoints         []string // client URLs, each entry may hold several with commas; none: DefaultEndpoint
	EndpointsSet      bool     // given by the user, so that they win over the manifest's
	Discover          bool
	KubeadmManifest   string // a static pod manifest to take endpoint, CA and client pair from
	CAFile            string
	CertFile          string
	KeyFile           string
	ServerName        string
	Username          string
	PasswordFile      string
	ProbeKey          string // empty: DefaultProbeKey
	BackupPaths       []string
	BackupInterval    time.Duration // 0: DefaultBackupInterval, unless it was set
	BackupIntervalSet bool
}

// The flags that faults name.
const (
	flagEndpoints  = "--etcd.endpoints"
	flagManifest   = "--etcd.kubeadm-manifest"
	flagCA         = "--etcd.ca-file"
	flagCert       = "--etcd.cert-file"
	flagKey        = "--etcd.key-file"
	flagBackupPath = "--backup.path"
)

// flagOf maps the fields of the default cluster to the flags they come from.
func flagOf() map[string]string {
	return map[string]string{
		"clusters":                       flagEndpoints,
		"clusters[0].discover":           "--etcd.discover",
		"clusters[0].tls.ca_file":        flagCA,
		"clusters[0].tls.cert_file":      flagCert,
		"clusters[0].tls.key_file":       flagKey,
		"clusters[0].tls.server_name":    "--etcd.server-name",
		"clusters[0].auth.username":      "--etcd.username",
		"clusters[0].auth.password_file": "--etcd.password-file",
		"clusters[0].probe_key":          "--etcd.probe-key",
		"clusters[0].data_dirs":          flagManifest,
		"clusters[0].backups":            flagBackupPath,
	}
}

// FromFlags validates the cluster that the flags describe, under the name
// DefaultClusterName. Its error is a Faults that names flags.
func FromFlags(f Flags) (*Validated, error) {
	src := &source{lines: map[string]int{}, flags: flagOf()}
	cluster := Cluster{
		Name:     DefaultClusterName,
		Discover: f.Discover,
		TLS:      TLS{CAFile: f.CAFile, CertFile: f.CertFile, KeyFile: f.KeyFile, ServerName: f.ServerName},
		Auth:     Auth{Username: f.Username, PasswordFile: f.PasswordFile},
		ProbeKey: f.ProbeKey,
	}
	for _, entry := range f.Endpoints {
		for u := range strings.SplitSeq(entry, ",") {
			if u = strings.TrimSpace(u); u != "" {
				cluster.Endpoints = append(cluster.Endpoints, u)
			}
		}
	}
	if len(f.Endpoints) == 0 {
		cluster.Endpoints = []string{DefaultEndpoint}
	}
	if f.KubeadmManifest != "" {
		if err := fromManifest(f, &cluster, src); err != nil {
			return nil, Faults{{Field: flagManifest, Message: err.Error()}}
		}
	}
	faults := backupsFromFlags(f, &cluster, src)
	return (&Config{Clusters: []Cluster{cluster}, src: src}).validate(faults, 0, nil)
}

// backupsFromFlags adds one store for each path; the path is its name.
func backupsFromFlags(f Flags, cluster *Cluster, src *source) Faults {
	var faults Faults
	for _, path := range f.BackupPaths {
		if path == "" {
			faults = append(faults, Fault{Field: flagBackupPath, Message: "is empty: name a directory or glob of snapshot files"})
			continue
		}
		field := fmt.Sprintf("clusters[0].backups[%d].interval", len(cluster.Backups))
		src.flags[field] = "--backup.interval"
		if f.BackupIntervalSet {
			src.lines[field] = 0
		}
		cluster.Backups = append(cluster.Backups, Backup{Name: path, Path: path, Interval: f.BackupInterval, Verify: true})
	}
	return faults
}

// fromManifest fills in what no flag gave. A pair is taken whole or not at all.
func fromManifest(f Flags, cluster *Cluster, src *source) error {
	k, err := LoadKubeadmManifest(f.KubeadmManifest)
	if err != nil {
		return err
	}
	cluster.KubeadmManifest = f.KubeadmManifest
	if !f.EndpointsSet {
		cluster.Endpoints = []string{k.Endpoint}
		if k.DataDir != "" && isDirectory(k.DataDir) {
			cluster.DataDirs = map[string]string{k.Endpoint: k.DataDir}
		}
	}
	var taken []string
	if f.CAFile == "" {
		cluster.TLS.CAFile = k.CAFile
		taken = append(taken, k.CAFile)
		src.flags["clusters[0].tls.ca_file"] = flagManifest
	}
	if f.CertFile == "" && f.KeyFile == "" {
		cluster.TLS.CertFile, cluster.TLS.KeyFile = k.CertFile, k.KeyFile
		taken = append(taken, k.CertFile, k.KeyFile)
		src.flags["clusters[0].tls.cert_file"], src.flags["clusters[0].tls.key_file"] = flagManifest, flagManifest
	}
	for _, name := range taken {
		if _, _, err := readRegular(name, maxSecretBytes); err != nil {
			return fmt.Errorf("%s leads to %s, which cannot be read: %s", quotePath(f.KubeadmManifest), quotePath(name), reason(err))
		}
	}
	return nil
}
