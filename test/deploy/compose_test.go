// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/stack"
)

// checkout copies what compose reads of the repository, and gives compose.yml.
// A person has made the token and the journal's directory, as the file's page says.
func checkout(t *testing.T) (file string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"deploy", "alerts"} {
		must(t, os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(root, name))))
	}
	file = filepath.Join(dir, "deploy", "compose", "compose.yml")
	must(t, os.MkdirAll(filepath.Join(filepath.Dir(file), "journal"), 0o700),
		os.WriteFile(filepath.Join(filepath.Dir(file), "etcdops", "bearer.token"), []byte("a-token-of-this-test-alone\n"), 0o600))
	return file
}

// project is what compose would run.
func project(t *testing.T, file string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithProfiles([]string{"*"}))
	must(t, err)
	loaded, err := options.LoadProject(t.Context())
	must(t, err)
	return loaded
}

// TestCompose: the file is valid for compose's own loader, each service is shut in and
// listens on loopback alone, and versions are those that our tests run.
func TestCompose(t *testing.T) {
	loaded := project(t, checkout(t))
	if names := loaded.ServiceNames(); !slices.Equal(names, []string{"alertmanager", "etcd", "etcd_exporter", "etcd_remediator", "prometheus"}) {
		t.Errorf("the services are %v", names)
	}
	for name, service := range loaded.Services {
		if service.NetworkMode != "host" || !service.ReadOnly || service.Privileged || !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not shut in: %+v", name, service)
		}
		if name != "etcd" && !regexp.MustCompile(`--web\.listen-address=127\.0\.0\.1:\d+`).MatchString(strings.Join(service.Command, " ")) {
			t.Errorf("%s does not listen on loopback: %q", name, service.Command)
		}
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !volume.ReadOnly && volume.Target != "/var/lib/etcd_remediator" {
				t.Errorf("%s may write to %s", name, volume.Source)
			}
		}
		if service.Build != nil {
			dockerfile, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
			must(t, err)
			for arg, value := range service.Build.Args {
				if !strings.Contains(string(dockerfile), "ARG "+arg+"=") || arg == "PROGRAM" && *value != name {
					t.Errorf("%s is built with %s=%s", name, arg, *value)
				}
			}
		}
	}
	for name, want := range map[string]string{"alertmanager": "", "prometheus": "v3."} {
		version := strings.TrimPrefix(filepath.Base(tool(t, name)), name+"-")
		if want != "" { // Prometheus 3.16.0 is v0.316.0 as a module
			version = want + strings.TrimPrefix(version, "v0.3")
		}
		if image := loaded.Services[name].Image; image != "prom/"+name+":"+version {
			t.Errorf("the image is %s, the tests run %s %s", image, name, version)
		}
	}
}

// ports are the programs beside etcd, by the ports of deploy/.
var ports = map[string]string{"9090": "prometheus", "9093": "alertmanager", "10379": "etcd_exporter", "10380": "etcd_remediator"}

// uncontained rewrites a checkout so that its services run without containers, each on
// a free port and in a hurry, with its volumes as links below dir/SERVICE. It gives
// their addresses.
func uncontained(t *testing.T, file, dir, etcd string) (addresses map[string]string) {
	t.Helper()
	mended := []string{
		"http://127.0.0.1:2379", etcd,
		"127.0.0.1:9099", "127.0.0.1:1", // people
		"/etc/alertmanager/etcd_remediator.token", filepath.Join(dir, "alertmanager/etc/alertmanager/etcd_remediator.token"),
		"journal: /var/lib", "journal: " + filepath.Join(dir, "etcd_remediator/var/lib"),
		"scrape_interval: 30s", "scrape_interval: 1s", "scrape_timeout: 10s", "scrape_timeout: 1s",
		"evaluation_interval: 30s", "evaluation_interval: 1s", "group_wait: 10s", "group_wait: 1s",
	}
	addresses = map[string]string{}
	for port, name := range ports {
		free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		addresses[name] = free.Addr().String()
		mended = append(mended, "127.0.0.1:"+port, addresses[name])
		defer func() { must(t, free.Close()) }() // after all have one
	}
	replacer, compose := strings.NewReplacer(mended...), filepath.Dir(file)
	for _, name := range []string{"compose.yml", "etcdops/etcdops.yml", "../prometheus.yml", "../alertmanager.yml"} {
		text, err := os.ReadFile(filepath.Join(compose, name))
		must(t, err)
		if name == "compose.yml" { // targets of volumes stay
			text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllFunc(text, func(b []byte) []byte { return []byte(replacer.Replace(string(b))) })
		} else {
			text = []byte(replacer.Replace(string(text)))
		}
		must(t, os.WriteFile(filepath.Join(compose, name), text, 0o600))
	}
	for name, service := range project(t, file).Services {
		for _, volume := range service.Volumes {
			source, target := volume.Source, filepath.Join(dir, name, volume.Target)
			if volume.Type == types.VolumeTypeVolume {
				source = t.TempDir()
			}
			must(t, os.MkdirAll(filepath.Dir(target), 0o700), os.Symlink(source, target))
		}
	}
	return addresses
}

