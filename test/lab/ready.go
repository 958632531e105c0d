// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	pollInterval = 20 * time.Millisecond
	askTimeout   = 2 * time.Second // of one question to one member
)

// WaitReady waits until every member that should answer (is up, not paused)
// does: voters a linearizable read, learners a serializable one, all naming
// the same leader and term. It fails at once when a member's process has
// ended by itself. Without a quorum only the context ends it.
func (l *Lab) WaitReady(ctx context.Context) error {
	err := poll(ctx, func() (bool, error) {
		return true, l.checkReady(ctx)
	}, l.crashed)
	if err != nil {
		return fmt.Errorf("lab is not ready: %w", err)
	}
	return nil
}

// poll tries again until try succeeds, the context ends, or fatal tells that
// there is no point in going on.
func poll(ctx context.Context, try func() (done bool, err error), fatal func() error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		done, err := try()
		if done && err == nil {
			return nil
		}
		if fatal != nil {
			if crash := fatal(); crash != nil {
				return crash
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// view is what one member thinks.
type view struct {
	leader, term, id uint64
	err              error
}

func (l *Lab) checkReady(ctx context.Context) error {
	members := l.Members()
	views := make([]view, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		if m.awake() {
			asked.Go(func() { views[i] = l.ask(ctx, m) })
		}
	}
	asked.Wait()
	var first *view
	for i := range views {
		switch v := &views[i]; {
		case v.err != nil:
			return fmt.Errorf("member %s: %w", members[i].Name(), v.err)
		case v.id == 0: // not awake, or not to be asked
		case v.leader == 0:
			return fmt.Errorf("member %s knows no leader", members[i].Name())
		case first == nil:
			first = v
		case v.leader != first.leader || v.term != first.term:
			return fmt.Errorf("member %s sees leader %x of term %d, others %x of term %d",
				members[i].Name(), v.leader, v.term, first.leader, first.term)
		}
	}
	return nil
}

// ask has one member answer a read and tell its view, and notes its id.
func (l *Lab) ask(ctx context.Context, m *Member) view {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m.mu.Lock()
	ended := m.run.done()
	m.mu.Unlock()
	go func() { // what has ended will not answer
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	client, err := l.clientOf(m)
	if err != nil {
		return view{err: err}
	}
	var options []clientv3.OpOption
	if m.learner {
		options = append(options, clientv3.WithSerializable())
	}
	_, err = client.Get(ctx, "health", options...)
	if m.learner && (errors.Is(err, rpctypes.ErrUserEmpty) || errors.Is(err, rpctypes.ErrPermissionDenied)) {
		return view{} // with auth on, and no certificates, all that can be had
	}
	if err != nil {
		return view{err: err}
	}
	status, err := client.Status(ctx, m.ClientURL())
	if err != nil {
		return view{err: err}
	}
	m.mu.Lock()
	m.id = status.Header.MemberId
	m.mu.Unlock()
	return view{leader: status.Leader, term: status.RaftTerm, id: status.Header.MemberId}
}

// Leader returns the index of the leader in Members, as the members that
// should answer see it; it waits while there is none.
func (l *Lab) Leader(ctx context.Context) (int, error) {
	leader := -1
	err := poll(ctx, func() (bool, error) {
		members := l.Members()
		for _, m := range members {
			if !m.awake() || m.learner {
				continue
			}
			v := l.ask(ctx, m)
			if v.err != nil || v.leader == 0 {
				continue
			}
			for i, candidate := range members {
				if candidate.ID() == v.leader && candidate.awake() {
					leader = i
					return true, nil
				}
			}
		}
		return false, nil
	}, l.crashed)
	if err != nil {
		return -1, fmt.Errorf("find the leader: %w", err)
	}
	return leader, nil
}

// crashed tells about members that ended by themselves, with their last words.
func (l *Lab) crashed() error {
	var crashes []error
	for _, m := range l.Members() {
		m.mu.Lock()
		up, run := m.up, m.run
		m.mu.Unlock()
		if !up {
			continue
		}
		select {
		case <-run.done():
			crashes = append(crashes, fmt.Errorf("member %s has ended:\n%s", m.Name(), logTail(m.LogFile())))
		default:
		}
	}
	return errors.Join(crashes...)
}

// trouble is what lines of a log that tell of errors contain.
var trouble = []string{`"level":"fatal"`, `"level":"error"`, "panic:", "error verifying flags", "flag provided but not defined"}

// logTail returns the last lines of a log that tell of errors, or its very
// last ones.
func logTail(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var bad []string
	for _, line := range lines {
		if slices.ContainsFunc(trouble, func(sign string) bool { return strings.Contains(line, sign) }) {
			bad = append(bad, line)
		}
	}
	if len(bad) > 0 {
		lines = bad
	}
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
