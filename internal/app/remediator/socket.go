// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/dispatch"
)

// socketName is the socket in the journal's directory by which a command hands over
// to the process that holds the journal. The directory's mode says who may.
const socketName = "control.sock"

// maxSocketPath is what every system takes; sun_path has 104 to 108 bytes.
const maxSocketPath = 100

// errNobodyServes says that no process answers on the socket.
var errNobodyServes = errors.New("nobody serves on the control socket")

// line is one line of the answer to a request on the socket.
type line struct {
	Progress *progress       `json:"progress,omitempty"`
	Step     *remediate.Step `json:"step,omitempty"`
	Run      *remediate.Run  `json:"run,omitempty"` // the last line, with the run as it ended
	Error    string          `json:"error,omitempty"`
	Usage    bool            `json:"usage,omitempty"` // the error is one of usage
}

type progress struct {
	Step remediate.Step `json:"step"`
	Done int64          `json:"done"`
	All  int64          `json:"all"`
}

// approval asks for a run to be carried out.
type approval struct {
	ID string `json:"id"`
	By string `json:"by"`
}

// socketPath gives a path of bearable length; release ends its validity.
func socketPath(dir string) (path string, release func(), err error) {
	path = filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath || runtime.GOOS != "linux" {
		return path, func() {}, nil
	}
	opened, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", opened.Fd(), socketName), func() { _ = opened.Close() }, nil
}

// listenSocket makes the socket anew; the journal's lock says that nobody else has it.
func listenSocket(ctx context.Context, dir string) (net.Listener, error) {
	path, release, err := socketPath(dir)
	if err != nil {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	defer release()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // its path may have been a descriptor's; the next start removes it
	}
	return listener, nil
}

// socketHandler serves the commands that were handed over.
func socketHandler(d *dispatch.Dispatcher) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /run", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, d.ByHand)
	})
	mux.HandleFunc("POST /approve", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, func(ctx context.Context, a approval, how dispatch.How) (*remediate.Run, error) {
			return d.Approve(ctx, a.ID, a.By, how)
		})
	})
	return &stoppable{next: mux, ends: map[string]context.CancelFunc{}}
}

// answer does what a request asks for and tells of it line by line.
func answer[Q any](w http.ResponseWriter, r *http.Request, do func(context.Context, Q, dispatch.How) (*remediate.Run, error)) {
	var q Q
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&q); err != nil {
		http.Error(w, "the request is not understood: "+err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	control := http.NewResponseController(w)
	var mu sync.Mutex
	write := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(w).Encode(l) // nobody is there to be told of it
		_ = control.Flush()
	}
	run, err := do(r.Context(), q, dispatch.How{
		Progress: func(s *remediate.Step, done, all int64) { write(line{Progress: &progress{*s, done, all}}) },
		Step:     func(_ *remediate.Run, s *remediate.Step) { write(line{Step: s}) },
	})
	last := line{Run: run}
	if err != nil {
		last = line{Error: err.Error(), Usage: isUsage(err)}
	}
	write(last)
}

func isUsage(err error) bool {
	_, usage := errors.AsType[*dispatch.UsageError](err)
	return usage || errors.Is(err, dispatch.ErrUnknownRun) || errors.Is(err, dispatch.ErrNotAwaiting) || errors.Is(err, dispatch.ErrExpired)
}

// usageError is one that came over the socket.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// socketAnswers says whether a process serves on the socket.
func socketAnswers(ctx context.Context, dir string) bool {
	path, release, err := socketPath(dir)
	if err != nil {
		return false
	}
	defer release()
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// handOver asks the process that holds the journal. errNobodyServes: there is none.
// When ctx ends that process is told to stop, and its answer is waited for.
func handOver(ctx context.Context, dir, path string, request any, how dispatch.How) (*remediate.Run, error) {
	socket, release, err := socketPath(dir)
	if err != nil {
		return nil, errNobodyServes
	}
	defer release()
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			dialer := net.Dialer{Timeout: 5 * time.Second}
			conn, err := dialer.DialContext(ctx, "unix", socket)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errNobodyServes, err)
			}
			return conn, nil
		},
	}}
	defer client.CloseIdleConnections()
	asking, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	post, err := http.NewRequestWithContext(asking, http.MethodPost, "http://control"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	name := rand.Text()
	post.Header.Set(nameHeader, name)
	defer context.AfterFunc(ctx, func() {
		if tellToStop(asking, client, name) != nil {
			hangUp()
		}
	})()
	response, err := client.Do(post)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the serving process answers %s", response.Status)
	}
	return follow(response, how)
}

// follow reads the lines until the run has ended.
func follow(response *http.Response, how dispatch.How) (*remediate.Run, error) {
	lines := bufio.NewReaderSize(response.Body, 64<<10)
	for decoder := json.NewDecoder(lines); ; {
		var l line
		if err := decoder.Decode(&l); err != nil {
			return nil, fmt.Errorf("the serving process ended before the run did: %w", err)
		}
		switch {
		case l.Usage:
			return nil, usageError{l.Error}
		case l.Error != "":
			return nil, errors.New(l.Error)
		case l.Run != nil:
			return l.Run, nil
		case l.Progress != nil && how.Progress != nil:
			how.Progress(&l.Progress.Step, l.Progress.Done, l.Progress.All)
		case l.Step != nil && how.Step != nil:
			how.Step(nil, l.Step)
		}
	}
}
