// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// lease is how long the one who holds the election is missed after a kill -9;
	// there is a look at it, and a mirror to read, besides.
	lease   = 15 * time.Second
	handing = 5 * time.Second
)

const elected = `  election: {enabled: true}
  policies:
    - {name: reclaim, matchers: ['alertname="EtcdFragmented"'], clusters: [lab], action: defrag, ` + eager + `, defrag: {min_reclaimable: 1MiB, settle: 3s}}
`

func (s *Server) acts() bool {
	s.t.Helper()
	return s.metric("etcdops_remediation_leader") == 1
}

// TestReplicas: of two that get the same alert one acts, also when the one that did is
// killed in the middle of it; and pause is known to both.
func TestReplicas(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 3)
	fragment(t, l, 16)
	configs := []string{writeConfig(t, l, elected), writeConfig(t, l, elected)}
	a := serve(t, configs[0], "--mode=enforce", open)
	await(t, 20*time.Second, "the first holds", func() error {
		if !a.acts() {
			return errors.New("it does not")
		}
		return nil
	})
	b := serve(t, configs[1], "--mode=enforce", open)
	a.watched("defrag")
	b.watched("defrag")
	a.Fire("alertname", "EtcdFragmented")
	b.Fire("alertname", "EtcdFragmented")
	b.until(20*time.Second, "the other refuses", refused("election"))
	cut := a.until(30*time.Second, "a member is done", func(r Run) bool { return r.Outcome == "" && len(done(r, "defrag")) > 0 })
	a.Kill()
	killed := time.Now()
	await(t, lease+handing, "the other holds", func() error {
		if !b.acts() {
			return errors.New("it does not")
		}
		return nil
	})
	t.Logf("handed over after %s", time.Since(killed).Round(100*time.Millisecond))
	rest := b.again(40*time.Second, "the other does the rest", ended("succeeded"))

	a = serve(t, configs[0], "--mode=enforce", open) // it tells what it had done
	apart(t, a.interrupted(cut.ID), rest)
	for _, url := range done(rest, "defrag") {
		if slices.Contains(done(cut, "defrag"), url) {
			t.Errorf("%s was defragmented by both", url)
		}
	}
	pausedForBoth(t, a, b)
	pausedForBoth(t, b, a)
	await(t, 40*time.Second, "nothing is written where there is no news", func() error {
		client, err := l.Client()
		must(t, err)
		revision := func() int64 {
			got, err := client.Get(patient(t), "health", clientv3.WithCountOnly())
			must(t, err)
			return got.Header.Revision
		}
		before := revision()
		select { // some exchanges of the two
		case <-time.After(6 * time.Second):
		case <-t.Context().Done():
		}
		if after := revision(); after != before {
			return fmt.Errorf("revision %d, and then %d", before, after)
		}
		return nil
	})
	a.watched("defrag")
	a.Fire("alertname", "EtcdFragmented")
	a.until(20*time.Second, "who came back does not act", refused("election"))
}

// apart wants the steps of two runs not to overlap in time.
func apart(t *testing.T, one, other Run) {
	t.Helper()
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339Nano, text)
		must(t, err)
		return when
	}
	for _, x := range one.Steps {
		for _, y := range other.Steps {
			if x.FinishedAt == "" || at(y.StartedAt).Before(at(x.FinishedAt)) && at(x.StartedAt).Before(at(y.FinishedAt)) {
				t.Errorf("two steps at once: %+v and %+v", x, y)
			}
		}
	}
}

// pausedForBoth: a pause that one replica is told of is one of the other as well, and so
// is its end.
func pausedForBoth(t *testing.T, other, told *Server) {
	t.Helper()
	if status, body := told.Do(http.MethodPost, "/-/pause", "{}"); status != http.StatusOK {
		t.Fatalf("/-/pause answers %d: %s", status, body)
	}
	knows := func(what string, want float64) {
		await(t, 15*time.Second, "the other knows of the "+what, func() error {
			if got := other.metric("etcdops_remediation_paused"); got != want {
				return fmt.Errorf("paused is %v", got)
			}
			return nil
		})
	}
	knows("pause", 1)
	told.retry()
	knows("resume", 0)
}

