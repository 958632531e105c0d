// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

const (
	// startTime is what the exporter gets until it listens, stopTime from
	// SIGTERM until it has ended.
	startTime = 20 * time.Second
	stopTime  = 3 * time.Second
)

// traces are what a log must never hold. The exporter itself turns a panic of
// a collector into an error: it is found all the same.
var traces = regexp.MustCompile(`panic|goroutine \d+ \[|runtime error|DATA RACE|nil pointer|a metric was left out`)

// listening is the line that tells the address, in either log format.
var listening = regexp.MustCompile(`Listening on"?,?.*address"?[=:]"?([^\s",}]+)`)

// Exporter is a running etcd_exporter.
type Exporter struct {
	t      testing.TB
	cmd    *exec.Cmd
	stderr *output
	ended  chan struct{}
	once   *sync.Once

	URL    string       // http://127.0.0.1:PORT; change the scheme where --web.config.file has TLS
	Client *http.Client // replace it where the exporter wants a certificate or a password
}

// startExporter starts the exporter on a free port, unless the arguments name
// one, and waits until it listens. When the test ends it is stopped, as Stop does.
func startExporter(t testing.TB, args ...string) *Exporter {
	t.Helper()
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--web.listen-address") }) {
		args = append(args, "--web.listen-address=127.0.0.1:0")
	}
	e := &Exporter{t: t, stderr: &output{}, ended: make(chan struct{}), once: &sync.Once{}, Client: &http.Client{
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	e.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), program, args...) // Stop ends it
	e.cmd.Stdout, e.cmd.Stderr = e.stderr, e.stderr
	e.cmd.Env = exporterEnvironment()
	e.cmd.SysProcAttr = childAttributes()
	must(t, spawn(e.cmd))
	go func() {
		_ = e.cmd.Wait() // ProcessState tells how it ended
		close(e.ended)
	}()
	t.Cleanup(e.Stop)
	await(t, startTime, "the exporter listens", func() error {
		select {
		case <-e.ended:
			t.Fatalf("the exporter has ended (%s):\n%s", e.cmd.ProcessState, e.Log())
		default:
		}
		found := listening.FindStringSubmatch(e.Log())
		if found == nil {
			return errors.New(e.Log())
		}
		e.URL = "http://" + found[1]
		return nil
	})
	return e
}

// exportLab starts the exporter with a lab as its default cluster.
func exportLab(t testing.TB, l *lab.Lab, args ...string) *Exporter {
	t.Helper()
	return startExporter(t, append(labFlags(l, l.Endpoints()...), args...)...)
}

// labFlags are the flags for some endpoints of a lab.
func labFlags(l *lab.Lab, endpoints ...string) []string {
	flags := []string{"--etcd.endpoints=" + strings.Join(endpoints, ",")}
	if l.CAFile() != "" {
		flags = append(flags, "--etcd.ca-file="+l.CAFile())
	}
	if l.ClientCert() != "" {
		flags = append(flags, "--etcd.cert-file="+l.ClientCert(), "--etcd.key-file="+l.ClientKey())
	}
	return flags
}

// exporterEnvironment is poor on purpose: no proxy and no Go setting of the
// developer's reaches the exporter.
func exporterEnvironment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "TMPDIR=" + os.TempDir()}
}

// runExporter runs the exporter to its end, for --config.check and bad flags.
func runExporter(t testing.TB, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	var out, err bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &err, exporterEnvironment()
	if failed := cmd.Run(); failed != nil && !errors.As(failed, new(*exec.ExitError)) {
		t.Fatalf("run etcd_exporter %q: %v", args, failed)
	}
	if ctx.Err() != nil {
		t.Fatalf("etcd_exporter %q does not end:\n%s%s", args, &out, &err)
	}
	if trace := traces.FindString(err.String()); trace != "" {
		t.Errorf("etcd_exporter %q writes %q:\n%s", args, trace, &err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// Stop ends the exporter with SIGTERM: soon, with status 0, and with no trace in
// its log.
func (e *Exporter) Stop() {
	e.once.Do(func() {
		e.t.Helper()
		e.Client.CloseIdleConnections()
		began := time.Now()
		_ = e.cmd.Process.Signal(syscall.SIGTERM)
		limit := time.NewTimer(stopTime + startTime)
		defer limit.Stop()
		select {
		case <-e.ended:
		case <-limit.C:
			_ = e.cmd.Process.Kill()
			<-e.ended
		}
		if took := time.Since(began); took > stopTime {
			e.t.Errorf("the exporter took %s to stop", took)
		}
		if status := e.cmd.ProcessState; !status.Success() {
			e.t.Errorf("the exporter ended with %s", status)
		}
		text := e.Log()
		if trace := traces.FindString(text); trace != "" {
			e.t.Errorf("the exporter's log holds %q", trace)
		}
		if e.t.Failed() {
			e.t.Logf("the exporter's log:\n%.20000s", text)
		}
	})
}

// with is the same exporter in the hands of a subtest, which its failures are
// charged to.
func (e *Exporter) with(t testing.TB) *Exporter {
	other := *e
	other.t = t
	return &other
}

// Log is what the exporter has logged so far.
func (e *Exporter) Log() string { return e.stderr.String() }

// Signal sends the exporter a signal, SIGHUP for example.
func (e *Exporter) Signal(signal syscall.Signal) {
	e.t.Helper()
	must(e.t, e.cmd.Process.Signal(signal))
}

// Answer is an answer of the exporter over HTTP.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Took   time.Duration
}

// Get asks for a path; headers are names and values in turn. It fails the test
// only where there is no answer at all.
func (e *Exporter) Get(path string, headers ...string) *Answer {
	e.t.Helper()
	return e.Do(http.MethodGet, path, headers...)
}

// Do is Get with another method.
func (e *Exporter) Do(method, path string, headers ...string) *Answer {
	e.t.Helper()
	a, err := e.do(method, path, headers...)
	must(e.t, err)
	return a
}

// do may be called from any goroutine of the test.
func (e *Exporter) do(method, path string, headers ...string) (*Answer, error) {
	ctx, cancel := context.WithTimeout(e.t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, e.URL+path, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	began := time.Now()
	response, err := e.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return &Answer{response.StatusCode, response.Header, string(body), time.Since(began)}, nil
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
