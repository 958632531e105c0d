// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdops/etcdops/test/lab"
)

// fallBehind makes one member look that many raft entries behind: the others are ahead.
func fallBehind(fakes []*fake, one *fake, entries uint64, version string) {
	for _, f := range fakes {
		f.Lie(lies{Status: func(s *pb.StatusResponse) {
			if f != one {
				s.RaftIndex, s.RaftAppliedIndex = s.RaftIndex+entries, s.RaftAppliedIndex+entries
			}
			if version != "" {
				s.Version = version
			}
		}})
	}
}

func ofVersion(version string) func(*pb.StatusResponse) {
	return func(s *pb.StatusResponse) { s.Version = version }
}

// TestGuardCorrupt: the alarm CORRUPT of any member, however one learns of it, ends
// everything, and a new kind of alarm does so too.
func TestGuardCorrupt(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{})
	fakes := startFakes(t, l)
	config := before(t, writeConfig(t, l, policyOf(quick)), fakes)
	plans(t, config)
	sick := l.Member(1)
	for name, test := range map[string]struct {
		lies   lies
		saying string
	}{
		"in its own Status":  {lies{Status: tells(fmt.Sprintf("memberID:%d alarm:CORRUPT ", sick.ID()))}, "the alarm CORRUPT is raised for " + sick.Name()},
		"of nobody it knows": {lies{Status: tells("alarm:CORRUPT ")}, "the alarm CORRUPT is raised for a member that etcd could not name"},
		"of a later etcd":    {lies{Status: tells("memberID:1 alarm:HOT "), Alarms: raises(0, 7)}, "an alarm that this program does not know is raised"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range fakes {
				f.Lie(lies{Alarms: test.lies.Alarms})
			}
			fakes[1].Lie(test.lies)
			for _, action := range []string{"defrag", "compact", "disarm", "recover_space"} {
				w := want{by: "corrupt", saying: test.saying}
				if action != "defrag" {
					w.beside = []string{"stable"} // they have no policy here, and so its default
				}
				refuses(t, l, config, w, action)
			}
		})
	}
	t.Run("in the list of alarms alone", func(t *testing.T) {
		for _, f := range fakes {
			f.Lie(lies{Alarms: raises(sick.ID(), pb.AlarmType_CORRUPT)})
		}
		was := look(t, l)
		status, run := byHand(t, "run", "defrag", "--yes", "--config.file="+config)
		if err := (want{by: "corrupt", saying: sick.Name()}).check(status, run); err != nil {
			t.Error(err)
		}
		if is := look(t, l); is != was {
			t.Errorf("a refused run has changed the cluster from %s to %s", was, is)
		}
	})
	for _, f := range fakes {
		f.Lie(lies{})
	}
	acts(t, l, config)
}

func tells(text string) func(*pb.StatusResponse) {
	return func(s *pb.StatusResponse) { s.Errors = append(s.Errors, text) }
}

func raises(member uint64, kind pb.AlarmType) func(*pb.AlarmResponse) {
	return func(a *pb.AlarmResponse) {
		a.Alarms = append(a.Alarms, &pb.AlarmMember{MemberID: member, Alarm: kind})
	}
}

// TestGuardVersion: a version with a known hazard is not defragmented unless the
// policy accepts that very issue, and what is no version never.
func TestGuardVersion(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{})
	fakes := startFakes(t, l)
	config := before(t, writeConfig(t, l, policyOf(quick)), fakes)
	other := before(t, writeConfig(t, l, policyOf(quick+`, accept_known_issues: ["11613", "17780"]`)), fakes)
	accepts := before(t, writeConfig(t, l, policyOf(quick+`, accept_known_issues: ["14685"]`)), fakes)
	say := func(version string) {
		for _, f := range fakes {
			f.Lie(lies{Status: ofVersion(version)})
		}
	}
	say("3.5.3")
	refuses(t, l, config, want{by: "version", saying: "etcd 3.5.3 has issue 14685"}, "defrag")
	refuses(t, l, other, want{by: "version", saying: "issue 14685"}, "defrag")
	plans(t, accepts)
	say("3.5.22") // sound unless a member catches up: 20650
	plans(t, config)
	fallBehind(fakes, fakes[2], 500, "3.5.22")
	refuses(t, l, config, want{by: "version", saying: "issue 20650"}, "defrag")
	say("3.3.27")
	refuses(t, l, config, want{by: "version", saying: "older than 3.4"}, "defrag")
	say(strings.Repeat("9", 300) + "\n\x1b[2J")
	refuses(t, l, config, want{by: "version", saying: "is no version"}, "defrag")
	say("3.5.3")
	acts(t, l, accepts)
}

// TestGuardMixedVersions: members of two real versions.
func TestGuardMixedVersions(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{Member: map[int]lab.MemberOptions{1: {Version: "3.5.35"}}})
	config := writeConfig(t, l, policyOf(quick+`, accept_known_issues: ["14685", "11613", "20650", "17780"]`))
	refuses(t, l, config, want{by: "version", saying: "versions are mixed"}, "defrag")
}

// TestGuardDefragmenting: while a member's Status hangs and it answers the rest, it is
// being defragmented by somebody. And where defragmentations bring nothing, the
// breaker opens.
func TestGuardDefragmenting(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{})
	fakes := startFakes(t, l)
	config := before(t, writeConfig(t, l, policyOf(quick)), fakes)
	s := watching(t, config) // it knows whose endpoint that is, since it was told before
	plans(t, config)
	fakes[2].Lie(lies{HoldStatus: true})
	busy := want{by: "health", beside: []string{"defragmenting", "lag", "version"}, maybe: "stable", saying: l.Member(2).Name() + " does not answer: defragmenting"}
	refuses(t, l, config, busy, "defrag")
	fakes[2].Lie(lies{})
	await(t, time.Minute, "the member answers again", func() error { return hasPlan(t, config) })

	for _, f := range fakes {
		f.Lie(lies{NoDefrag: true})
	}
	was := look(t, l)
	for range 2 {
		status, run := byHand(t, "run", "defrag", "--yes", "--config.file="+config)
		if status != 1 || run.Outcome != "failed" || len(run.Steps) != 1 || !strings.Contains(run.Reason, "something is wrong with it") {
			t.Errorf("a defragmentation that does nothing: exit %d, %+v", status, run)
		}
	}
	if is := look(t, l); is != was {
		t.Errorf("%s, before %s", is, was)
	}
	for _, f := range fakes {
		f.Lie(lies{})
	}
	refuses(t, l, config, want{by: "breaker", saying: "2 runs in a row brought less than a tenth"}, "defrag")
	if status, body := s.Do("POST", "/-/resume", "{}"); status != 200 {
		t.Fatalf("resume answers %d: %s", status, body)
	}
	acts(t, l, config)
}
