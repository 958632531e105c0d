// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// AddLearner adds a learner to the cluster, starts it and waits until the lab
// is ready. It is the last of Members from then on; Options.Member may hold
// what is different about it under its index.
func (l *Lab) AddLearner(ctx context.Context) (*Member, error) {
	m, err := l.newMember(len(l.Members()))
	if err != nil {
		return nil, fmt.Errorf("add learner: %w", err)
	}
	client, err := l.Client()
	if err != nil {
		return nil, fmt.Errorf("add learner: %w", err)
	}
	added, err := client.MemberAddAsLearner(ctx, []string{m.PeerURL()})
	if err != nil {
		return nil, fmt.Errorf("add learner %s: %w", m.Name(), err)
	}
	m.learner, m.id = true, added.Member.ID
	m.settings.state = "existing"
	m.settings.initialCluster = joinCluster(added.Members, m)
	if err := m.start(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.members = append(l.members, m)
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := l.WaitReady(ctx); err != nil {
		return nil, fmt.Errorf("add learner %s: %w", m.Name(), err)
	}
	return m, nil
}

// joinCluster is the present membership in the words of --initial-cluster.
func joinCluster(members []*etcdserverpb.Member, self *Member) string {
	var pairs []string
	for _, member := range members {
		name := member.Name
		switch {
		case member.ID == self.id:
			name = self.Name()
		case name == "": // not started yet; any name will do
			name = fmt.Sprintf("unstarted-%x", member.ID)
		}
		for _, url := range member.PeerURLs {
			pairs = append(pairs, name+"="+url)
		}
	}
	return strings.Join(pairs, ",")
}

// AddUnstarted adds a voter that nobody ever starts, and returns its id and
// peer URL. It counts towards the quorum: a lab of one loses its own.
func (l *Lab) AddUnstarted(ctx context.Context) (id uint64, peerURL string, err error) {
	port, err := l.claims.freePort()
	if err != nil {
		return 0, "", fmt.Errorf("add unstarted member: %w", err)
	}
	peerURL = l.url(port)
	client, err := l.Client()
	if err != nil {
		return 0, "", fmt.Errorf("add unstarted member: %w", err)
	}
	added, err := client.MemberAdd(ctx, []string{peerURL})
	if err != nil {
		return 0, "", fmt.Errorf("add unstarted member: %w", err)
	}
	return added.Member.ID, peerURL, nil
}
