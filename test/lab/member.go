// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/etcdops/etcdops/test/etcdbin"
)

// ErrEmbedded says that a member inside this process cannot be paused.
var ErrEmbedded = errors.New("an embedded member cannot be paused: choose a version")

// Member is one member of a lab.
type Member struct {
	lab      *Lab
	settings settings
	learner  bool

	mu     sync.Mutex
	run    runner // nil before the first start
	up     bool   // meant to be running
	paused bool
	id     uint64
}

// settings are what a member is started with, whichever way it runs.
type settings struct {
	index                     int
	name, version, binary     string // version and binary empty: embedded
	dataDir, logFile          string
	clientURL, httpURL        string // equal unless the client port speaks gRPC only
	peerURL                   string
	advertise                 []string
	initialCluster, state     string
	token                     string
	tls                       TLSMode
	caFile                    string
	serverCert, serverKey     string
	peerCert, peerKey         string
	quota                     int64
	heartbeat, election, skew time.Duration
	noFsync                   bool
	args                      []string
}

// runner is a member that was started: a process, or servers in this one.
type runner interface {
	done() <-chan struct{} // closed when it has ended
	kill() error
	stop(ctx context.Context) error // graceful, but abrupt once ctx ends
	pause() error
	resume() error
	pid() int // 0: this process
}

// newMember lays a member out: ports, files and certificates.
func (l *Lab) newMember(i int) (*Member, error) {
	own := l.options.Member[i]
	name := fmt.Sprintf("m%d", i)
	ports, err := l.claims.memberPorts(l.options.BasePort, i)
	if err != nil {
		return nil, fmt.Errorf("ports of member %s: %w", name, err)
	}
	s := settings{
		index: i, name: name, state: "new", token: l.token, tls: l.options.TLS,
		dataDir: l.path("members", name), logFile: l.path("logs", name+".log"),
		clientURL: l.url(ports[0]), peerURL: l.url(ports[1]), httpURL: l.url(ports[0]),
		quota: l.options.QuotaBytes, heartbeat: l.options.Heartbeat, election: l.options.Election,
		skew: own.ClockSkew, noFsync: !l.options.Fsync, advertise: own.Advertise,
		args: append(append([]string(nil), l.options.Args...), own.Args...),
	}
	if own.GRPCOnly {
		s.httpURL = l.url(ports[2])
	}
	if len(s.advertise) == 0 {
		s.advertise = []string{s.clientURL}
	}
	if l.options.Version != Embedded {
		s.version = binaryVersion(l.options, i)
		s.binary = l.binaries[s.version]
	}
	if l.secrets != nil {
		if err := l.secrets.issueMember(&s, own.ServerCert); err != nil {
			return nil, fmt.Errorf("certificates of member %s: %w", name, err)
		}
	}
	return &Member{lab: l, settings: s}, nil
}

// binaryVersion is the version in etcdbin's words: with a skewed clock where
// member i has one.
func binaryVersion(options Options, i int) string {
	version := options.versionOf(i)
	if options.Member[i].ClockSkew != 0 {
		version += etcdbin.SkewSuffix
	}
	return version
}

// start starts the member and returns without waiting for it to serve.
func (m *Member) start() (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.up {
		return fmt.Errorf("start member %s: it runs already", m.settings.name)
	}
	if m.settings.binary == "" {
		m.run, err = startEmbedded(m.settings)
	} else {
		m.run, err = startProcess(m.settings, m.lab.spawner)
	}
	if err != nil {
		m.run = nil
		return fmt.Errorf("start member %s: %w", m.settings.name, err)
	}
	m.up, m.paused = true, false
	return nil
}

// Name is the member's name in the cluster.
func (m *Member) Name() string { return m.settings.name }

// ClientURL is where clients reach the member.
func (m *Member) ClientURL() string { return m.settings.clientURL }

// HTTPURL is where /metrics, /health and /version are: the client URL, or a
// port of its own where the client port speaks gRPC only.
func (m *Member) HTTPURL() string { return m.settings.httpURL }

// PeerURL is where other members reach the member.
func (m *Member) PeerURL() string { return m.settings.peerURL }

// DataDir is the member's data directory.
func (m *Member) DataDir() string { return m.settings.dataDir }

// LogFile is where the member logs to, through all its restarts.
func (m *Member) LogFile() string { return m.settings.logFile }

// ServerCert and ServerKey are the files of the client port's certificate,
// which etcd reads again at every handshake; empty for a plain member.
func (m *Member) ServerCert() string { return m.settings.serverCert }

// ServerKey is the key of ServerCert.
func (m *Member) ServerKey() string { return m.settings.serverKey }

// ID is the member's id in the cluster, known once the lab was ready.
func (m *Member) ID() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

// PID is the member's process id; 0 for an embedded one or before its start.
func (m *Member) PID() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil {
		return 0
	}
	return m.run.pid()
}

// Pause stops the member's process (SIGSTOP): its ports accept connections
// and nothing answers.
func (m *Member) Pause() error {
	return m.change("pause", func(r runner) error {
		err := r.pause()
		m.paused = m.paused || err == nil
		return err
	})
}

// Resume lets a paused member go on.
func (m *Member) Resume() error {
	return m.change("resume", func(r runner) error {
		m.paused = false
		return r.resume()
	})
}

// Kill ends the member abruptly (SIGKILL) and waits until it is gone. It does
// nothing to a member that is not up.
func (m *Member) Kill() error {
	return m.end("kill", runner.kill)
}

// Stop ends the member as an operator would (SIGTERM) and waits until it is
// gone; when ctx ends first, it is killed.
func (m *Member) Stop(ctx context.Context) error {
	return m.end("stop", func(r runner) error { return r.stop(ctx) })
}

// Restart ends the member where it is up, as Stop does, and starts it again
// on its old ports and data. It does not wait until the member serves, which
// may need others first: WaitReady does.
func (m *Member) Restart(ctx context.Context) error {
	if err := m.Stop(ctx); err != nil {
		return err
	}
	return m.start()
}

func (m *Member) end(verb string, how func(runner) error) error {
	m.mu.Lock()
	up := m.up
	m.mu.Unlock()
	if !up {
		return nil
	}
	return m.change(verb, func(r runner) error {
		err := how(r)
		m.up, m.paused = false, false
		return err
	})
}

// change does something to a member that is up.
func (m *Member) change(verb string, how func(runner) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.up {
		return fmt.Errorf("%s member %s: it is not up", verb, m.settings.name)
	}
	if err := how(m.run); err != nil {
		return fmt.Errorf("%s member %s: %w", verb, m.settings.name, err)
	}
	return nil
}

// awake tells whether the member should answer: it is up and not paused.
func (m *Member) awake() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.up && !m.paused
}
