// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

// TestKilledInASnapshot: nothing passes for a snapshot, and the next one removes what
// is left.
func TestKilledInASnapshot(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 1)
	value := strings.Repeat("x", 256<<10)
	for i := range 200 {
		put(t, l, fmt.Sprintf("large/%d", i), value)
	}
	store := t.TempDir()
	config := writeConfig(t, l, `  policies:
    - {name: backup, matchers: ['alertname="EtcdBackupTooOld"'], clusters: [lab], action: snapshot, `+small+eager+`, snapshot: {store: local, keep: 2}}
`)
	amend(t, config, "remediation:\n", "    backups: [{name: local, path: "+store+", pattern: '*.db'}]\nremediation:\n")
	s := serve(t, config, "--mode=enforce", open)
	s.watched("snapshot")
	s.Fire("alertname", "EtcdBackupTooOld")
	partial := awaitPartial(t, store)
	s.Kill()
	if files := sound(t, store); len(files) > 0 {
		t.Fatalf("it was killed too late: %v", files)
	}
	if _, err := os.Stat(partial); err != nil {
		t.Fatalf("it was killed too late: %v", err)
	}

	s = serve(t, config, "--mode=enforce", open)
	s.first()
	long := time.Now().Add(-2 * time.Hour) // a younger one could still be written by somebody
	must(t, os.Chtimes(partial, long, long))
	s.watched("snapshot")
	s.again(30*time.Second, "a snapshot is taken", ended("succeeded"))
	files := sound(t, store)
	if len(files) != 1 {
		t.Fatalf("the store holds %v", files)
	}
	if _, err := os.Stat(partial); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the kill left is still there: %v", err)
	}
	info, err := os.Stat(files[0])
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	etcdutl, err := etcdbin.Path(patient(t), version, etcdbin.Etcdutl)
	must(t, err)
	if output, err := exec.CommandContext(patient(t), etcdutl, "snapshot", "status", files[0]).CombinedOutput(); err != nil {
		t.Errorf("etcdutl: %v\n%s", err, output)
	}
}

// awaitPartial waits for a snapshot that is being written. It looks without a pause:
// the file is there for a moment only.
func awaitPartial(t *testing.T, store string) string {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < 20*time.Second; {
		if found, _ := filepath.Glob(filepath.Join(store, ".partial-*")); len(found) > 0 {
			return found[0]
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("no snapshot is begun")
	return ""
}

func sound(t *testing.T, store string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(store, "[^.]*"))
	must(t, err)
	return files
}

// TestKilledInACompaction: it was carried out, the run that did it counts, and the
// cluster is not compacted again within the cool-down.
func TestKilledInACompaction(t *testing.T) {
	t.Parallel()
	l := plainLab(t, 1)
	for i := range 50 {
		put(t, l, "key", fmt.Sprint(i))
	}
	config := writeConfig(t, l, `  policies:
    - {name: history, matchers: ['alertname="EtcdHistory"'], clusters: [lab], action: compact, `+small+`stable_for: 1s, accept_unknown_disk: true, cooldown: 1h, compact: {keep: 2s}}
`)
	s := serve(t, config, "--mode=enforce", open)
	await(t, 30*time.Second, "a revision is old enough", func() error {
		if _, run := byHand(t, "plan", "compact", "--config.file="+config); run.Outcome != "planned" {
			return errors.New(run.Reason)
		}
		return nil
	})
	s.Fire("alertname", "EtcdHistory")
	s.until(20*time.Second, "the compaction is under way", func(r Run) bool { return len(r.Steps) > 0 })
	client, err := l.Client()
	must(t, err)
	await(t, 20*time.Second, "etcd has compacted", func() error {
		if _, err := client.Get(patient(t), "key", clientv3.WithRev(2)); !errors.Is(err, rpctypes.ErrCompacted) {
			return fmt.Errorf("an old revision can be read, or not told: %w", err)
		}
		return nil
	})
	s.Kill() // while it waits for the members' sizes to fall
	for i := range 50 {
		put(t, l, "key", fmt.Sprint("later", i))
	}

	s = serve(t, config, "--mode=enforce", open)
	cut := s.first()
	if len(cut.Steps) != 1 || cut.Steps[0].Error != "interrupted" {
		t.Fatalf("it was killed too late: %+v", cut)
	}
	s.watched("compact")
	s.again(20*time.Second, "the cool-down counts from the run that was cut short", refused("cooldown"))
	if _, err := client.Get(patient(t), "key", clientv3.WithRev(cut.Steps[0].Revision)); err != nil {
		t.Errorf("compacted further than to revision %d: %v", cut.Steps[0].Revision, err)
	}
}

// TestKilledInADisarm: the alarm is off and nobody heard so. The next process finds
// nothing left to do, and what it was told once counts as one run.
func TestKilledInADisarm(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain, QuotaBytes: 16 << 20})
	must(t, l.FillToNoSpace(patient(t)))
	client, err := l.Client()
	must(t, err)
	gone, err := client.Delete(patient(t), "/lab/fill/", clientv3.WithPrefix())
	must(t, err)
	_, err = client.Compact(patient(t), gone.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	_, err = client.Defragment(patient(t), l.Endpoints()[0])
	must(t, err)
	h := startHoldup(t, l.Member(0), aDisarm)
	config := h.in(t, writeConfig(t, l, `  policies:
    - {name: alarm, matchers: ['alertname="EtcdAlarmNoSpace"'], clusters: [lab], action: disarm, `+small+eager+`}
`))
	s := serve(t, config, "--mode=enforce", open)
	s.watched("disarm")
	s.Fire("alertname", "EtcdAlarmNoSpace")
	h.await(t)
	s.Kill()

	s = serve(t, config, "--mode=enforce", open)
	if cut := s.first(); len(cut.Steps) != 1 || cut.Steps[0].Action != "disarm" || cut.Steps[0].Error != "interrupted" {
		t.Errorf("it was killed too late: %+v", cut)
	}
	s.watched("disarm")
	s.again(20*time.Second, "nothing is left to do", ended("nothing_to_do"))
	if len(h.begun) > 0 {
		t.Error("the alarm was taken off twice")
	}
	if left := s.metric(`etcdops_remediation_budget_remaining{cluster="lab",policy="alarm"}`); left != 49 {
		t.Errorf("%v of 50 runs are left", left)
	}
	put(t, l, "after", "v")
}