// TestPlanModeTakesNoPart: a process that only plans stands in no election, so that a
// run by hand that is handed over to it must not act beside the replica that holds.
func TestPlanModeTakesNoPart(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 1)
	fragment(t, l, 8)
	config := writeConfig(t, l, strings.Replace(elected, eager, small+eager, 1))
	serve(t, config, "--mode=plan")
	plans(t, config, "--wait=20s")
	refuses(t, l, config, want{by: "election", saying: "takes no part in the election"}, "defrag")
}

// TestReplicaThatSleeps: the one that acts stands still between two members for longer
// than its lease. The other does the rest, and the first does not go on when it wakes.
func TestReplicaThatSleeps(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 3)
	fragment(t, l, 16)
	a := serve(t, writeConfig(t, l, elected), "--mode=enforce", open)
	a.watched("defrag")
	b := serve(t, writeConfig(t, l, elected), "--mode=enforce", open)
	b.watched("defrag")
	a.Fire("alertname", "EtcdFragmented")
	cut := a.until(30*time.Second, "a member is done", func(r Run) bool { return r.Outcome == "" && len(done(r, "defrag")) > 0 })
	must(t, a.cmd.Process.Signal(syscall.SIGSTOP))
	t.Cleanup(func() { _ = a.cmd.Process.Signal(syscall.SIGCONT) })
	await(t, lease+handing, "the other holds", func() error {
		if !b.acts() {
			return errors.New("it does not")
		}
		return nil
	})
	b.Fire("alertname", "EtcdFragmented")
	b.until(30*time.Second, "the other is at it", func(r Run) bool { return len(done(r, "defrag")) > 0 })
	must(t, a.cmd.Process.Signal(syscall.SIGCONT))
	slept := a.until(20*time.Second, "the first one does not go on", refused("election"))
	rest := b.until(40*time.Second, "the other does the rest", ended("succeeded"))
	if runs := a.Runs(); len(runs) > 0 { // it may have been tried again since
		slept = runs[len(runs)-1]
	}
	if slept.ID != cut.ID || len(done(slept, "defrag")) != len(done(cut, "defrag")) || len(done(slept, "defrag"))+len(done(rest, "defrag")) != 3 {
		t.Errorf("the first one did %+v\nthe other %+v", slept.Steps, rest.Steps)
	}
	apart(t, slept, rest)
}

// TestOneJournalOneProcess: without an election the lock of the journal keeps a second
// process out, and what is asked for by hand is handed over to the one that holds it.
func TestOneJournalOneProcess(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 1)
	fragment(t, l, 8)
	config := writeConfig(t, l, `  policies:
    - {name: reclaim, matchers: ['alertname="EtcdFragmented"'], clusters: [lab], action: defrag, `+small+eager+`, defrag: {min_reclaimable: 1MiB}}
`)
	s := serve(t, config, "--mode=enforce", open)
	status, _, stderr := command(t, "serve", "--config.file="+config, "--web.listen-address=127.0.0.1:0")
	if status != 1 || !strings.Contains(stderr, "another process holds it") || !strings.Contains(stderr, fmt.Sprintf("process %d", s.cmd.Process.Pid)) {
		t.Errorf("a second serve: exit %d\n%s", status, stderr)
	}
	if lines := strings.Count(stderr, "\n"); lines > 2 { // that it starts, and why it ends
		t.Errorf("a second serve writes %d lines:\n%s", lines, stderr)
	}

	status, run := byHand(t, "run", "defrag", "--yes", "--config.file="+config)
	if status != 0 || run.Outcome != "succeeded" {
		t.Fatalf("run: exit %d: %+v", status, run)
	}
	kept := s.raw(run.ID)
	if trigger, _ := kept["trigger"].(map[string]any); trigger["kind"] != "hand" {
		t.Errorf("the serving process tells of the run: %v", kept)
	}
	if !strings.Contains(s.Log(), run.ID) {
		t.Error("the serving process did not carry it out")
	}
	if got := s.metric(`etcdops_remediation_runs_total{action="defrag",cluster="lab",outcome="succeeded",policy="reclaim"}`); got != 1 {
		t.Errorf("it counts %v runs", got)
	}
	for says, args := range map[string][]string{ // what is wrong is told by way of the socket, too
		"snapshot needs a policy":          {"run", "snapshot", "--yes"},
		"prune_events needs a policy":      {"plan", "prune_events"},
		`no policy is called "none"`:       {"plan", "defrag", "--policy=none"},
		`no cluster is called "elsewhere"`: {"run", "defrag", "--yes", "--cluster=elsewhere"},
	} {
		if status, stdout, stderr := command(t, append(args, "--config.file="+config)...); status != 2 || stdout != "" || !strings.Contains(stderr, says) {
			t.Errorf("%v: exit %d\n%s%s", args, status, stdout, stderr)
		}
	}
}

