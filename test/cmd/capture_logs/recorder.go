// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

// alike is how many lines are kept that differ in figures alone; of raft's all are,
// since a rule counts them.
const alike = 2

// longest is how long a line may be that is kept: some repeat a whole request.
const longest = 1500

var (
	address = regexp.MustCompile(`127\.0\.0\.1(:\d+)?`)
	figures = regexp.MustCompile(`[0-9a-f]*[0-9][0-9a-f]*`)
	// raftLine are raft's own words, which etcd logs as information.
	raftLine = regexp.MustCompile(`raft\.node:`)
	// trouble is what matters of a part; 3.4's text has rejections as information.
	trouble = regexp.MustCompile(`"level":"(warn|error|fatal|panic|dpanic)"| [WEC] \| |rejected connection`)
)

// recorder reads on in the members' logs from where the last part ended.
type recorder struct {
	lab     *lab.Lab
	version string
	read    map[string]int // bytes of each member's log
	lines   []string       // since then, each after its member's name and a tab
}

// add adds what a member said, or another program.
func (r *recorder) add(who, text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && len(line) <= longest {
			r.lines = append(r.lines, who+"\t"+line)
		}
	}
}

// gather reads what the logs have grown by, whole lines alone.
func (r *recorder) gather() error {
	if r.read == nil {
		r.read = map[string]int{}
	}
	for _, m := range r.lab.Members() {
		text, err := os.ReadFile(m.LogFile())
		if err != nil {
			return err
		}
		begin := r.read[m.LogFile()]
		end := strings.LastIndexByte(string(text), '\n') + 1
		r.add(m.Name(), string(text[begin:max(begin, end)]))
		r.read[m.LogFile()] = max(begin, end)
	}
	return nil
}

// says tells whether a line of this part has the words, a regular expression.
func (r *recorder) says(words string) (bool, error) {
	if err := r.gather(); err != nil {
		return false, err
	}
	return regexp.MatchString(words, strings.Join(r.lines, "\n"))
}

// await waits for words, and before each look does what may bring them about, which
// may fail at first.
func (r *recorder) await(ctx context.Context, words string, meanwhile ...func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var failed error
		for _, act := range meanwhile {
			failed = errors.Join(failed, act())
		}
		if found, err := r.says(words); found || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("no line says %q: %w", words, ctx.Err()), failed)
		}
	}
}

// take returns the lines of this part, scrubbed, those alike but a few, and begins
// the next one.
func (r *recorder) take(all bool) (kept []string, err error) {
	if err := r.gather(); err != nil {
		return nil, err
	}
	seen := map[string]int{}
	for _, line := range r.lines {
		raft := raftLine.MatchString(line)
		if !all && !raft && !trouble.MatchString(line) {
			continue
		}
		line = r.scrub(line)
		kind := figures.ReplaceAllString(line, "0")
		if seen[kind]++; raft || seen[kind] <= alike {
			kept = append(kept, line)
		}
	}
	r.lines = nil
	return kept, nil
}

// scrub takes out what tells of the machine.
func (r *recorder) scrub(line string) string {
	line = strings.ReplaceAll(line, r.lab.Dir(), "/var/lib/etcd")
	if tools, err := etcdbin.Dir(); err == nil {
		line = strings.ReplaceAll(line, tools, "/opt")
	}
	if host, err := os.Hostname(); err == nil {
		line = strings.ReplaceAll(line, host, "host")
	}
	return address.ReplaceAllString(line, "10.0.0.1$1")
}

// tail are the last lines, for a person to whom a part failed.
func (r *recorder) tail() []string { return r.lines[max(0, len(r.lines)-5):] }
