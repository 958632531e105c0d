// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// nowhere is a configuration of clusters that nobody is at: what is wrong with a
// command line shows before anybody is asked.
const nowhere = `clusters:
  - {name: one, endpoints: [http://127.0.0.1:1], backups: [{name: local, path: /tmp}]}
  - {name: two, endpoints: [http://127.0.0.1:1]}
remediation:
  journal: %s
  policies:
    - {name: reclaim, matchers: ['alertname="EtcdFragmented"'], clusters: [one], action: defrag}
    - {name: flood, clusters: [one], action: prune_events, require_snapshot: "off", prune_events: {prefix: /registry/events/}}
`

func writeNowhere(t *testing.T, edits ...string) string {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf(nowhere, filepath.Join(dir, "journal"))
	for i := 0; i+1 < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("the configuration does not hold %q", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	file := filepath.Join(dir, "etcdops.yml")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// TestUsage: what is wrong with a command line or a configuration ends with exit
// status 2 and a line that says so, and nothing is begun.
func TestUsage(t *testing.T) {
	t.Parallel()
	config := writeNowhere(t)
	file := "--config.file=" + config
	for _, test := range []struct {
		name string
		args []string
		says string
	}{
		{"an unknown command", []string{"destroy", file}, "destroy"},
		{"an unknown flag", []string{"run", "defrag", file, "--force"}, "--force"},
		{"no action", []string{"plan", file}, "ACTION"},
		{"an unknown action", []string{"run", "defragment", file, "--yes"}, "defragment"},
		{"no configuration", []string{"plan", "defrag"}, "--config.file is needed"},
		{"a flag without its value", []string{"plan", "defrag", "--config.file"}, "--config.file"},
		{"an unknown output", []string{"plan", "defrag", file, "--output=xml"}, "xml"},
		{"a bad duration", []string{"run", "defrag", file, "--yes", "--wait=soon"}, "soon"},
		{"a bad level", []string{"serve", file, "--log.level=loud"}, "loud"},
		{"a bad mode", []string{"serve", file, "--mode=forced"}, "forced"},
		{"no such file", []string{"plan", "defrag", "--config.file=/nowhere/etcdops.yml"}, "/nowhere/etcdops.yml"},
		{"several clusters", []string{"plan", "defrag", file}, "--cluster"},
		{"an unknown cluster", []string{"plan", "defrag", file, "--cluster=three"}, `no cluster is called "three"`},
		{"snapshot without a policy", []string{"plan", "snapshot", file, "--cluster=one"}, "snapshot needs a policy"},
		{"nobody to be asked", []string{"run", "defrag", file, "--cluster=one"}, "--yes"},
		{"approve without an id", []string{"approve", file}, "RUN_ID"},
		{"approve where nobody serves", []string{"approve", "20260102T030405Z-00000000", file}, "no process serves"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, stdout, stderr := command(t, test.args...)
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			last := lines[len(lines)-1] // before it, that a cluster does not answer
			if status != 2 || stdout != "" || !strings.HasPrefix(last, "etcd_remediator: ") || !strings.Contains(last, test.says) || len(lines) > 2 {
				t.Errorf("exit %d\n%s%s", status, stdout, stderr)
			}
		})
	}
	for _, args := range [][]string{{"--help"}, {"run", "--help"}, {"--version"}, {"check-config", file}} {
		if status, stdout, stderr := command(t, args...); status != 0 || stdout == "" || stderr != "" {
			t.Errorf("%v: exit %d\n%s%s", args, status, stdout, stderr)
		}
	}
}

// TestBadConfiguration: every command names the file, the line and the field.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	config := writeNowhere(t, "action: defrag", "action: defragment", "clusters: [one], action: prune", "clusters: [three], action: prune")
	for _, args := range [][]string{
		{"check-config"},
		{"serve", "--web.listen-address=127.0.0.1:0"},
		{"plan", "defrag", "--cluster=one"},
		{"run", "defrag", "--cluster=one", "--yes"},
		{"approve", "20260102T030405Z-00000000"},
	} {
		status, stdout, stderr := command(t, append(args, "--config.file="+config)...)
		if status != 2 || stdout != "" {
			t.Errorf("%v: exit %d\n%s%s", args, status, stdout, stderr)
		}
		for _, want := range []string{config + ":7: remediation.policies[0].action", config + ":8: remediation.policies[1].clusters[0]"} {
			if !strings.Contains(stderr, want) {
				t.Errorf("%v: no %q in\n%s", args, want, stderr)
			}
		}
	}
}

