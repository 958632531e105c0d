// SPDX-License-Identifier: Apache-2.0

package mutate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

const (
	// ElectionTTL is how long after its end a holder that was killed is missed.
	ElectionTTL = 15 * time.Second

	// The parts of the TTL after which a lease is renewed, whoever waits looks again,
	// and a holder that cannot renew gives up: a third of the lease is left then,
	// for our clock and the member's to differ.
	renewPart = 5
	lookPart  = 15
	safePart  = 1.5
)

// Election decides which of several replicas acts on a cluster. Each replica has a
// lease and a key that hangs on it; the oldest key holds. Both are had in advance:
// under the alarm NOSPACE a lease is renewed, but none is granted and no key written.
//
// A lock in etcd is no mutual exclusion: a request that is under way when the lease
// runs out may arrive later. What is done under it must bear being done twice.
type Election struct {
	client *Client
	prefix string // of the keys
	name   string
	ttl    time.Duration
	log    *slog.Logger
	now    func() time.Time

	// These are Run's alone.
	url     string // that answered last
	lease   int64  // 0: none
	renewed time.Time
	told    string // the last error that was logged

	mu     sync.Mutex
	leader string        // name of the holder as it was seen last
	since  time.Time     // sending of the last renewal that was acknowledged; counts while lost is open
	lost   chan struct{} // closed when we do not hold, or no longer
	holds  bool
	expiry *time.Timer
}

// Elect takes part in the election below prefix as name; Run does the work. ttl is
// in whole seconds, at least two.
func (m *Client) Elect(prefix, name string, ttl time.Duration, log *slog.Logger) (*Election, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, fmt.Errorf("election: %w", err)
	}
	if name == "" || len(name) > 256 || ttl < 2*time.Second {
		return nil, fmt.Errorf("election: the name %.256q must have 1 to 256 bytes, and the lease of %s at least 2 s", name, ttl)
	}
	e := &Election{
		client: m, prefix: prefix + "election/", name: name, ttl: ttl.Truncate(time.Second),
		log: log, now: time.Now, lost: make(chan struct{}),
	}
	close(e.lost)
	return e, nil
}

// Holds says whether this replica may act. It is true only while our own clock says
// that the lease of the last acknowledged renewal, less a third, has not run out;
// both of our clocks, since the monotonic one stands still while a machine sleeps.
func (e *Election) Holds() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.holds && e.leftLocked() > 0
}

// Leader is the name of the replica that held when this one looked last; empty: none.
func (e *Election) Leader() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.leader
}

// Lost gives a channel that is closed as soon as this replica does not hold any
// more; closed already where it does not hold.
func (e *Election) Lost() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lost
}

// Run takes part until ctx ends, and then gives the lease back. Whatever fails is
// tried again.
func (e *Election) Run(ctx context.Context) {
	defer e.resign(context.WithoutCancel(ctx))
	failures := 0
	for ctx.Err() == nil {
		err := e.round(ctx)
		if ctx.Err() != nil {
			return
		}
		e.tell(err)
		wait := e.ttl / lookPart
		if err != nil {
			failures++
			wait = min(wait<<min(failures, 10), e.backoff())
		} else {
			failures = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// backoff is the longest pause after failures: with a lease there is one to save.
func (e *Election) backoff() time.Duration {
	if e.lease != 0 {
		return e.ttl / renewPart
	}
	return 2 * e.ttl
}

// round renews the lease where that is due, or takes one, and looks who holds.
func (e *Election) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.ttl/3)
	defer cancel()
	if err := e.renew(ctx); err != nil {
		return err
	}
	held, mine, err := e.look(ctx)
	if err != nil {
		return err
	}
	if !mine { // new, or somebody deleted it
		e.lose("the key is gone")
		if err := e.enter(ctx); err != nil {
			return err
		}
		if held, _, err = e.look(ctx); err != nil {
			return err
		}
	}
	if held.key == e.key() {
		e.win()
		return nil
	}
	e.lose("another holds")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leader = held.name
	return nil
}

// renew sees to a lease that lives. The instant before the request counts: the
// member reckons from a later one.
func (e *Election) renew(ctx context.Context) error {
	at := e.now()
	if e.lease == 0 {
		lease, err := e.grant(ctx)
		if err != nil {
			return fmt.Errorf("take lease: %w", err)
		}
		e.lease, e.renewed = lease, at
		return nil
	}
	if at.Sub(e.renewed) < e.ttl/renewPart {
		return nil
	}
	left, err := e.keepAlive(ctx)
	if err == nil && left <= 0 {
		err = etcd.ErrLeaseNotFound
	}
	if errors.Is(err, etcd.ErrLeaseNotFound) {
		e.lose("the lease has run out")
		e.lease = 0
	}
	if err != nil {
		return fmt.Errorf("renew lease: %w", err)
	}
	e.renewed = at
	return nil
}

// win notes that our key is the oldest, and the lease as good as the last renewal.
func (e *Election) win() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.since, e.leader = e.renewed, e.name
	left := e.leftLocked()
	if left <= 0 {
		return
	}
	if !e.holds {
		e.holds, e.lost = true, make(chan struct{})
		e.log.Info("this replica acts now", "name", e.name)
	}
	if e.expiry != nil {
		e.expiry.Stop()
	}
	e.expiry = time.AfterFunc(left, e.expire)
}

func (e *Election) expire() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.holds && e.leftLocked() <= 0 {
		e.loseLocked("the lease could not be renewed in time")
	}
}

func (e *Election) lose(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loseLocked(why)
}

func (e *Election) loseLocked(why string) {
	if !e.holds {
		return
	}
	e.holds, e.leader = false, ""
	close(e.lost)
	e.log.Info("this replica acts no longer", "name", e.name, "reason", why)
}

// leftLocked is for how long the last renewal is good for.
func (e *Election) leftLocked() time.Duration {
	now := e.now()
	passed := max(now.Sub(e.since), now.Round(0).Sub(e.since.Round(0)))
	return time.Duration(float64(e.ttl)/safePart) - passed
}

// resign gives the lease back, so that another replica need not wait for its end.
func (e *Election) resign(ctx context.Context) {
	e.lose("it ends")
	if e.lease == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, e.ttl/3)
	defer cancel()
	if err := e.revoke(ctx); err != nil {
		e.log.Warn("the lease of the election cannot be given back; it runs out by itself", "err", err)
	}
	e.lease = 0
}

// tell logs a failure when it is news.
func (e *Election) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == e.told {
		return
	}
	if e.told = text; err != nil {
		e.log.Warn("election fails; it is tried again", "err", err)
	}
}

func (e *Election) key() string { return e.prefix + strconv.FormatInt(e.lease, 16) }
