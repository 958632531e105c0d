// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes/kubernetestest"
	"github.com/etcdops/etcdops/test/lab"
)

// putEvents writes some events, and revisions after them. Of opaque ones only the
// revision clock can tell the age.
func putEvents(t testing.TB, l *lab.Lab, opaque bool) {
	t.Helper()
	client, err := l.Client()
	must(t, err)
	for i := range 20 {
		value, err := kubernetestest.Event(kubernetes.Event{Namespace: "default", Name: fmt.Sprintf("web.%d", i), Reason: "BackOff", Component: "kubelet", Created: time.Now().Add(-time.Hour)})
		must(t, err)
		if opaque {
			value = []byte("k8s:enc:aescbc:v1:key1:secret")
		}
		_, err = client.Put(patient(t), fmt.Sprintf("/registry/events/default/web.%d", i), string(value))
		must(t, err)
	}
	for range 20 {
		_, err = client.Put(patient(t), "after", "1")
		must(t, err)
	}
}

// testSnapshot: nothing is deleted without a sound and young snapshot.
func testSnapshot(t *testing.T, l *lab.Lab) {
	store := t.TempDir()
	config := writeConfig(t, l, `  policies:
    - {name: flood, action: prune_events, `+lone+`, require_snapshot: 24h, prune_events: {prefix: /registry/events/, older_than: 1s}}
    - {name: save, action: snapshot, `+lone+`, snapshot: {store: local}}
`)
	edit(t, config, "    data_dirs:\n", "    backups:\n      - {name: local, path: "+store+", pattern: '*.db', interval: 6h}\n    data_dirs:\n")
	putEvents(t, l, false)
	refuses(t, l, config, want{by: "snapshot", saying: "no sound snapshot younger than 24h0m0s: local: none is known to be sound"}, "prune_events")
	planRefuses(t, config, want{by: "snapshot", saying: "no sound snapshot"}, "prune_events")

	status, run := byHand(t, "run", "snapshot", "--yes", "--config.file="+config)
	files, err := filepath.Glob(filepath.Join(store, "*.db"))
	must(t, err)
	if status != 0 || len(files) != 1 {
		t.Fatalf("exit %d, %s (%s), files %v", status, run.Outcome, run.Reason, files)
	}
	sound, err := os.ReadFile(files[0])
	must(t, err)
	old := time.Now().Add(-25 * time.Hour)
	for _, test := range []struct {
		name, saying string
		spoil        func()
	}{
		{"too old", "is 25h0m", func() { must(t, os.Chtimes(files[0], old, old)) }},
		{"damaged", "none is known to be sound (", func() {
			bad := bytes.Clone(sound)
			bad[len(bad)/2] ^= 1
			must(t, os.WriteFile(files[0], bad, 0o600))
		}},
		{"gone", "none is known to be sound", func() { must(t, os.Remove(files[0])) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.spoil()
			refuses(t, l, config, want{by: "snapshot", saying: test.saying}, "prune_events")
		})
	}
	must(t, os.WriteFile(files[0], sound, 0o600))
	status, run = byHand(t, "run", "prune_events", "--yes", "--config.file="+config)
	if status != 0 || run.Outcome != "succeeded" || len(run.Steps) == 0 || run.Steps[0].Keys != 20 {
		t.Errorf("with a sound snapshot: exit %d, %+v", status, run)
	}
}

// TestGuardRestored: a cluster whose data were put back to an older state has new
// revisions of old numbers. What was known of their age is forgotten: nothing is
// compacted or deleted until it is known again.
func TestGuardRestored(t *testing.T) {
	t.Parallel()
	l := guardLab(t, lab.Options{})
	config := writeConfig(t, l, `  policies:
    - {name: history, action: compact, `+quick+`, compact: {keep: 9s}}
    - {name: flood, action: prune_events, `+quick+`, require_snapshot: "off", prune_events: {prefix: /registry/events/, older_than: 9s, accept_opaque_values: true}}
`)
	client, err := l.Client()
	must(t, err)
	putEvents(t, l, true)
	snapshot := filepath.Join(t.TempDir(), "snapshot.db")
	from, err := client.Snapshot(patient(t))
	must(t, err)
	data, err := io.ReadAll(from)
	must(t, err, os.WriteFile(snapshot, data, 0o600))
	before, err := client.MemberList(patient(t))
	must(t, err)
	putEvents(t, l, true)

	s := serve(t, config)
	for _, action := range []string{"compact", "prune_events"} {
		await(t, time.Minute, "a revision is old enough", func() error {
			if status, run := byHand(t, "plan", action, "--config.file="+config); status != 0 || run.Outcome != "planned" {
				return fmt.Errorf("plan %s: exit %d, %s (%s)", action, status, run.Outcome, run.Reason)
			}
			return nil
		})
	}
	must(t, l.Restore(patient(t), snapshot))
	after, err := client.MemberList(patient(t))
	must(t, err)
	if before.Header.ClusterId != after.Header.ClusterId {
		t.Fatalf("the cluster was %x and is %x", before.Header.ClusterId, after.Header.ClusterId)
	}
	await(t, 30*time.Second, "the history is forgotten", func() error {
		was := look(t, l)
		status, run := byHand(t, "run", "compact", "--yes", "--wait=0s", "--config.file="+config)
		if status == 0 || look(t, l) != was {
			t.Fatalf("run compact after the restore: exit %d, %+v", status, run)
		}
		if err := (want{by: "keep", saying: "has been watched for"}).check(status, run); err != nil {
			return err // the watch may have seen it break down, and not yet come back
		}
		// A prune goes on, and finds nothing that it knows to be old.
		status, run = byHand(t, "run", "prune_events", "--yes", "--wait=0s", "--config.file="+config)
		if status != 0 || run.Outcome != "nothing_to_do" || look(t, l) != was {
			t.Fatalf("run prune_events after the restore: exit %d, %+v", status, run)
		}
		return nil
	})
	for _, part := range []string{"the samples of the revision clock are dropped", "the cluster was restored"} {
		if !strings.Contains(s.Log(), part) {
			t.Errorf("the log does not say %q", part)
		}
	}
}