// TestServeRefuses what would let anybody start a run.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	must(t, os.WriteFile(token, []byte("a-token-of-some-length\n"), 0o600))
	short := filepath.Join(dir, "short")
	must(t, os.WriteFile(short, []byte("short\n"), 0o600))
	users := filepath.Join(dir, "users.yml")
	must(t, os.WriteFile(users, []byte("basic_auth_users: {operator: $2y$04$abcdefghijklmnopqrstuuVbBxGbKdfYxMzwmeP2Xc0UOyCyrNwvC}\n"), 0o600))
	bearer := writeNowhere(t, "  policies:\n", "  bearer_token_file: "+token+"\n  policies:\n")
	plain := writeNowhere(t)
	for _, test := range []struct {
		name, config string
		args         []string
		says         string
	}{
		{"a listener for all", plain, []string{"--web.listen-address=:0"}, "can be reached from elsewhere"},
		{"a listener of an address", plain, []string{"--web.listen-address=127.0.0.1:0", "--web.listen-address=192.0.2.1:0"}, "192.0.2.1:0 can be reached"},
		{"enforce", plain, []string{"--web.listen-address=127.0.0.1:0", "--mode=enforce"}, "--mode=enforce lets every local process start a run"},
		{"two ways to sign in", bearer, []string{"--web.listen-address=127.0.0.1:0", "--web.config.file=" + users}, "cannot go together"},
		{"a short token", writeNowhere(t, "  policies:\n", "  bearer_token_file: "+short+"\n  policies:\n"), []string{"--web.listen-address=127.0.0.1:0"}, "bearer_token_file"},
		{"no policy", writeNowhere(t, "  policies:\n", "  policies: []\n#", "    - {name: reclaim", "#", "    - {name: flood", "#"), []string{"--web.listen-address=127.0.0.1:0"}, "remediation.policies is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, stdout, stderr := command(t, append([]string{"serve", "--config.file=" + test.config}, test.args...)...)
			if status != 2 || stdout != "" || !strings.Contains(stderr, test.says) {
				t.Errorf("exit %d\n%s%s", status, stdout, stderr)
			}
			if strings.Contains(stderr, "Listening") || strings.Contains(stderr, "a-token-of") || strings.Contains(stderr, "short\n") {
				t.Errorf("it says too much:\n%s", stderr)
			}
		})
	}
	s := serve(t, plain, "--mode=enforce", open) // told to
	if status, _ := s.Do(http.MethodGet, "/-/healthy", ""); status != http.StatusOK {
		t.Errorf("healthy: %d", status)
	}
}

// TestExitStatus of what by hand ends in each way, with JSON and with text.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 1)
	fragment(t, l, 8)
	gone := t.TempDir()
	config := writeConfig(t, l, `  policies:
    - {name: reclaim, clusters: [lab], action: defrag, `+small+`stable_for: 1s, accept_unknown_disk: true, cooldown: 1h, defrag: {min_reclaimable: 1MiB}}
    - {name: careful, clusters: [lab], action: defrag, stable_for: 1s, accept_unknown_disk: true, defrag: {min_reclaimable: 1MiB}}
    - {name: nobodys, clusters: [], action: compact}
    - {name: alarm, clusters: [lab], action: disarm, `+small+eager+`}
    - {name: backup, clusters: [lab], action: snapshot, `+small+eager+`, snapshot: {store: local}}
`)
	amend(t, config, "remediation:\n", "    backups: [{name: local, path: "+gone+", pattern: '*.db'}]\nremediation:\n")
	must(t, os.Remove(gone))
	file := "--config.file=" + config
	for _, test := range []struct {
		name, outcome string
		status        int
		args          []string
		refused       []string
	}{
		{"a plan", "planned", 0, []string{"plan", "defrag", "--policy=reclaim"}, nil},
		{"a plan that would be refused", "refused", 3, []string{"plan", "defrag", "--policy=careful"}, []string{"voters"}},
		{"a run that is refused", "refused", 3, []string{"run", "defrag", "--yes", "--policy=careful"}, []string{"voters"}},
		{"a run that fails", "failed", 1, []string{"run", "snapshot", "--yes"}, nil},
		{"a run that is done", "succeeded", 0, []string{"run", "defrag", "--yes"}, nil},
		{"a run within the cool-down", "refused", 3, []string{"run", "defrag", "--yes"}, []string{"cooldown", "budget"}},
		// Where nothing tells of earlier runs the budget is one until the cool-down is over.
		{"a run that ignores the cool-down", "refused", 3, []string{"run", "defrag", "--yes", "--ignore-cooldown"}, []string{"budget"}},
		{"nothing to do", "nothing_to_do", 0, []string{"run", "disarm", "--yes"}, nil},
	} {
		status, stdout, stderr := command(t, append(test.args, file, "--output=json")...)
		var run Run
		decoder := json.NewDecoder(strings.NewReader(stdout))
		if err := decoder.Decode(&run); err != nil || decoder.More() {
			t.Errorf("%s: stdout is not one JSON document: %v\n%s", test.name, err, stdout)
		}
		if status != test.status || run.Outcome != test.outcome || !slices.Equal(besides(run.refusedBy(), "stable"), test.refused) {
			t.Errorf("%s: exit %d, %s, refused by %v: %s\n%s", test.name, status, run.Outcome, run.refusedBy(), run.Reason, stderr)
		}
		var all map[string]any
		must(t, json.Unmarshal([]byte(stdout), &all))
		if ignored := all["ignore_cooldown"] == true; ignored != slices.Contains(test.args, "--ignore-cooldown") {
			t.Errorf("%s: the record says ignore_cooldown: %v", test.name, all["ignore_cooldown"])
		}
	}
	for says, args := range map[string][]string{
		"policy reclaim is for defrag, not for compact":       {"run", "compact", "--yes", "--policy=reclaim"},
		"policy nobodys does not allow the cluster lab":       {"run", "compact", "--yes", "--policy=nobodys"},
		`no policy is called "none"`:                          {"plan", "defrag", "--policy=none"},
		"prune_events needs a policy that allows the cluster": {"run", "prune_events", "--yes"},
	} {
		if status, stdout, stderr := command(t, append(args, file, "--output=json")...); status != 2 || stdout != "" || !strings.Contains(stderr, says) {
			t.Errorf("%v: exit %d\n%s%s", args, status, stdout, stderr)
		}
	}
	byText(t, l, file)
}

