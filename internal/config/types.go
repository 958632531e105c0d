// SPDX-License-Identifier: Apache-2.0

// Package config reads, checks and completes what both programs are told: the
// YAML file, the flags of a single cluster, and kubeadm's static pod manifest.
//
// Config is what was written, Validated is what may be used. All faults are
// reported together, each with its file, line and field; no fault and no
// warning repeats the content of a secret.
package config

import (
	"net/netip"
	"reflect"
	"time"
)

// Defaults that flags and file share.
const (
	DefaultClusterName = "default"
	DefaultEndpoint    = "http://127.0.0.1:2379"
	DefaultProbeKey    = "health"

	DefaultBackupPattern        = "*.db"
	DefaultBackupInterval       = 24 * time.Hour
	DefaultFileCheckInterval    = 30 * time.Second
	DefaultObjectCheckInterval  = 5 * time.Minute
	DefaultKeyspaceInterval     = time.Minute
	DefaultKeyspaceMaxGroups    = 200
	defaultEventsScanInterval   = 30 * time.Second
	defaultEventsScanMaxGroups  = 500
	defaultKeyspacePrefix       = "/registry/"
	defaultKeyspaceEventsPrefix = "/registry/events/"
)

// Config is the configuration file as written. Use Load or Parse to read one;
// a Config made by hand is checked and completed by Validate.
type Config struct {
	Clusters    []Cluster    `yaml:"clusters"`
	Remediation *Remediation `yaml:"remediation"`

	src *source // where each field stood; nil when made by hand
}

// Cluster is one etcd cluster. After validation every default is filled in,
// every file name is absolute and every URL is normalised: lower-case scheme
// and host, no trailing slash.
type Cluster struct {
	Name       string         `yaml:"name"`      // unique; letters, digits and -_. up to 128
	Endpoints  []string       `yaml:"endpoints"` // client URLs with a port, at least one
	Discover   bool           `yaml:"discover"`  // also take the client URLs of every member
	AllowCIDRs []netip.Prefix `yaml:"allow_cidrs"`
	TLS        TLS            `yaml:"tls"`
	Auth       Auth           `yaml:"auth"`
	ProbeKey   string         `yaml:"probe_key"` // read by health and compaction; default "health"
	// MetricsURLs gives, by client URL, the base URL at which a member serves
	// /metrics when that is not its client port. The base has no trailing
	// slash and does not end in /metrics.
	MetricsURLs map[string]string `yaml:"metrics_urls"`
	// DataDirs gives, by client URL, the data directory of a member on this
	// host. The directory need not exist.
	DataDirs map[string]string `yaml:"data_dirs"`
	// Keyspaces: nil before validation means the two default prefixes, an
	// empty list means none.
	Keyspaces []Keyspace `yaml:"keyspaces"`
	Backups   []Backup   `yaml:"backups"`
	MirrorOf  string     `yaml:"mirror_of"` // name of the cluster that this one is a copy of

	// MirrorPrefixes are those that this cluster and the one it mirrors both count.
	// Set by validation.
	MirrorPrefixes []string `yaml:"-"`
	// KubeadmManifest is the file that the flag of that name gave.
	KubeadmManifest string `yaml:"-"`
}

// Equal says whether two validated clusters are configured alike, so that a
// reload may keep what is running. The content of files is not compared: they
// are read again when they change.
func (c Cluster) Equal(o Cluster) bool { return reflect.DeepEqual(c, o) }

// TLS names the files of a connection. Without a CA file the system's roots are used.
type TLS struct {
	CAFile             string `yaml:"ca_file"`
	CertFile           string `yaml:"cert_file"` // only together with KeyFile
	KeyFile            string `yaml:"key_file"`
	ServerName         string `yaml:"server_name"` // verified instead of the URL's host
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
}

// Auth is etcd's own user and password. One trailing newline of the file is
// not part of the password.
type Auth struct {
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"password_file"`
}

// Keyspace is one prefix whose keys are counted in the background.
type Keyspace struct {
	Prefix        string        `yaml:"prefix"`
	Interval      time.Duration `yaml:"interval"`   // between scans; default 1m
	MaxGroups     int           `yaml:"max_groups"` // groups with a series of their own; default 200
	SampleBytes   bool          `yaml:"sample_bytes"`
	SampleExclude []string      `yaml:"sample_exclude"` // groups never sampled; default [secrets]
}

// Backup is one place where snapshots are kept: Path or ObjStore, never both.
type Backup struct {
	Name              string        `yaml:"name"` // unique in the cluster
	Path              string        `yaml:"path"` // directory, or glob of files
	ObjStore          *ObjStore     `yaml:"objstore"`
	Pattern           string        `yaml:"pattern"`        // of file names; default "*.db"
	Interval          time.Duration `yaml:"interval"`       // how often a backup is due; default 24h
	CheckInterval     time.Duration `yaml:"check_interval"` // default 30s for files, 5m for object stores
	Verify            bool          `yaml:"verify"`         // default true in a file and from flags
	TimeFromName      string        `yaml:"time_from_name"` // Go time layout; empty: modification time
	MaxBytesPerSecond Size          `yaml:"max_bytes_per_second"`
	ScratchDirectory  string        `yaml:"scratch_directory"`
	DrillResultFile   string        `yaml:"drill_result_file"`

	// Glob says that Path is a pattern and not a directory. Set by validation,
	// which also escapes what a relative Path's own directory holds of * ? [.
	Glob bool `yaml:"-"`
}

// setDefaults fills in what a zero value cannot tell from an absent one.
func (b *Backup) setDefaults() { b.Verify = true }

// ObjStore is an object store in the words of Thanos: either Type and Config
// in place, or ConfigFile with both.
type ObjStore struct {
	Type       string `yaml:"type"`
	Config     Raw    `yaml:"config"` // may hold keys: never shown
	ConfigFile string `yaml:"config_file"`
	Prefix     string `yaml:"prefix"`
}
