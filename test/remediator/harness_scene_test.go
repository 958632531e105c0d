// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes/kubernetestest"
	"github.com/etcdops/etcdops/test/lab"
)

const (
	// eager is what a policy says whose cool-down is not the test's subject; small
	// allows a lab of one member, where several would show no more.
	eager = "stable_for: 1s, accept_unknown_disk: true, cooldown: 0s, max_runs_per_day: 50"
	small = "allow_small_cluster: true, "

	open = "--web.allow-unauthenticated"
)

// plainLab is a lab without certificates, where these are not the subject.
func plainLab(t testing.TB, members int) *lab.Lab {
	t.Helper()
	return startLab(t, lab.Options{Members: members, TLS: lab.Plain})
}

// amend puts text in place of other text in a file.
func amend(t testing.TB, file, from, to string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	if !strings.Contains(string(text), from) {
		t.Fatalf("%s does not hold %q", file, from)
	}
	must(t, os.WriteFile(file, []byte(strings.Replace(string(text), from, to, 1)), 0o600))
}

// watched waits until the program has seen the cluster for long enough, as a plan of
// the action tells. The plan goes by the control socket to the serving process.
func (s *Server) watched(action string) {
	s.t.Helper()
	i := slices.IndexFunc(s.cmd.Args, func(arg string) bool { return strings.HasPrefix(arg, "--config.file=") })
	await(s.t, 30*time.Second, "the cluster has been watched", func() error {
		_, run := byHand(s.t, "plan", action, s.cmd.Args[i])
		if slices.Contains(run.refusedBy(), "stable") {
			return errors.New(run.Reason)
		}
		return nil
	})
}

// retry has every open intent tried now.
func (s *Server) retry() {
	s.t.Helper()
	if status, body := s.Do(http.MethodPost, "/-/resume", "{}"); status != http.StatusOK {
		s.t.Fatalf("/-/resume answers %d: %s", status, body)
	}
}

// until waits until the newest run is as wanted, and gives it.
func (s *Server) until(within time.Duration, what string, wanted func(Run) bool) Run {
	s.t.Helper()
	var run Run
	await(s.t, within, what, func() error {
		runs := s.Runs()
		if len(runs) == 0 {
			return errors.New("there is no run")
		}
		if run = runs[0]; !wanted(run) {
			return fmt.Errorf("run %s: %q, refused by %v: %s; steps %+v", run.ID, run.Outcome, run.refusedBy(), run.Reason, run.Steps)
		}
		return nil
	})
	return run
}

// again has open intents tried until the newest run is as wanted. One word is not
// always enough: a try that was under way when it came counts as the last one.
func (s *Server) again(within time.Duration, what string, wanted func(Run) bool) Run {
	s.t.Helper()
	said := time.Time{}
	return s.until(within, what, func(r Run) bool {
		if wanted(r) {
			return true
		}
		if r.Outcome != "" && time.Since(said) > 2*time.Second {
			s.retry()
			said = time.Now()
		}
		return false
	})
}

func ended(outcome string) func(Run) bool {
	return func(r Run) bool { return r.Outcome == outcome }
}

func refused(guard string) func(Run) bool {
	return func(r Run) bool { return r.Outcome == "refused" && slices.Contains(r.refusedBy(), guard) }
}

// interrupted is the run of that id, which an earlier process was at.
func (s *Server) interrupted(id string) Run {
	s.t.Helper()
	runs := s.Runs()
	i := slices.IndexFunc(runs, func(r Run) bool { return r.ID == id })
	if i < 0 {
		s.t.Fatalf("the journal does not tell of run %s", id)
	}
	if run := runs[i]; run.Outcome != "interrupted" || !run.Interrupted {
		s.t.Errorf("the run that was cut short is %q, interrupted %t: %+v", run.Outcome, run.Interrupted, run)
	}
	return runs[i]
}

// first is the oldest run, where that is the one that was cut short.
func (s *Server) first() Run {
	s.t.Helper()
	runs := s.Runs()
	if len(runs) == 0 {
		s.t.Fatal("the journal tells of no run")
	}
	return s.interrupted(runs[len(runs)-1].ID)
}

// raw is a run with all of its fields.
func (s *Server) raw(id string) map[string]any {
	s.t.Helper()
	status, body := s.Do(http.MethodGet, "/api/v1/runs/"+id, "")
	if status != http.StatusOK {
		s.t.Fatalf("/api/v1/runs/%s answers %d: %s", id, status, body)
	}
	var run map[string]any
	must(s.t, json.Unmarshal([]byte(body), &run))
	return run
}

// metric is the value of a series, written as in the exposition.
func (s *Server) metric(series string) float64 {
	s.t.Helper()
	_, body := s.Do(http.MethodGet, "/metrics", "")
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(body)
	if found == nil {
		s.t.Fatalf("no series %s", series)
	}
	value, err := strconv.ParseFloat(found[1], 64)
	must(s.t, err)
	return value
}

// terminate sends SIGTERM.
func (s *Server) terminate() {
	s.t.Helper()
	must(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
}

// gone waits for its end, and gives the exit status.
func (s *Server) gone(within time.Duration) int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(within):
		s.t.Fatalf("it has not ended within %s:\n%s", within, s.Log())
	}
	return s.cmd.ProcessState.ExitCode()
}

const events = "/registry/events/"

// flood writes events that say of themselves that they are two hours old, and gives
// their keys. A long reason makes them large.
func flood(t testing.TB, l *lab.Lab, n int, reason string) []string {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	var keys []string
	var batch []clientv3.Op
	for i := range n {
		namespace, name := fmt.Sprintf("team-%02d", i%7), fmt.Sprintf("web-%07d", i)
		keys = append(keys, events+namespace+"/"+name)
		batch = append(batch, clientv3.OpPut(keys[i], oldEvent(t, namespace, name, reason)))
		if len(batch) < 100 && i < n-1 {
			continue
		}
		_, err := client.Txn(patient(t)).Then(batch...).Commit()
		must(t, err)
		batch = nil
	}
	return keys
}

func oldEvent(t testing.TB, namespace, name, reason string) string {
	t.Helper()
	value, err := kubernetestest.Event(kubernetes.Event{
		Namespace: namespace, Name: name, Reason: reason, Component: "kubelet", Count: 1, Created: time.Now().Add(-2 * time.Hour),
	})
	must(t, err)
	return string(value)
}

// put writes one key.
func put(t testing.TB, l *lab.Lab, key, value string) {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	_, err = client.Put(patient(t), key, value)
	must(t, err)
}

// keysBelow counts the keys of a prefix.
func keysBelow(t testing.TB, l *lab.Lab, prefix string) int {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	got, err := client.Get(patient(t), prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(t, err)
	return int(got.Count)
}
