// SPDX-License-Identifier: Apache-2.0

// Package loki judges the rules of alerts/loki by Loki's own engine, on what real
// members of each version said: testdata/VERSION/PART.log, recorded by
// test/cmd/capture_logs. A module of its own, since Loki brings half the world along.
package loki

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/dskit/user"
	"github.com/grafana/loki/pkg/push"
	"github.com/grafana/loki/v3/pkg/logproto"
	"github.com/grafana/loki/v3/pkg/logql"
	"github.com/prometheus/prometheus/promql"
	"go.yaml.in/yaml/v3"
)

var root = filepath.Join("..", "..")

// of tells which part of the recordings a rule is for.
var of = map[string]string{
	"EtcdLogNoSpace":            "nospace",
	"EtcdLogCorrupt":            "corrupt",
	"EtcdLogLostLeader":         "lost_leader",
	"EtcdLogSlowApply":          "slow_apply",
	"EtcdLogSlowDisk":           "slow_disk",
	"EtcdLogClockDrift":         "clock_drift",
	"EtcdLogRejectedConnection": "rejected_connection",
}

// quiet are the parts that no rule may fire on: a start, a rolling restart and all that
// a well cluster does, a client that hung up, the end of NOSPACE.
var quiet = []string{"healthy", "hung_up", "nospace_over"}

// rule is an alerting rule.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// rules are those of alerts/loki.
func rules(t *testing.T) (all []rule) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "alerts", "loki", "*.yaml"))
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		var content struct {
			Groups []struct {
				Name  string `yaml:"name"`
				Rules []rule `yaml:"rules"`
			} `yaml:"groups"`
		}
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		must(t, decoder.Decode(&content))
		for _, group := range content.Groups {
			all = append(all, group.Rules...)
		}
	}
	if len(all) == 0 {
		t.Fatal("alerts/loki holds no rule")
	}
	return all
}

// evening is when the recorded lines are said anew.
var evening = time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)

// stream is what the members said in a part of a recording, said so many times within
// ten minutes: a recording keeps few of the lines that differ in figures alone.
func stream(t *testing.T, version, part string, times int) (streams []logproto.Stream) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", version, part+".log"))
	must(t, err)
	entries := map[string][]push.Entry{}
	for n := range times {
		at := evening.Add(-10 * time.Minute * time.Duration(n) / time.Duration(times))
		for line := range strings.Lines(string(text)) {
			who, said, ok := strings.Cut(strings.TrimSpace(line), "\t")
			if !ok {
				continue
			}
			at = at.Add(-time.Microsecond) // two lines of one time are not told apart
			entries[who] = append(entries[who], push.Entry{Timestamp: at, Line: said})
		}
	}
	for who, said := range entries {
		streams = append(streams, logproto.Stream{
			Labels:  fmt.Sprintf(`{job="etcd-logs", cluster="prod", instance=%q}`, who),
			Entries: said,
		})
	}
	return streams
}

// fires evaluates a rule as the ruler does, in the evening, and returns who it fires for.
func fires(t *testing.T, r rule, streams []logproto.Stream) (who []string) {
	t.Helper()
	params, err := logql.NewLiteralParams(r.Expr, evening, evening, 0, 0, logproto.FORWARD, 0, nil, nil)
	if err != nil {
		t.Fatalf("%s: %v\n%s", r.Alert, err, r.Expr)
	}
	engine := logql.NewEngine(logql.EngineOpts{}, logql.NewMockQuerier(0, streams), logql.NoLimits, nil)
	result, err := engine.Query(params).Exec(user.InjectOrgID(t.Context(), "test"))
	must(t, err)
	vector, ok := result.Data.(promql.Vector)
	if !ok {
		t.Fatalf("%s gives a %T", r.Alert, result.Data)
	}
	for _, sample := range vector {
		if sample.Metric.Get("cluster") != "prod" {
			t.Errorf("%s fires with labels %s", r.Alert, sample.Metric)
		}
		who = append(who, sample.Metric.Get("instance"))
	}
	slices.Sort(who)
	return who
}

func TestRulesOnWhatMembersSaid(t *testing.T) {
	all := rules(t)
	versions, err := filepath.Glob(filepath.Join("testdata", "*"))
	must(t, err)
	if len(versions) < 5 {
		t.Fatalf("recordings of %v alone", versions)
	}
	for _, dir := range versions {
		version := filepath.Base(dir)
		t.Run(version, func(t *testing.T) {
			for _, r := range all {
				who := fires(t, r, stream(t, version, of[r.Alert], 20))
				if len(who) == 0 {
					t.Errorf("%s does not fire on %s", r.Alert, of[r.Alert])
				}
				t.Logf("%-26s fires for %v", r.Alert, who)
				often := 20
				if r.Alert == "EtcdLogLostLeader" {
					often = 1 // each planned change of the leader is such a line
				}
				for _, part := range quiet {
					if who := fires(t, r, stream(t, version, part, often)); len(who) > 0 {
						t.Errorf("%s fires for %v on %s", r.Alert, who, part)
					}
				}
			}
		})
	}
}

// TestCriticalRules: what wakes somebody is told by nothing else's lines.
func TestCriticalRules(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.log"))
	must(t, err)
	for _, r := range rules(t) {
		if r.Labels["severity"] != "critical" {
			continue
		}
		for _, file := range files {
			version, part := filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), ".log")
			if part == of[r.Alert] {
				continue
			}
			if who := fires(t, r, stream(t, version, part, 20)); len(who) > 0 {
				t.Errorf("%s fires for %v on %s of %s", r.Alert, who, part, version)
			}
		}
	}
}
