// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
)

// Membership is the cluster's member list as this round sees it.
type Membership struct {
	MemberList
	Current bool // false: nobody answered, this is the last one that was seen
}

// ErrNoMemberList says that no endpoint gave a member list, now or before.
var ErrNoMemberList = errors.New("no endpoint gives a member list")

// Names is member name by id.
func (m MemberList) Names() map[uint64]string {
	names := make(map[uint64]string, len(m.Members))
	for _, member := range m.Members {
		names[member.ID] = member.Name
	}
	return names
}

// Fingerprint is the same for two lists that agree in every field of every
// member, whatever their order.
func (m MemberList) Fingerprint() string {
	members := slices.Clone(m.Members)
	for i := range members {
		members[i].PeerURLs = slices.Sorted(slices.Values(members[i].PeerURLs))
		members[i].ClientURLs = slices.Sorted(slices.Values(members[i].ClientURLs))
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	text, _ := json.Marshal(MemberList{ClusterID: m.ClusterID, Members: members}) // plain data: it cannot fail
	return string(text)
}

// Members gives the member list that most endpoints agree on, so that a single
// one which lies or lags behind does not speak for the cluster. Where nobody
// answers it is the last list seen, and an error where there never was one.
func (v *View) Members(ctx context.Context) (Membership, error) {
	lists, statuses := v.lists(ctx)
	type camp struct {
		list  MemberList
		size  int
		index uint64 // of the camp's furthest member
	}
	camps := map[string]*camp{}
	var best *camp
	for i, list := range lists {
		if list == nil {
			continue
		}
		key := list.Fingerprint()
		if camps[key] == nil {
			camps[key] = &camp{list: *list}
		}
		c := camps[key]
		c.size++
		c.index = max(c.index, statuses[i].RaftAppliedIndex)
		if best == nil || c.size > best.size || c.size == best.size && c.index > best.index {
			best = c
		}
	}
	if best != nil {
		v.memory.keepList(best.list)
		return Membership{best.list, true}, nil
	}
	if last, ok := v.memory.lastList(); ok {
		return Membership{last, false}, nil
	}
	return Membership{}, ErrNoMemberList
}

// lists asks every endpoint for its member list and Status, for half of the time.
func (v *View) lists(ctx context.Context) ([]*MemberList, []Status) {
	ctx, cancel := v.halfTime(ctx)
	defer cancel()
	statuses := make([]Status, len(v.endpoints))
	indexes := make(map[Endpoint]int, len(v.endpoints))
	for i, e := range v.endpoints {
		indexes[e] = i
	}
	lists := Each(v.endpoints, func(e Endpoint) *MemberList {
		list, err := v.MemberList(ctx, e)
		if err != nil {
			return nil
		}
		statuses[indexes[e]], _ = v.Status(ctx, e)
		return &list
	})
	return lists, statuses
}

// Statuses gives every Status that came in half of the round's time, in the
// order of the endpoints; nil where none did.
func (v *View) Statuses(ctx context.Context) []*Status {
	ctx, cancel := v.halfTime(ctx)
	defer cancel()
	return Each(v.endpoints, func(e Endpoint) *Status {
		status, err := v.Status(ctx, e)
		if err != nil {
			return nil
		}
		return &status
	})
}

// LastMembers is the member list of an earlier round, if there was one: for
// questions that need not wait for a new one.
func (v *View) LastMembers() (MemberList, bool) { return v.memory.lastList() }

// NamedBy says which member each endpoint's Status named when it last answered.
func (v *View) NamedBy() map[string]uint64 { return v.memory.names() }
