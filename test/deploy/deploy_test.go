// SPDX-License-Identifier: Apache-2.0

// Package deploy shows that the configurations of deploy/ are right: by the tools of
// Prometheus and Alertmanager, over every alert of the mixin.
package deploy

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/test/stack"
)

var (
	root             = filepath.Join("..", "..")
	alertmanagerFile = filepath.Join(root, "deploy", "alertmanager.yml")
)

const (
	remediator = "etcd_remediator"
	heartbeat  = "EtcdRemediationHeartbeat"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// tool finds a tool. Without it the test is skipped on a developer's machine, and fails
// in CI.
func tool(t testing.TB, name string) string {
	t.Helper()
	file, err := stack.Tool(root, name)
	if _, missing := errors.AsType[*stack.NoToolError](err); missing && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	must(t, err)
	return file
}

// command runs a tool that must succeed, and gives what it writes.
func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(name), args, err, output)
	}
	return string(output)
}

// rule is an alerting rule, as far as routes and inhibitions look at it.
type rule struct {
	Alert  string            `yaml:"alert"`
	Expr   string            `yaml:"expr"`
	Labels map[string]string `yaml:"labels"`
}

// labels are those that an alert has for sure.
func (r rule) labels() map[string]string {
	set := map[string]string{"alertname": r.Alert}
	maps.Copy(set, r.Labels)
	return set
}

// alerts are the rules of alerts/.
func alerts(t testing.TB) (rules []rule) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "alerts", "*.yaml"))
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		var content struct {
			Groups []struct {
				Rules []rule `yaml:"rules"`
			} `yaml:"groups"`
		}
		must(t, yaml.Unmarshal(text, &content))
		for _, group := range content.Groups {
			rules = append(rules, slices.DeleteFunc(group.Rules, func(r rule) bool { return r.Alert == "" })...)
		}
	}
	if len(rules) == 0 {
		t.Fatal("alerts/ holds no alert")
	}
	return rules
}

// TestPrometheus: the configuration is sound with the alerts beside it, and its jobs are
// those that the alerts name.
func TestPrometheus(t *testing.T) {
	promtool := tool(t, "promtool")
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(root, "deploy", "prometheus.yml"))
	must(t, err)
	file := filepath.Join(dir, "prometheus.yml")
	must(t, os.WriteFile(file, text, 0o600), os.CopyFS(filepath.Join(dir, "alerts"), os.DirFS(filepath.Join(root, "alerts"))))
	said := command(t, promtool, "check", "config", "--lint=all", "--lint-fatal", file)
	if files, _ := filepath.Glob(filepath.Join(dir, "alerts", "*.yaml")); strings.Count(said, "rules found") != len(files) {
		t.Errorf("%d files of alerts, and promtool says\n%s", len(files), said)
	}
	var config struct {
		Jobs []struct {
			Name string `yaml:"job_name"`
		} `yaml:"scrape_configs"`
	}
	must(t, yaml.Unmarshal(text, &config))
	var jobs []string
	for _, job := range config.Jobs {
		jobs = append(jobs, job.Name)
	}
	slices.Sort(jobs)
	if !slices.Equal(jobs, stack.Jobs) {
		t.Errorf("the jobs are %v, want %v", jobs, stack.Jobs)
	}
}
