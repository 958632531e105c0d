// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"maps"
	"time"
)

const (
	// moveTime is how long a change of leader that we asked for may take.
	moveTime = time.Minute
	// excuseTime is how long a member may stay silent after our work on it.
	excuseTime = 30 * time.Second
)

// stability counts for how long nothing changed.
type stability struct {
	last  *Look    // the last good one
	seen  instant  // when that was
	since *instant // nil: not stable
	event string   // what happened last, in words
	when  instant

	move    *move
	working map[uint64]int     // members that we work on: how often they are excused
	worked  map[uint64]instant // members that we have just worked on
}

// move is a change of leader that we asked for.
type move struct {
	to    uint64
	asked instant
}

// take compares a look with what was before. It gives the change in words, if there
// is one that has not been told yet.
func (s *stability) take(l Look, now instant) (news string) {
	if s.move != nil && now.longSince(s.move.asked) > moveTime {
		s.move = nil
	}
	if gap := s.gap(now); s.since != nil && gap > tooLong {
		news = s.end(fmt.Sprintf("nothing was seen of the cluster for %s", gap.Round(time.Second)), now)
	}
	if l.Fault == "" && l.Leader == 0 && s.move != nil && s.accused(&l, now) == "" {
		return news // between two leaders, as we asked
	}
	if trouble := s.trouble(&l, now); trouble != "" {
		return s.end(trouble, now)
	}
	switch change := s.change(&l); {
	case s.since == nil:
		if s.last == nil {
			s.event, s.when = "the watch began", now
		}
		s.since = &now
	case change != "":
		news, s.event, s.when, s.since = change, change, now, &now
	}
	s.keep(l, now)
	return news
}

// end says that the cluster is not stable. The same trouble is news only once.
func (s *stability) end(event string, now instant) (news string) {
	if s.since != nil || s.event != event {
		news = event
	}
	s.since, s.event, s.when = nil, event, now
	return news
}

// gap is for how long there was no good look.
func (s *stability) gap(now instant) time.Duration {
	if s.last == nil {
		return 0
	}
	return now.longSince(s.seen)
}

// trouble says in words what keeps a look from being a good one.
func (s *stability) trouble(l *Look, now instant) string {
	switch accused := s.accused(l, now); {
	case l.Fault != "":
		return l.Fault
	case accused != "":
		return accused
	case l.Leader == 0 && !l.mute():
		return "the voters had no leader that they agreed on"
	default:
		return ""
	}
}

// accused tells of a voter that did not answer and has no excuse.
func (s *stability) accused(l *Look, now instant) string {
	for _, id := range l.Silent {
		if done, worked := s.worked[id]; worked && now.longSince(done) > excuseTime {
			delete(s.worked, id)
		}
		if _, worked := s.worked[id]; s.working[id] == 0 && !worked {
			return l.name(id) + " did not answer"
		}
	}
	return ""
}

// change says in words what is not as in the last good look. A change of leader
// that we asked for is none.
func (s *stability) change(l *Look) string {
	was := s.last
	switch {
	case was == nil:
		return ""
	case l.ClusterID != was.ClusterID:
		return "the cluster's id changed"
	case l.Members != was.Members:
		return "the membership changed"
	}
	for id, version := range l.Versions {
		if before, known := was.Versions[id]; known && before != version {
			return fmt.Sprintf("%s changed from version %s to %s", l.name(id), plain(before), plain(version))
		}
	}
	if l.Leader == was.Leader && l.Term == was.Term || l.mute() {
		return ""
	}
	asked := s.move
	s.move = nil
	switch {
	case asked != nil && l.Leader == asked.to && l.Leader != was.Leader && l.Term > was.Term:
		return ""
	case l.Leader != was.Leader:
		return fmt.Sprintf("leader moved from %s to %s", was.name(was.Leader), l.name(l.Leader))
	default:
		return fmt.Sprintf("an election: %s leads as before, in term %d instead of %d", l.name(l.Leader), l.Term, was.Term)
	}
}

// differs is change for a look that was taken beside the others: nothing is kept of it.
func (s *stability) differs(l *Look) string {
	asked := s.move
	defer func() { s.move = asked }()
	return s.change(l)
}

// keep remembers a good look. What an excused member did not say is as before.
func (s *stability) keep(l Look, now instant) {
	if was := s.last; was != nil {
		if l.mute() {
			l.Leader, l.Term = was.Leader, was.Term
		}
		versions := maps.Clone(was.Versions)
		maps.DeleteFunc(versions, func(id uint64, _ string) bool { return l.Names[id] == "" })
		maps.Copy(versions, l.Versions)
		l.Versions = versions
	}
	if s.move != nil && s.move.to == l.Leader {
		s.move = nil
	}
	s.last, s.seen = &l, now
}

func (s *stability) excuse(member uint64) {
	if s.working == nil {
		s.working, s.worked = map[uint64]int{}, map[uint64]instant{}
	}
	s.working[member]++
}

func (s *stability) accuse(member uint64, now instant) {
	if s.working[member]--; s.working[member] <= 0 {
		delete(s.working, member)
	}
	s.worked[member] = now
}

func (s *stability) stable(now instant) (since time.Time, last string) {
	switch gap := s.gap(now); {
	case s.event == "":
		return time.Time{}, "the cluster was not looked at yet"
	case s.since != nil && gap > tooLong:
		return time.Time{}, fmt.Sprintf("the last good look at the cluster was %s ago", gap.Round(time.Second))
	}
	last = fmt.Sprintf("%s %s ago", s.event, max(now.longSince(s.when), 0).Round(time.Second))
	if s.since == nil {
		return time.Time{}, last
	}
	return s.since.at, last
}