func besides(names []string, name string) (others []string) {
	for _, n := range names {
		if n != name {
			others = append(others, n)
		}
	}
	return others
}

// byText: a person reads every guard, every step and the outcome.
func byText(t *testing.T, l *lab.Lab, file string) {
	t.Helper()
	fragment(t, l, 8)
	status, stdout, _ := command(t, "plan", "defrag", file, "--policy=careful")
	for _, want := range []string{"defrag on cluster lab, with policy careful", "refuse  voters", "  allow ", "1.  defrag  m0", "\nrefused: "} {
		if status != 3 || !strings.Contains(stdout, want) {
			t.Errorf("exit %d, no %q in\n%s", status, want, stdout)
		}
	}
}

// TestApprove by command and by HTTP: the run is planned again, once, and by nobody
// who may not.
func TestApprove(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 1)
	fragment(t, l, 8)
	dir := t.TempDir()
	const bearer, admin = "the-token-of-the-webhook", "the-token-of-the-admin"
	must(t, os.WriteFile(filepath.Join(dir, "bearer"), []byte(bearer), 0o600), os.WriteFile(filepath.Join(dir, "admin"), []byte(admin), 0o600))
	config := writeConfig(t, l, `  bearer_token_file: `+dir+`/bearer
  admin_token_file: `+dir+`/admin
  policies:
    - {name: reclaim, matchers: ['alertname="EtcdFragmented"'], clusters: [lab], action: defrag, `+small+eager+`, defrag: {min_reclaimable: 1MiB}}
`)
	s := serve(t, config, "--mode=approve")
	s.Token = bearer
	s.watched("defrag")
	file := "--config.file=" + config
	waiting := func() string {
		s.Fire("alertname", "EtcdFragmented")
		return s.until(20*time.Second, "a run awaits approval", ended("awaiting_approval")).ID
	}
	approve := func(id, token string) int {
		s.Token = token
		defer func() { s.Token = bearer }()
		status, _ := s.Do(http.MethodPost, "/api/v1/runs/"+id+"/approve", "{}")
		return status
	}

	before := sizes(t, l)
	id := waiting()
	if after := sizes(t, l); !slices.Equal(before, after) {
		t.Errorf("sizes %v, and %v before the approval", after, before)
	}
	if status, _, stderr := command(t, "approve", "20260102T030405Z-00000000", file); status != 2 || !strings.Contains(stderr, "no run has that id") {
		t.Errorf("an unknown run: exit %d\n%s", status, stderr)
	}
	status, stdout, stderr := command(t, "approve", id, file)
	if status != 0 || !strings.Contains(stdout, "\nsucceeded: ") {
		t.Errorf("approve: exit %d\n%s%s", status, stdout, stderr)
	}
	if after := sizes(t, l); after[0] > before[0]/2 {
		t.Errorf("size %d, and %d before", after[0], before[0])
	}
	if status, _, stderr := command(t, "approve", id, file); status != 2 || !strings.Contains(stderr, "does not wait") {
		t.Errorf("approved twice: exit %d\n%s", status, stderr)
	}

	fragment(t, l, 8)
	id = waiting()
	for token, want := range map[string]int{"": http.StatusUnauthorized, "somebody-elses-token": http.StatusUnauthorized, bearer: http.StatusForbidden} {
		if status := approve(id, token); status != want {
			t.Errorf("approve with the token %q: %d, want %d", token, status, want)
		}
	}
	client, err := l.Client()
	must(t, err)
	_, err = client.Defragment(patient(t), l.Endpoints()[0]) // somebody was faster
	must(t, err)
	if status := approve("20260102T030405Z-00000000", admin); status != http.StatusNotFound {
		t.Errorf("an unknown run: %d", status)
	}
	if status := approve(id, admin); status != http.StatusOK {
		t.Errorf("approve: %d", status)
	}
	run := s.until(20*time.Second, "it is planned again", ended("nothing_to_do"))
	if run.ID != id {
		t.Errorf("run %s, approved was %s", run.ID, id)
	}
	if trigger, _ := s.raw(id)["trigger"].(map[string]any); !strings.Contains(fmt.Sprint(trigger["by"]), "admin token") {
		t.Errorf("who approved: %v", trigger)
	}
	if status := approve(id, admin); status != http.StatusConflict {
		t.Errorf("approved twice: %d", status)
	}
}
