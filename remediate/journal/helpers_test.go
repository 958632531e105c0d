// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: start} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is a journal with what tests do to it.
type rig struct {
	*Journal
	t     testing.TB
	clock *clock
	dir   string
	o     Options
}

// newRig makes one with a directory and a clock of its own.
func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	r := &rig{t: t, clock: newClock(), dir: filepath.Join(t.TempDir(), "journal"), o: o}
	r.o.Now = r.clock.Now
	r.open()
	return r
}

func (r *rig) open() {
	r.t.Helper()
	j, err := Open(r.dir, r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Journal = j
	r.t.Cleanup(func() { _ = j.Close() })
}

// restart closes and opens again, and shows that nothing changes by it.
func (r *rig) restart() {
	r.t.Helper()
	before := r.story()
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
	if after := r.story(); after != before {
		r.t.Fatalf("a restart changes the state:\n%s\n%s", before, after)
	}
}

// story is the whole state as text.
func (r *rig) story() string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	text, err := json.Marshal(r.state)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// accept opens an intent of that policy.
func (r *rig) accept(policy string) error {
	return r.Accept(r.t.Context(), Intent{Policy: policy, Cluster: "prod", Alert: "A", Fingerprint: policy})
}

func (r *rig) policies() []string {
	var names []string
	for _, i := range r.Intents() {
		names = append(names, i.Policy)
	}
	return names
}

// finish records a run with its steps from beginning to end.
func (r *rig) finish(run *remediate.Run) {
	r.t.Helper()
	outcome, ended := run.Outcome, run.FinishedAt
	run.Outcome, run.FinishedAt = "", time.Time{}
	r.ok(r.PutRun(r.t.Context(), run))
	for i, s := range run.Steps {
		r.ok(r.PutStep(r.t.Context(), run.ID, i, s))
	}
	run.Outcome, run.FinishedAt = outcome, ended
	r.ok(r.PutRun(r.t.Context(), run))
}

// done is a step that was carried out in a second.
func done(kind string, at time.Time) *remediate.Step {
	return &remediate.Step{Action: kind, StartedAt: at, FinishedAt: at.Add(time.Second)}
}

// numbered are names with numbers from 0 on.
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("p%03d", i)
	}
	return names
}

func files(t testing.TB, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = filepath.Base(name)
	}
	return names
}

// copyDir makes a new directory with the same files.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, from, "*") {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// newest reads the newest file, which the lines end.
func newest(t testing.TB, dir string) (name string, text []byte, lines []string) {
	t.Helper()
	numbers := journalNumbers(files(t, dir, "journal-*"))
	if len(numbers) == 0 {
		t.Fatal("there is no journal")
	}
	name = filepath.Join(dir, fileName(slices.Max(numbers)))
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return name, text, strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
}
