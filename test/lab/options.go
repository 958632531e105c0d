// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/etcdops/etcdops/test/pki"
)

// Embedded is the version of the members that run inside this process.
const Embedded = ""

// TLSMode says how the members' ports are secured.
type TLSMode int

// The modes; the zero value is the one that production uses.
const (
	MTLS      TLSMode = iota // client and peer ports require a client certificate
	ServerTLS                // the client port asks for no certificate; peers as with MTLS
	Plain                    // http on both ports
)

// Options describe a lab. The zero value is three embedded members over mTLS
// on free ports, in a temporary directory.
type Options struct {
	Members int     // how many voters; 0: three
	Version string  // of the members' binaries, see etcdbin; Embedded: in this process
	TLS     TLSMode // how ports are secured

	Dir      string // for certificates, data and logs; "": temporary, removed by Close
	BasePort int    // member i listens on BasePort+10*i (clients), +1 (peers), +2 (HTTP); 0: free ports

	QuotaBytes int64         // of each member's database; 0: etcd's default
	Heartbeat  time.Duration // 0: 100 ms
	Election   time.Duration // election timeout; 0: ten heartbeats
	Fsync      bool          // really write to disk, as 3.4 always does

	Args   []string              // more flags for every member; binaries only
	Member map[int]MemberOptions // what differs for member i
}

// MemberOptions say what is different about one member.
type MemberOptions struct {
	Version string   // another binary than the lab's; binaries only
	Args    []string // more flags; binaries only

	// ClockSkew is added to the wall clock of the member's process, which
	// then runs the "-skew" variant of its version; binaries only.
	ClockSkew time.Duration
	// GRPCOnly takes HTTP (/metrics, /health, the Date header) off the client
	// port and onto a port of its own. Not in 3.4.
	GRPCOnly bool
	// Advertise replaces the client URLs that the member tells the cluster.
	Advertise []string
	// ServerCert replaces the certificate of the client port.
	ServerCert *ServerCert
}

// ServerCert describes the certificate that a member's client port presents.
type ServerCert struct {
	pki.Spec      // no Hosts: the loopback addresses
	Foreign  bool // issued by a CA that clients of this lab do not trust
}

// resolve fills in defaults and refuses what cannot work.
func (o Options) resolve() (Options, error) {
	if o.Members == 0 {
		o.Members = 3
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 100 * time.Millisecond
	}
	if o.Election == 0 {
		o.Election = 10 * o.Heartbeat
	}
	o.Member = maps.Clone(o.Member)
	switch {
	case o.Members < 0:
		return o, fmt.Errorf("a lab of %d members", o.Members)
	case o.Version == Embedded && len(o.Args) > 0:
		return o, errors.New("embedded members take no flags")
	case o.Election < 5*o.Heartbeat:
		return o, fmt.Errorf("election timeout %s is below 5 heartbeats of %s", o.Election, o.Heartbeat)
	}
	for _, i := range slices.Sorted(maps.Keys(o.Member)) {
		if err := o.Member[i].check(o); err != nil {
			return o, fmt.Errorf("member %d: %w", i, err)
		}
	}
	return o, nil
}

func (m MemberOptions) check(o Options) error {
	switch {
	case o.Version == Embedded && (m.Version != "" || len(m.Args) > 0 || m.ClockSkew != 0):
		return errors.New("an embedded member has no version, flags or clock of its own")
	case m.ServerCert != nil && o.TLS == Plain:
		return errors.New("a plain member has no certificate")
	}
	return nil
}

// versionOf is the version of binary that member i runs.
func (o Options) versionOf(i int) string {
	if version := o.Member[i].Version; version != "" {
		return version
	}
	return o.Version
}
