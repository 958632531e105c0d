// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/etcdops/etcdops/remediate/journal"
	"github.com/etcdops/etcdops/remediate/live"
)

const (
	electionTTL = 15 * time.Second
	mirrorEvery = 2 * time.Second
	mirrorTime  = 10 * time.Second
)

// candidate is what takes part in an election of one cluster.
type candidate interface {
	Run(ctx context.Context)
	Holds() bool
	Leader() string
}

// election says whether this replica acts on a cluster, and keeps what replicas must
// know of one another: pause and the ends of runs.
type election struct {
	candidate
	cluster string
	prefix  string
	live    *live.Live
	journal *journal.Journal
	log     *slog.Logger

	mu   sync.Mutex
	read bool   // the mirror was read since we hold
	why  string // it was not

	told string // the last failure that was logged
}

func newElection(c *cluster, prefix string, kept *journal.Journal) (*election, error) {
	part, err := c.live.Elect(prefix, replicaName(), electionTTL, c.log)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.config.Name, err)
	}
	return &election{candidate: part, cluster: c.config.Name, prefix: prefix, live: c.live, journal: kept, log: c.log}, nil
}

// replicaName tells replicas apart, also two on one host.
func replicaName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	var random [3]byte
	_, _ = rand.Read(random[:]) // it never fails
	return fmt.Sprintf("%.200s-%s", host, hex.EncodeToString(random[:]))
}

// holds says whether this replica may act, else who does.
func (e *election) holds() (bool, string) {
	if !e.Holds() {
		if leader := e.Leader(); leader != "" {
			return false, leader + " holds the election"
		}
		return false, "nobody is known to hold the election yet"
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.read {
		return false, "we hold the election, but what other replicas did could not be read yet: " + e.why
	}
	return true, ""
}

// run takes part until ctx ends.
func (e *election) run(ctx context.Context) {
	var part sync.WaitGroup
	taking, resign := context.WithCancel(context.WithoutCancel(ctx))
	part.Go(func() { e.Run(taking) })
	defer part.Wait()
	defer resign()
	tick := time.NewTicker(mirrorEvery)
	defer tick.Stop()
	held := false
	for {
		e.exchange(ctx, &held)
		select {
		case <-tick.C:
		case <-ctx.Done(): // whoever acts next has to know what we did
			e.exchange(context.WithoutCancel(ctx), &held)
			return
		}
	}
}

// exchange reads what other replicas did and said, and tells of what they do not know:
// each takes part, since a person may pause any of them. What is merged never goes
// back, so that all soon say the same.
func (e *election) exchange(ctx context.Context, held *bool) {
	ctx, cancel := context.WithTimeout(ctx, mirrorTime)
	defer cancel()
	holds := e.Holds()
	if holds != *held {
		e.setRead(false, "it was not asked yet")
	}
	*held = holds
	data, err := e.live.Mirror(ctx, e.prefix)
	if err == nil && data != nil {
		err = e.journal.Import(ctx, e.cluster, data)
	}
	if err != nil {
		e.setRead(false, err.Error())
		e.tell(err)
		return
	}
	e.setRead(holds, "it was not asked since") // what was read before we held may be old
	if now := e.journal.Export(e.cluster); !bytes.Equal(now, data) {
		err = e.live.PutMirror(ctx, e.prefix, now)
	}
	e.tell(err)
}

// tell logs a failure when it is news.
func (e *election) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != e.told && err != nil {
		e.log.Warn("pause and runs cannot be shared with other replicas; it is tried again", "err", err)
	}
	e.told = text
}

func (e *election) setRead(read bool, why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.read, e.why = read, why
}
