// SPDX-License-Identifier: Apache-2.0

// Package etcd asks etcd questions and changes nothing in it.
//
// A Cluster holds one long-lived Client for each endpoint, so that one hanging
// member cannot hold another up. A View is one round of questions (a scrape):
// each question is put to an endpoint once, whoever asks it, and failures are
// counted by method and code. Beside its sub-package mutate this is the only
// importer of clientv3; what leaves it are the plain types below.
package etcd

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"strconv"
	"time"
)

// Config names one cluster and says how its endpoints are reached.
type Config struct {
	Name       string
	Endpoints  []string       // client URLs without a trailing slash
	Discover   bool           // also ask the client URLs of the member list
	AllowCIDRs []netip.Prefix // discovered addresses outside are refused; empty: any

	CAFile, CertFile, KeyFile string
	ServerName                string // verified instead of the URL's host
	InsecureSkipVerify        bool
	Username, PasswordFile    string

	ProbeKey    string            // the key that reads ask for; never its value
	MetricsURLs map[string]string // client URL: base URL of its /metrics and Date
	Logger      *slog.Logger
	OnDown      func(Reason) // called when an endpoint goes down; may be nil
}

// Endpoint is one client URL that is asked.
type Endpoint struct {
	URL        string // without a trailing slash
	Discovered bool   // learned from the member list, not configured
}

// Member is one row of the member list (Cluster.MemberList).
type Member struct {
	ID         uint64   `json:"id"`
	Name       string   `json:"name"` // empty until the member has started once
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls"`
	Learner    bool     `json:"learner"`
}

// Started says whether the member ever joined: etcd publishes its name then.
func (m Member) Started() bool { return m.Name != "" }

// MemberList is the membership as one member sees it, without a raft round.
type MemberList struct {
	ClusterID uint64   `json:"cluster_id"`
	Members   []Member `json:"members"`
}

// Status is one member's answer to Maintenance.Status. Sizes are in bytes.
type Status struct {
	ClusterID        uint64   `json:"cluster_id"`
	MemberID         uint64   `json:"member_id"`
	Version          string   `json:"version"`
	StorageVersion   string   `json:"storage_version"` // since 3.6
	DBSize           int64    `json:"db_size"`
	DBInUse          int64    `json:"db_in_use"`
	DBQuota          int64    `json:"db_quota"` // since 3.6; 0: it does not say
	Leader           uint64   `json:"leader"`   // 0: none
	RaftTerm         uint64   `json:"raft_term"`
	RaftIndex        uint64   `json:"raft_index"`
	RaftAppliedIndex uint64   `json:"raft_applied_index"`
	Revision         int64    `json:"revision"`
	Learner          bool     `json:"learner"`
	Errors           []string `json:"errors"` // alarms, and "no leader", as text
}

// Read is a question for the probe key. Only a count is asked for, so that no
// value ever crosses the wire.
type Read struct {
	Linearizable bool  // through the leader and a quorum; else from the member itself
	Revision     int64 // 0: the present one
}

// Alarm is one raised alarm.
type Alarm struct {
	MemberID uint64 `json:"member_id"`
	Type     string `json:"type"` // AlarmNoSpace or AlarmCorrupt
}

// The two alarms that etcd has.
const (
	AlarmNoSpace = "NOSPACE"
	AlarmCorrupt = "CORRUPT"
)

// ServerTime is one reading of a member's clock: an HTTP Date header and the
// local instants around the request that brought it.
type ServerTime struct {
	Sent, Received time.Time
	Date           string // as the server sent it, unchecked
	Source         string // SourceClient or SourceMetrics
}

// Where a Date header came from.
const (
	SourceClient  = "client_port"
	SourceMetrics = "metrics_url"
)

// API is what can be asked of one endpoint. Client is the real one; unit tests
// answer from captured files.
type API interface {
	Status(ctx context.Context) (Status, error)
	MemberList(ctx context.Context) (MemberList, error)
	Read(ctx context.Context, r Read) error
	// AlarmList writes a raft entry: ask it only where Status is not understood.
	AlarmList(ctx context.Context) ([]Alarm, error)
	// Quota is the endpoint's own etcd_server_quota_backend_bytes.
	Quota(ctx context.Context) (int64, error)
	ServerTime(ctx context.Context) (ServerTime, error)
	// Flags are the settings that the member's command line tells for certain, by
	// flag (internal/memberflags has the list). It costs the member a moment in which
	// it adds up its memory: ask in the background, and rarely.
	Flags(ctx context.Context) (map[string]string, error)
	// ServerCertificates is the chain the endpoint presents, leaf first; read
	// even when it is expired or untrusted. Empty for a plain endpoint.
	ServerCertificates(ctx context.Context) ([]*x509.Certificate, error)
}

// FormatID prints an id as etcdctl does.
func FormatID(id uint64) string { return strconv.FormatUint(id, 16) }
