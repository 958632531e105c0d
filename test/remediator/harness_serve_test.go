// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const startTime = 20 * time.Second

// traces are what a log must never hold.
var traces = regexp.MustCompile(`panic|goroutine \d+ \[|runtime error|DATA RACE|nil pointer`)

var listening = regexp.MustCompile(`Listening on"?,?.*address"?[=:]"?([^\s",}]+)`)

// Run is a run as the API tells of it, as far as tests look at it.
type Run struct {
	ID          string
	Cluster     string
	Policy      string
	Action      string
	Mode        string
	Outcome     string
	Interrupted bool
	Reason      string
	Guards      []struct{ Guard, Verdict, Reason string }
	Steps       []struct {
		Action      string
		URL         string
		Member      string
		Reason      string
		StartedAt   string `json:"started_at"`
		FinishedAt  string `json:"finished_at"`
		BeforeBytes int64  `json:"before_bytes"`
		AfterBytes  int64  `json:"after_bytes"`
		Keys        int64
		Revision    int64
		Error       string
	}
}

// refusedBy lists the guards that refuse or cannot tell.
func (r Run) refusedBy() []string {
	var names []string
	for _, g := range r.Guards {
		if g.Verdict != "allow" {
			names = append(names, g.Guard)
		}
	}
	return names
}

// Server is a serving etcd_remediator.
type Server struct {
	t      testing.TB
	cmd    *exec.Cmd
	stderr *output
	ended  chan struct{}
	URL    string
	Token  string // bearer; empty: none
}

// serve starts `etcd_remediator serve` on a free port and waits until it listens.
func serve(t testing.TB, config string, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, stderr: &output{}, ended: make(chan struct{})}
	args = append([]string{"serve", "--config.file=" + config, "--web.listen-address=127.0.0.1:0"}, args...)
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), program, args...) // Stop ends it
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.Env = s.stderr, s.stderr, environment()
	must(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		s.Stop()
		if trace := traces.FindString(s.Log()); trace != "" {
			t.Errorf("the log holds %q", trace)
		}
		if t.Failed() {
			t.Logf("the remediator's log:\n%.20000s", s.Log())
		}
	})
	await(t, startTime, "the remediator listens", func() error {
		select {
		case <-s.ended:
			t.Fatalf("it has ended (%s):\n%s", s.cmd.ProcessState, s.Log())
		default:
		}
		found := listening.FindStringSubmatch(s.Log())
		if found == nil {
			return errors.New(s.Log())
		}
		s.URL = "http://" + found[1]
		return nil
	})
	return s
}

// environment is poor on purpose: no proxy and no Go setting of the developer's.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "TMPDIR=" + os.TempDir()}
}

// Log is what it has logged so far.
func (s *Server) Log() string { return s.stderr.String() }

// Stop ends it with SIGTERM and waits.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(2 * time.Minute):
		s.t.Error("it does not stop")
		s.Kill()
	}
}

// Kill ends it with SIGKILL.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// Do asks for a path, and gives the status and the body.
func (s *Server) Do(method, path, body string, headers ...string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	must(s.t, err)
	if s.Token != "" {
		request.Header.Set("Authorization", "Bearer "+s.Token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	must(s.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	must(s.t, err)
	return response.StatusCode, string(data)
}

// Fire posts a firing alert and expects it to be accepted.
func (s *Server) Fire(labels ...string) {
	s.t.Helper()
	if status, body := s.Do(http.MethodPost, "/api/v1/alerts", alert("firing", labels...)); status != http.StatusOK {
		s.t.Fatalf("the webhook answers %d: %s", status, body)
	}
}

// alert is a webhook message with one alert; labels are names and values in turn.
func alert(status string, labels ...string) string {
	set := map[string]string{}
	for i := 0; i+1 < len(labels); i += 2 {
		set[labels[i]] = labels[i+1]
	}
	data, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}:{}", "status": status, "receiver": "etcd_remediator",
		"groupLabels": map[string]string{}, "commonLabels": set, "commonAnnotations": map[string]string{},
		"externalURL": "http://alertmanager:9093",
		"alerts": []map[string]any{{
			"status": status, "labels": set, "annotations": map[string]string{},
			"startsAt": "2026-01-02T03:04:05Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "0123456789abcdef",
		}},
	})
	if err != nil {
		panic(err)
	}
	return string(data)
}

// Runs are all runs, the newest first.
func (s *Server) Runs() []Run {
	s.t.Helper()
	status, body := s.Do(http.MethodGet, "/api/v1/runs", "")
	if status != http.StatusOK {
		s.t.Fatalf("/api/v1/runs answers %d: %s", status, body)
	}
	var runs []Run
	must(s.t, json.Unmarshal([]byte(body), &runs))
	return runs
}

// Ended waits for the n-th run to have an outcome, and gives it.
func (s *Server) Ended(n int, within time.Duration) Run {
	s.t.Helper()
	var run Run
	await(s.t, within, "a run ends", func() error {
		runs := s.Runs()
		if len(runs) < n {
			return fmt.Errorf("%d runs", len(runs))
		}
		if run = runs[len(runs)-n]; run.Outcome == "" {
			return fmt.Errorf("run %s goes on", run.ID)
		}
		return nil
	})
	return run
}

// command runs the program to its end.
func command(t testing.TB, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out, err bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &err, environment()
	if failed := cmd.Run(); failed != nil && !errors.As(failed, new(*exec.ExitError)) {
		t.Fatalf("run etcd_remediator %q: %v", args, failed)
	}
	if ctx.Err() != nil {
		t.Fatalf("etcd_remediator %q does not end:\n%s%s", args, &out, &err)
	}
	if trace := traces.FindString(err.String()); trace != "" {
		t.Errorf("etcd_remediator %q writes %q:\n%s", args, trace, &err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// byHand is command with --output=json, and gives the run.
func byHand(t testing.TB, args ...string) (int, Run) {
	t.Helper()
	status, stdout, stderr := command(t, append(args, "--output=json")...)
	var run Run
	if err := json.Unmarshal([]byte(stdout), &run); err != nil {
		t.Fatalf("etcd_remediator %q: exit %d, no run: %v\n%s\n%s", args, status, err, stdout, stderr)
	}
	return status, run
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
