// SPDX-License-Identifier: Apache-2.0

// Package lab starts real etcd members for tests and for trying things out:
// in this process, or as binaries of a chosen version, that can be paused,
// killed, filled up, given a wrong clock or a wrong certificate.
//
// The members' data is not synced to disk unless asked for: a lab survives a
// killed process, not a power failure.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/etcdbin"
)

// startTimeout bounds the time that fresh members have to elect a leader; a
// build of their binary is not part of it.
const startTimeout = time.Minute

// Lab is a running cluster.
type Lab struct {
	options  Options
	dir      string
	token    string // differs between labs, so that stray peers are refused
	secrets  *secrets
	spawner  *spawner
	binaries map[string]string // version to file name
	claims   claims

	mu       sync.Mutex
	members  []*Member
	clients  map[string]*clientv3.Client // by client URLs
	user     string                      // administrator, once auth is on
	password string
	closed   bool
}

// Start starts a lab and waits until it is ready (see WaitReady). The context
// bounds the start only, not the life of the lab: Close ends that.
func Start(ctx context.Context, options Options) (*Lab, error) {
	options, err := options.resolve()
	if err != nil {
		return nil, fmt.Errorf("start lab: %w", err)
	}
	binaries, err := provide(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("start lab: %w", err)
	}
	// A free port may be taken by another process before etcd listens on it.
	for attempt := 1; ; attempt++ {
		l, err := start(ctx, options, binaries)
		if err == nil {
			return l, nil
		}
		if options.BasePort != 0 || attempt == 5 || ctx.Err() != nil || !strings.Contains(err.Error(), "address already in use") {
			return nil, fmt.Errorf("start lab: %w", err)
		}
	}
}

// provide makes sure that every binary is there before anything starts.
func provide(ctx context.Context, options Options) (map[string]string, error) {
	binaries := map[string]string{}
	if options.Version == Embedded {
		return binaries, nil
	}
	wanted := map[string]bool{options.Version: true} // also what is added later
	for i := range options.Member {
		wanted[binaryVersion(options, i)] = true
	}
	for version := range wanted {
		path, err := etcdbin.Path(ctx, version, etcdbin.Etcd)
		if err != nil {
			return nil, err
		}
		binaries[version] = path
	}
	return binaries, nil
}

func start(ctx context.Context, options Options, binaries map[string]string) (_ *Lab, err error) {
	l := &Lab{options: options, dir: options.Dir, binaries: binaries, spawner: newSpawner(), clients: map[string]*clientv3.Client{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close(), os.RemoveAll(l.path("members")))
		}
	}()
	if err := l.prepare(); err != nil {
		return nil, err
	}
	for i := range options.Members {
		m, err := l.newMember(i)
		if err != nil {
			return nil, err
		}
		l.members = append(l.members, m)
	}
	for _, m := range l.members {
		m.settings.initialCluster = initialCluster(l.members)
		if err := m.start(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return l, l.WaitReady(ctx)
}

// prepare makes the directories and the certificates.
func (l *Lab) prepare() (err error) {
	if l.dir == "" {
		l.dir, err = os.MkdirTemp("", "etcd-lab-")
	} else {
		l.dir, err = filepath.Abs(l.dir)
	}
	if err != nil {
		return err
	}
	l.token = fmt.Sprintf("lab-%d-%d", os.Getpid(), time.Now().UnixNano())
	if _, err := os.Stat(l.path("members")); err == nil {
		return fmt.Errorf("%s holds the data of an earlier lab", l.dir)
	}
	for _, dir := range []string{"members", "logs"} {
		if err := os.MkdirAll(l.path(dir), 0o700); err != nil {
			return err
		}
	}
	if l.options.TLS == Plain {
		return nil
	}
	l.secrets, err = newSecrets(l.path("pki"))
	return err
}

// initialCluster is what every first member must be told about the others.
func initialCluster(members []*Member) string {
	pairs := make([]string, len(members))
	for i, m := range members {
		pairs[i] = m.settings.name + "=" + m.settings.peerURL
	}
	return strings.Join(pairs, ",")
}

// Close ends every member, abruptly, and removes the lab's directory where the
// lab made it. It may be called more than once.
func (l *Lab) Close() error {
	l.mu.Lock()
	members, clients, closed := l.members, l.clients, l.closed
	l.clients, l.closed = nil, true
	l.mu.Unlock()
	if closed {
		return nil
	}
	for _, client := range clients {
		client.Close()
	}
	failed := make([]error, len(members)+1)
	var ended sync.WaitGroup
	for i, m := range members {
		ended.Go(func() { failed[i] = m.Kill() })
	}
	ended.Wait()
	l.claims.release()
	l.spawner.close()
	if l.options.Dir == "" && l.dir != "" {
		failed[len(members)] = os.RemoveAll(l.dir)
	}
	return errors.Join(failed...)
}

// Dir is the directory that holds certificates, data and logs.
func (l *Lab) Dir() string { return l.dir }

func (l *Lab) path(elements ...string) string {
	return filepath.Join(append([]string{l.dir}, elements...)...)
}

// Members returns the members in the order in which they were started: the
// voters of the first hour, then those added later.
func (l *Lab) Members() []*Member {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Member(nil), l.members...)
}

// Member returns member i of Members.
func (l *Lab) Member(i int) *Member { return l.Members()[i] }

// Endpoints lists the client URLs of all members that the lab ever started,
// learners included, whether they run or not.
func (l *Lab) Endpoints() []string {
	var urls []string
	for _, m := range l.Members() {
		urls = append(urls, m.ClientURL())
	}
	return urls
}
