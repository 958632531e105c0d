// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime/debug"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/action"
	"github.com/etcdops/etcdops/remediate/live"
)

// pruneEnv holds the job of a process that prunes: its memory is to be measured apart
// from that of the writer.
const pruneEnv = "ETCDOPS_BENCH_PRUNE"

// pruneJob is one prune, carried out with the real runner and no guards.
type pruneJob struct {
	Endpoints     []string
	CA, Cert, Key string
	Rate, Most    int   // Most 0: all
	Revision      int64 // keys that changed last up to there are old
}

type pruneResult struct {
	Keys               int64
	PerSecond, Seconds float64 // keys, from the first delete to the last; of the whole
}

const beganLine = "began"

// run starts a process for it. began is called at its first delete.
func (j pruneJob) run(ctx context.Context, began func()) (result pruneResult, seen sampled, err error) {
	text, err := json.Marshal(j)
	if err != nil {
		return result, seen, err
	}
	program, err := os.Executable()
	if err != nil {
		return result, seen, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), pruneEnv+"="+string(text))
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return result, seen, err
	}
	if err := cmd.Start(); err != nil {
		return result, seen, err
	}
	seen, err = sample(cmd.Process.Pid, func() error {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == beganLine {
				began()
				continue
			}
			return json.Unmarshal(lines.Bytes(), &result)
		}
		return fmt.Errorf("the pruning process told nothing: %s", &log)
	})
	if waited := cmd.Wait(); err == nil && waited != nil {
		err = fmt.Errorf("%w: %s", waited, &log)
	}
	return result, seen, err
}

// pruneChild does the job where this process was started for one.
func pruneChild(ctx context.Context) (child bool, err error) {
	text := os.Getenv(pruneEnv)
	if text == "" {
		return false, nil
	}
	debug.SetGCPercent(50) // as the program does
	var j pruneJob
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return true, err
	}
	cluster, err := etcd.NewCluster(etcd.Config{
		Name: "bench", Endpoints: j.Endpoints, ProbeKey: "health", CAFile: j.CA, CertFile: j.Cert, KeyFile: j.Key,
	})
	if err != nil {
		return true, err
	}
	defer cluster.Close()
	a, err := action.New(remediate.ActionPruneEvents)
	if err != nil {
		return true, err
	}
	p := &remediate.PruneEvents{Prefix: eventsPrefix, OlderThan: time.Minute, MaxKeys: 1 << 30, KeysPerSecond: j.Rate}
	if j.Most > 0 {
		p.MaxKeys = j.Most
	}
	var first, last time.Time
	quiet := slog.New(slog.DiscardHandler)
	c := &remediate.Cluster{
		Name: "bench", Live: live.New(cluster), History: known(j.Revision), Acting: true, Now: time.Now, Log: quiet,
		Policy: remediate.Policy{PruneEvents: p},
		Run:    &remediate.Run{ID: "bench"},
		Progress: func(*remediate.Step, int64, int64) {
			if last = time.Now(); first.IsZero() {
				first = last
				fmt.Println(beganLine)
			}
		},
	}
	begun := time.Now()
	if err := (&remediate.Runner{Journal: known(0), Log: quiet}).Execute(ctx, c, a); err != nil {
		return true, err
	}
	if c.Run.Outcome != remediate.Succeeded {
		return true, fmt.Errorf("the prune %s: %s", c.Run.Outcome, c.Run.Reason)
	}
	return true, json.NewEncoder(os.Stdout).Encode(pruneResult{
		Keys: c.Run.Pruned(), PerSecond: float64(c.Run.Pruned()) / last.Sub(first).Seconds(), Seconds: time.Since(begun).Seconds(),
	})
}

// known is a History to which all up to a revision is old, and a journal that keeps
// nothing.
type known int64

func (known) Stable() (time.Time, string) { return time.Time{}, "" }
func (known) Moved(uint64)                {}
func (known) Excuse(uint64) func()        { return func() {} }

func (k known) RevisionAt(time.Time) (int64, bool) { return int64(k), true }

func (k known) FirstSample() (time.Time, int64, bool) {
	return time.Time{}, int64(k), true
}

func (known) PutRun(context.Context, *remediate.Run) error                { return nil }
func (known) PutStep(context.Context, string, int, *remediate.Step) error { return nil }
