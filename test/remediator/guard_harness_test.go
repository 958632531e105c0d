// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/lab"
)

const (
	// quick lets nothing wait: neither for stability, which package watch is about, nor
	// for a cool-down. What a test is about stands before it.
	quick = "clusters: [lab], stable_for: 1ms, cooldown: 0s, max_runs_per_day: 1000"
	// soonDone are the parameters of a defragmentation that is worth it and has no pauses.
	soonDone = "defrag: {min_reclaimable: 1MiB, settle: 0s}"
)

// places bound how many labs are alive at a time, whatever -parallel says.
var places = make(chan struct{}, 3)

// guardLab starts a lab whose members are each worth a defragmentation, so that a
// guard that failed to refuse would show.
func guardLab(t testing.TB, options lab.Options) *lab.Lab {
	t.Helper()
	places <- struct{}{}
	t.Cleanup(func() { <-places }) // after the lab has ended
	l := startLab(t, options)
	waste(t, l)
	return l
}

// waste leaves some MiB in each member's database that hold nothing.
func waste(t testing.TB, l *lab.Lab) {
	t.Helper()
	fragment(t, l, 4)
}

// policyOf is a remediation block of one policy for defrag.
func policyOf(fields string) string {
	return "  policies:\n    - {name: reclaim, action: defrag, matchers: ['alertname=\"EtcdFragmented\"'], " + fields + ", " + soonDone + "}\n"
}

// looks is what a run that was refused must leave as it was.
type looks struct {
	sizes         []int64 // of the databases
	revision      int64
	leader, term  uint64
	members, keys int
}

// look asks the members that answer.
func look(t testing.TB, l *lab.Lab) string {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	var seen looks
	for _, url := range l.Endpoints() {
		ctx, cancel := context.WithTimeout(patient(t), time.Second)
		status, err := client.Status(ctx, url)
		cancel()
		if err != nil {
			seen.sizes = append(seen.sizes, -1)
			continue
		}
		seen.sizes = append(seen.sizes, status.DbSize)
		seen.revision, seen.leader, seen.term = max(seen.revision, status.Header.Revision), status.Leader, max(seen.term, status.RaftTerm)
	}
	await(t, time.Minute, "a member counts members and keys", func() error { // each try goes to another member
		ctx, cancel := context.WithTimeout(patient(t), time.Second)
		defer cancel()
		members, err := client.MemberList(ctx)
		if err != nil {
			return err
		}
		keys, err := client.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			return err
		}
		seen.members, seen.keys = len(members.Members), int(keys.Count)
		return nil
	})
	return fmt.Sprintf("%+v", seen)
}

// want is a refusal.
type want struct {
	by     string   // the guard that the run's reason names
	beside []string // other guards that refuse as well
	maybe  string   // a guard that may refuse as well, by what the watch happens to have seen
	saying string   // a part of the guard's own reason
}

// check says why a run is not the refusal that was wanted.
func (w want) check(status int, run Run) error {
	all := append([]string{w.by}, w.beside...)
	got := slices.DeleteFunc(run.refusedBy(), func(g string) bool { return g == w.maybe })
	slices.Sort(all)
	slices.Sort(got)
	switch {
	case status != 3 || run.Outcome != "refused":
		return fmt.Errorf("exit %d, outcome %s (%s): want it refused by %s", status, run.Outcome, run.Reason, w.by)
	case !strings.HasPrefix(run.Reason, w.by+": ") || !strings.Contains(run.Reason, w.saying):
		return fmt.Errorf("refused for %q, want it by %s, saying %q", run.Reason, w.by, w.saying)
	case !slices.Equal(got, all):
		return fmt.Errorf("refused by %v, want %v: %+v", got, all, run.Guards)
	}
	for _, step := range run.Steps {
		if step.StartedAt != "" {
			return fmt.Errorf("it has taken the step %+v", step)
		}
	}
	return nil
}

// refuses runs an action by hand, wants it refused, and nothing changed by it.
func refuses(t testing.TB, l *lab.Lab, config string, w want, action string, args ...string) {
	t.Helper()
	was := look(t, l)
	status, run := byHand(t, append([]string{"run", action, "--yes", "--wait=0s", "--config.file=" + config}, args...)...)
	if err := w.check(status, run); err != nil {
		t.Errorf("run %s: %v", action, err)
	}
	if is := look(t, l); is != was {
		t.Errorf("a refused run of %s has changed the cluster from %s to %s", action, was, is)
	}
}

// planRefuses wants a plan that says who would refuse a run.
func planRefuses(t testing.TB, config string, w want, action string, args ...string) {
	t.Helper()
	status, run := byHand(t, append([]string{"plan", action, "--config.file=" + config}, args...)...)
	if err := w.check(status, run); err != nil {
		t.Errorf("plan %s: %v", action, err)
	}
}

// acts runs a defragmentation by hand that no guard refuses, and wants the database of
// each member that it names smaller.
func acts(t testing.TB, l *lab.Lab, config string, args ...string) Run {
	t.Helper()
	was := sizes(t, l)
	status, run := byHand(t, append([]string{"run", "defrag", "--yes", "--config.file=" + config}, args...)...)
	if status != 0 || run.Outcome != "succeeded" || len(run.refusedBy()) > 0 || len(run.Steps) == 0 {
		t.Fatalf("exit %d, outcome %s (%s), refused by %v, want it to succeed", status, run.Outcome, run.Reason, run.refusedBy())
	}
	worked := map[string]bool{}
	for _, step := range run.Steps {
		worked[step.Member] = worked[step.Member] || step.Action == "defrag"
	}
	for i, is := range sizes(t, l) {
		if worked[l.Member(i).Name()] && is > was[i]/2 {
			t.Errorf("%s has %d bytes, before %d", l.Member(i).Name(), is, was[i])
		}
	}
	return run
}

// plans wants a plan of a defragmentation that no guard refuses.
func plans(t testing.TB, config string, args ...string) {
	t.Helper()
	if err := hasPlan(t, config, args...); err != nil {
		t.Error(err)
	}
}

func hasPlan(t testing.TB, config string, args ...string) error {
	t.Helper()
	status, run := byHand(t, append([]string{"plan", "defrag", "--config.file=" + config}, args...)...)
	switch {
	case status != 0 || run.Outcome != "planned" || len(run.refusedBy()) > 0:
		return fmt.Errorf("exit %d, outcome %s (%s), refused by %v", status, run.Outcome, run.Reason, run.refusedBy())
	case len(run.Steps) == 0:
		return errors.New("a plan without steps")
	}
	return nil
}

// watching serves, and waits until the process has looked at the cluster once.
func watching(t testing.TB, config string, args ...string) *Server {
	t.Helper()
	s := serve(t, config, args...)
	await(t, 30*time.Second, "the cluster has been looked at", func() error {
		if _, run := byHand(t, "plan", "defrag", "--config.file="+config); slices.Contains(run.refusedBy(), "stable") {
			return errors.New(run.Reason)
		}
		return nil
	})
	return s
}

// journalOf is the journal's directory of a configuration.
func journalOf(t testing.TB, config string) string {
	t.Helper()
	text, err := os.ReadFile(config)
	must(t, err)
	_, rest, _ := strings.Cut(string(text), "  journal: ")
	dir, _, found := strings.Cut(rest, "\n")
	if !found {
		t.Fatal("the configuration names no journal")
	}
	return dir
}
