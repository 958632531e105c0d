// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/stack"
)

// screen is a terminal of which a test reads.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// root is the repository, whose bin/ and .tools/ must be made.
func root(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..")
	var missing error
	for _, tool := range []string{"alertmanager", "jsonnet", "prometheus"} {
		_, err := stack.Tool(dir, tool)
		missing = errors.Join(missing, err)
	}
	for _, program := range []string{"etcd_exporter", "etcd_remediator"} {
		_, err := os.Stat(filepath.Join(dir, "bin", program))
		missing = errors.Join(missing, err)
	}
	switch {
	case missing != nil && os.Getenv("CI") != "":
		t.Fatal(missing)
	case missing != nil:
		t.Skip(missing)
	}
	return dir
}

// TestDemo: a person presses Enter, reads the story in its order, and presses Ctrl-C.
// Nothing is left.
func TestDemo(t *testing.T) {
	f := &flags{root: root(t), after: time.Hour, events: 6000, scale: 60}
	t.Setenv("TMPDIR", t.TempDir()) // to see what is left
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, in, ended := &screen{}, make(keyboard), make(chan error, 1)
	go func() { ended <- run(ctx, f, in, out) }()
	await := func(what string) {
		t.Helper()
		err := stack.Await(t.Context(), 2*time.Minute, what, func() error {
			if !strings.Contains(out.String(), what) {
				return errors.New(out.String())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	await("Without a word from you")
	in <- "\n"
	await("is well again")
	story := out.String()
	interrupt()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	inOrder(t, story, "you +cause a flood", "etcd +holds 6000 events", "EtcdEventsFlood is pending", "EtcdEventsFlood is firing",
		"remediator +has taken the webhook: policy flood", "remediator +flood: succeeded", "EtcdEventsFlood is resolved", "is well again")
	for _, line := range []string{"people +hear on warning: EtcdEventsFlood firing", "etcd +holds 0 events"} {
		if !regexp.MustCompile(line).MatchString(story) {
			t.Errorf("no %q in\n%s", line, story)
		}
	}
	if !strings.HasSuffix(out.String(), "nothing is left behind.\n") {
		t.Errorf("it ends with\n%s", out.String())
	}
	nothingLeft(t, story)
}

// inOrder wants lines that match, one after the other.
func inOrder(t *testing.T, story string, lines ...string) {
	t.Helper()
	rest := story
	for _, line := range lines {
		at := regexp.MustCompile(line).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("no %q where it should be in\n%s", line, story)
		}
		rest = rest[at[1]:]
	}
}

// nothingLeft wants no directory and no listener of the demonstration.
func nothingLeft(t *testing.T, story string) {
	t.Helper()
	left, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if entry.Name() != "etcd-lab-ports" { // claims of ports, for every lab of the machine
			t.Errorf("%s is left", entry.Name())
		}
	}
	urls := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`).FindAllStringSubmatch(story, -1)
	if len(urls) < 4 {
		t.Errorf("the story names %v", urls)
	}
	for _, url := range urls {
		if err := reach(t, url[1]); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", url[1], err)
		}
	}
}

// keyboard is what a person types, line by line.
type keyboard chan string

func (k keyboard) Read(p []byte) (int, error) { return copy(p, <-k), nil }

func reach(t *testing.T, address string) error {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
	if err == nil {
		conn.Close()
	}
	return err
}