// TestComposeRuns: what compose would start in containers, started without them, finds
// each other: every target of Prometheus is up, and the heartbeat goes by Alertmanager,
// with the token, to the remediator.
func TestComposeRuns(t *testing.T) {
	programs := map[string]string{
		"alertmanager": tool(t, "alertmanager"), "prometheus": tool(t, "prometheus"),
		"etcd_exporter": program(t, "etcd_exporter"), "etcd_remediator": program(t, "etcd_remediator"),
	}
	etcd, err := lab.Start(t.Context(), lab.Options{Members: 1, TLS: lab.Plain})
	must(t, err)
	t.Cleanup(func() { must(t, etcd.Close()) })
	file, dir := checkout(t), t.TempDir()
	addresses := uncontained(t, file, dir, etcd.Endpoints()[0])
	said := map[string]*log{}
	for name, service := range project(t, file).Services {
		if programs[name] == "" {
			continue
		}
		args := []string{programs[name]}
		for _, word := range service.Command {
			args = append(args, regexp.MustCompile(`=(/[a-z])`).ReplaceAllString(word, "="+filepath.Join(dir, name)+"$1"))
		}
		said[name] = start(t, args...)
	}
	t.Cleanup(func() {
		for name := range said {
			if t.Failed() {
				t.Logf("%s says\n%s", name, said[name])
			}
		}
	})
	must(t, stack.Await(t.Context(), time.Minute, "every target is up", func() error { return targetsUp(t, addresses["prometheus"]) }))
	must(t, stack.Await(t.Context(), time.Minute, "the heartbeat arrives", func() error {
		text, err := ask(t, http.MethodGet, "http://"+addresses["etcd_remediator"]+"/metrics", nil)
		if err != nil {
			return err
		}
		if found := regexp.MustCompile(`(?m)^etcdops_remediation_heartbeat_timestamp_seconds (.*)$`).FindSubmatch(text); found == nil || string(found[1]) == "0" {
			return fmt.Errorf("the heartbeat is %q", found)
		}
		return nil
	}))
}

// targetsUp is nil when Prometheus has a target for every job, and all are up.
func targetsUp(t *testing.T, prometheus string) error {
	t.Helper()
	text, err := ask(t, http.MethodGet, "http://"+prometheus+"/api/v1/targets?state=active", nil)
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			ActiveTargets []struct {
				ScrapePool string `json:"scrapePool"`
				Health     string `json:"health"`
				LastError  string `json:"lastError"`
			} `json:"activeTargets"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	var jobs []string
	for _, target := range answer.Data.ActiveTargets {
		jobs = append(jobs, target.ScrapePool)
		if target.Health != "up" {
			return fmt.Errorf("%s is %s: %s", target.ScrapePool, target.Health, target.LastError)
		}
	}
	if slices.Sort(jobs); !slices.Equal(slices.Compact(jobs), stack.Jobs) {
		return fmt.Errorf("targets of the jobs %v alone", jobs)
	}
	return nil
}
