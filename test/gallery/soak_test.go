// SPDX-License-Identifier: Apache-2.0

//go:build slow

package gallery

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/stack"
)

const (
	// A day is six minutes.
	soakScale = 240
	soakEvery = 400 * time.Millisecond
	// backupEvery is how often a script takes a backup.
	backupEvery = 30 * time.Second
	eventsEvery = 5 * time.Second
	events      = 400
)

// TestSoak: on a healthy cluster with load, compactions and backups nothing fires for
// three times as long as the slowest alert waits.
func TestSoak(t *testing.T) {
	s := start(t, stack.Options{
		Scale: soakScale, Every: soakEvery,
		Lab: lab.Options{Args: []string{"--auto-compaction-mode=periodic", "--auto-compaction-retention=10s"}},
	})
	work(t, s, load{every: 10 * time.Millisecond, keys: 500})
	quiet(t, s, time.Minute) // of what a cluster that starts may cause
	longest := slowest(t, s)
	lasts := 3 * longest
	t.Logf("the slowest alert waits %s, divided; the soak lasts %s", longest, lasts)
	began := time.Now()
	told := map[fired]bool{}
	var backup, eventful time.Time
	for time.Since(began) < lasts {
		now, err := firing(t.Context(), s)
		must(t, err)
		for alert := range maps.Keys(now) {
			if !told[alert] {
				told[alert] = true
				t.Errorf("%5.1f s  %s fires: %s", time.Since(began).Seconds(), alert, now[alert].Annotations["description"])
			}
		}
		if time.Since(backup) > backupEvery {
			backup = time.Now()
			must(t, s.TakeBackup(t.Context()))
		}
		if time.Since(eventful) > eventsEvery { // those of before expire
			eventful = time.Now()
			must(t, empty(t.Context(), s, "/registry/events/"), s.Flood(t.Context(), events))
		}
		time.Sleep(soakEvery)
	}
	runs, err := s.Runs(t.Context())
	must(t, err)
	heard := slices.DeleteFunc(s.People.Heard(began), func(n stack.Notice) bool { return n.Status == "resolved" }) // of the start
	if len(runs) > 0 || len(heard) > 0 {
		t.Errorf("the remediator ran %d times; people heard %v", len(runs), heard)
	}
}

// slowest is the longest `for` of the rules that are in force.
func slowest(t *testing.T, s *stack.Stack) time.Duration {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir(), "alerts", "*.yaml"))
	must(t, err)
	var waits []time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		var content struct {
			Groups []struct {
				Rules []struct {
					For model.Duration `yaml:"for"`
				} `yaml:"rules"`
			} `yaml:"groups"`
		}
		must(t, yaml.Unmarshal(text, &content))
		for _, group := range content.Groups {
			for _, rule := range group.Rules {
				waits = append(waits, time.Duration(rule.For))
			}
		}
	}
	return slices.Max(waits)
}