// TestKilledWhileItWaits: recover_space has deleted, and is killed while the last
// delete is too young to be compacted. The next process waits for the rest of the time
// and finishes.
func TestKilledWhileItWaits(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain, QuotaBytes: 16 << 20})
	put(t, l, "/registry/pods/a/b", "v")
	fill(t, l)
	config := writeConfig(t, l, `  policies:
    - {name: full, matchers: ['alertname="EtcdAlarmNoSpace"'], clusters: [lab], action: recover_space, `+small+eager+`, require_snapshot: "off", compact: {keep: 5s}, defrag: {settle: 1s}, prune_events: {prefix: /registry/events/, keys_per_second: 5000}}
`)
	s := serve(t, config, "--mode=enforce", open)
	s.watched("recover_space")
	await(t, 30*time.Second, "a revision is old enough", func() error {
		if _, run := byHand(t, "plan", "recover_space", "--config.file="+config); run.Outcome != "planned" {
			return errors.New(run.Reason)
		}
		return nil
	})
	s.Fire("alertname", "EtcdAlarmNoSpace")
	waits := s.until(60*time.Second, "it waits", func(r Run) bool {
		return r.Outcome == "" && len(r.Steps) > 0 && r.Steps[len(r.Steps)-1].Action == "wait"
	})
	s.Kill()
	if n := len(done(waits, "prune_events")); n == 0 || keysBelow(t, l, events) > 0 {
		t.Fatalf("nothing was pruned: %+v", waits)
	}

	s = serve(t, config, "--mode=enforce", open)
	s.first()
	s.watched("recover_space")
	run := s.again(90*time.Second, "the cluster is recovered", ended("succeeded"))
	if len(done(run, "prune_events")) > 0 || len(done(run, "disarm")) == 0 {
		t.Errorf("steps of the second run: %+v", run.Steps)
	}
	put(t, l, "/registry/pods/a/c", "v")
	if n := keysBelow(t, l, "/registry/"); n != 2 {
		t.Errorf("%d keys are left", n)
	}
}

// fill writes old events until etcd refuses for want of space, and waits for the alarm.
func fill(t *testing.T, l *lab.Lab) {
	t.Helper()
	reason := strings.Repeat("BackOff", 3000)
	client, err := l.Client()
	must(t, err)
	for i := 0; ; i++ {
		namespace, name := fmt.Sprintf("team-%02d", i%7), fmt.Sprintf("full-%07d", i)
		_, err := client.Put(patient(t), events+namespace+"/"+name, oldEvent(t, namespace, name, reason))
		if errors.Is(err, rpctypes.ErrNoSpace) {
			break
		}
		must(t, err)
	}
	await(t, 20*time.Second, "the alarm is raised", func() error {
		status, err := client.Status(patient(t), l.Endpoints()[0])
		must(t, err)
		if len(status.Errors) == 0 {
			return errors.New("no alarm")
		}
		return nil
	})
}