// TestRunBesideRun: a run by hand holds the journal, and a second one does not act
// beside it; a plan may be had. SIGTERM ends the first one after the present member.
func TestRunBesideRun(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 3)
	fragment(t, l, 8)
	config := writeConfig(t, l, `  policies:
    - {name: reclaim, clusters: [lab], action: defrag, `+eager+`, defrag: {min_reclaimable: 1MiB, settle: 20s}}
`)
	journal := filepath.Join(filepath.Dir(config), "journal")
	stderr := &output{}
	first := exec.CommandContext(t.Context(), program, "run", "defrag", "--yes", "--config.file="+config)
	first.Stderr, first.Env = stderr, environment()
	must(t, first.Start())
	await(t, 30*time.Second, "a member is done", func() error {
		if !strings.Contains(stderr.String(), " -> ") {
			return errors.New(stderr.String())
		}
		return nil
	})
	before := sizes(t, l)
	status, stdout, text := command(t, "run", "defrag", "--yes", "--output=json", "--config.file="+config)
	if status != 3 || stdout != "" || !strings.Contains(text, "another process holds the journal") || !strings.Contains(text, journal) {
		t.Errorf("a second run: exit %d\n%s%s", status, stdout, text)
	}
	if status, run := byHand(t, "plan", "defrag", "--config.file="+config); status == 1 || run.ID == "" {
		t.Errorf("a plan beside it: exit %d: %+v", status, run)
	}
	must(t, first.Process.Signal(syscall.SIGTERM))
	err := first.Wait()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("after SIGTERM: %v\n%s", err, stderr)
	}
	if after := sizes(t, l); !slices.Equal(before, after) {
		t.Errorf("sizes %v, and %v before the SIGTERM", after, before)
	}
	run := serve(t, config).Runs()[0]
	if run.Outcome != "interrupted" || len(done(run, "defrag")) != 1 {
		t.Errorf("the run that was told to stop: %+v", run)
	}
}

// TestToldToStopWhatItHandedOver: the process that was asked ends the run after the
// present member, and the one that asked hears so.
func TestToldToStopWhatItHandedOver(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 3)
	fragment(t, l, 8)
	config := writeConfig(t, l, `  policies:
    - {name: reclaim, clusters: [lab], action: defrag, `+eager+`, defrag: {min_reclaimable: 1MiB, settle: 20s}}
`)
	s := serve(t, config)
	s.watched("defrag")
	stdout, stderr := &output{}, &output{}
	asks := exec.CommandContext(t.Context(), program, "run", "defrag", "--yes", "--output=json", "--config.file="+config)
	asks.Stdout, asks.Stderr, asks.Env = stdout, stderr, environment()
	must(t, asks.Start())
	s.until(30*time.Second, "a member is done", func(r Run) bool { return len(done(r, "defrag")) == 1 })
	must(t, asks.Process.Signal(os.Interrupt))
	err := asks.Wait()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("after an interrupt: %v\n%s", err, stderr)
	}
	var told Run
	must(t, json.Unmarshal([]byte(stdout.String()), &told))
	if told.Outcome != "interrupted" || len(done(told, "defrag")) != 1 || s.Runs()[0].Outcome != "interrupted" {
		t.Errorf("it is told of %+v\n%s", told, stderr)
	}
}
