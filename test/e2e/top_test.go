// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// watched is what top says in JSON, as far as the tests look at it.
type watched struct {
	Cluster string  `json:"cluster"`
	Seconds float64 `json:"seconds"`
	Ended   string  `json:"ended"`
	Total   struct {
		Writes          float64 `json:"writes"`
		WritesPerSecond float64 `json:"writes_per_second"`
		Deleted         float64 `json:"deleted"`
	} `json:"total"`
	Resources, Namespaces struct {
		Rows []struct {
			Name   string  `json:"name"`
			Writes float64 `json:"writes"`
		} `json:"rows"`
	}
	Cost struct {
		Endpoints []string `json:"endpoints"`
	} `json:"cost"`
}

func TestTop(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{TLS: lab.Plain, Version: "3.6.16"})
	const every = 20 * time.Millisecond
	done, written := make(chan struct{}), make(chan int)
	client, err := l.Client()
	must(t, err)
	go func() {
		n := 0
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := client.Put(t.Context(), fmt.Sprintf("/registry/pods/team-a/p%d", n%7), "value"); err == nil {
					n++
				}
			case <-done:
				written <- n
				return
			}
		}
	}()
	began := time.Now()
	status, stdout, stderr := runExporter(t, "top", "--etcd.endpoints="+strings.Join(l.Endpoints(), ","), "--for=3s", "--output=json")
	took := time.Since(began)
	close(done)
	most := float64(<-written)
	var r watched
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 {
		t.Fatalf("exit %d, %v: %s%s", status, err, stdout, stderr)
	}
	if r.Cluster != "default" || r.Ended != "time" || r.Seconds < 2.5 || r.Seconds > took.Seconds() || took > 3*time.Second+stopTime {
		t.Errorf("it watched for %v s, and took %s: %s", r.Seconds, took, stdout)
	}
	// What was written in the whole time, of which it has watched a part.
	least := most * (r.Seconds - 0.5) / took.Seconds() / 2
	if r.Total.Writes > most || r.Total.Writes < least || r.Total.Deleted != 0 || r.Total.WritesPerSecond < r.Total.Writes/took.Seconds() || r.Total.WritesPerSecond > r.Total.Writes/2 {
		t.Errorf("%v writes, %v a second; %v were made: %s", r.Total.Writes, r.Total.WritesPerSecond, most, stdout)
	}
	if len(r.Resources.Rows) == 0 || r.Resources.Rows[0].Name != "pods" || r.Resources.Rows[0].Writes != r.Total.Writes || len(r.Namespaces.Rows) == 0 || r.Namespaces.Rows[0].Name != "team-a" {
		t.Errorf("resources %v, namespaces %v", r.Resources, r.Namespaces)
	}
	leader, err := l.Leader(patient(t))
	must(t, err)
	if len(r.Cost.Endpoints) != 1 || r.Cost.Endpoints[0] == l.Member(leader).ClientURL() {
		t.Errorf("watched at %v; the leader is %s", r.Cost.Endpoints, l.Member(leader).ClientURL())
	}
	if status, stdout, stderr := runExporter(t, "top", "--etcd.endpoints="+l.Endpoints()[0], "--for=200ms"); status != 0 || strings.Contains(stdout, "\x1b") || stderr != "" {
		t.Errorf("exit %d: %q%s", status, stdout, stderr)
	}
}

func TestTopRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "etcdops.yml")
	writeConfig(t, file, []string{"http://127.0.0.1:1"}, "")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"dead endpoint":     {[]string{"--etcd.endpoints=http://127.0.0.1:1", "--for=1s"}, "refused"},
		"unknown cluster":   {[]string{"--config.file=" + file, "--cluster=nope"}, "known clusters: lab"},
		"no such file":      {[]string{"--config.file=" + file + ".gone"}, "no such file"},
		"no time":           {[]string{"--for=-1s"}, "for"},
		"no output":         {[]string{"--output=xml"}, "output"},
		"too many rows":     {[]string{"--rows=-3"}, "rows"},
		"an unknown flag":   {[]string{"--nope"}, "nope"},
		"argument too many": {[]string{"here"}, "here"},
	} {
		status, stdout, stderr := runExporter(t, append([]string{"top"}, test.args...)...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if last := lines[len(lines)-1]; status != 1 || stdout != "" || len(lines) > 1 || !strings.HasPrefix(last, "etcd_exporter: ") || !strings.Contains(last, test.want) {
			t.Errorf("%s: exit %d, %q, %q: want a line with %q", name, status, stdout, stderr, test.want)
		}
	}
}
