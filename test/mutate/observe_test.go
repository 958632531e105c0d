// SPDX-License-Identifier: Apache-2.0

package mutate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/test/lab"
)

// Every version tells what an observation needs.
func TestObserveVersions(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.4.23", "3.5.35", "3.6.16", "3.7.3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			l, _ := start(t, lab.Options{Members: 1, Version: version, QuotaBytes: 32 << 20})
			alive, _ := connect(t, l, nil)
			begun := time.Now()
			o := alive.Observe(t.Context(), false)
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("it took %s", took)
			}
			if len(o.Members) != 1 || o.ListErr != nil || o.AlarmsErr != nil || len(o.Alarms)+len(o.Disagreements) > 0 || o.ClusterID == 0 {
				t.Fatalf("%+v", o)
			}
			m := o.Members[0]
			if err := errors.Join(m.StatusErr, m.ReadErr, m.VitalsErr, m.SkewErr); err != nil {
				t.Error(err)
			}
			if m.URL != l.Endpoints()[0] || m.Status.Version != version || m.Quota != 32<<20 || m.ReadTook <= 0 {
				t.Errorf("%+v", m)
			}
			if v := m.Vitals; time.Since(v.Started) > time.Minute || time.Until(v.Started) > time.Second || v.DefragInflight || v.Resident < 1e6 {
				t.Errorf("%+v", v)
			}
			if m.SkewMin > 0 || m.SkewMax < 0 || m.SkewMax-m.SkewMin > 3*time.Second {
				t.Errorf("our own clock differs by %s to %s", m.SkewMin, m.SkewMax)
			}
		})
	}
}

// One that hangs costs itself, and a learner is not asked what it cannot answer.
func TestObserve(t *testing.T) {
	t.Parallel()
	l, _ := start(t, lab.Options{Members: 3, Version: version})
	if _, err := l.AddLearner(t.Context()); err != nil {
		t.Fatal(err)
	}
	// One configured endpoint: the rest is discovered.
	alive, _ := connect(t, l, func(cfg *etcd.Config) { cfg.Endpoints, cfg.Discover = cfg.Endpoints[:1], true })
	for range 2 { // twice: nothing is kept from the first that would be wrong in the second
		o := alive.Observe(t.Context(), true)
		if len(o.Members) != 4 || len(o.Voters()) != 3 || len(o.Disagreements) > 0 || o.ListErr != nil || o.AlarmsErr != nil {
			t.Fatalf("%+v", o)
		}
		for _, m := range o.Members {
			if err := errors.Join(m.StatusErr, m.ReadErr, m.VitalsErr, m.SkewErr); err != nil || !m.Answers() {
				t.Errorf("%s: %v", m.Label(), err)
			}
		}
		if _, ok := o.Leader(); !ok {
			t.Error("nobody leads")
		}
	}
	leader, err := l.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	quiet := l.Member((leader + 1) % 3)
	if err := quiet.Pause(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	o := alive.Observe(t.Context(), true)
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("a paused member holds the observation up for %s", took)
	}
	for _, m := range o.Members {
		switch err := errors.Join(m.StatusErr, m.ReadErr, m.VitalsErr, m.SkewErr); {
		case m.ID == quiet.ID():
			if m.Answers() || m.ReadErr == nil || m.VitalsErr == nil || m.SkewErr == nil || m.URL == "" {
				t.Errorf("the paused one: %+v", m)
			}
		case err != nil:
			t.Errorf("%s: %v", m.Label(), err)
		}
	}
	if o.ListErr != nil || o.AlarmsErr != nil || len(o.Disagreements) > 0 {
		t.Errorf("%+v", o)
	}
	if err := quiet.Resume(); err != nil {
		t.Fatal(err)
	}
	await(t, "the member is back", 20*time.Second, func() bool {
		m, _ := alive.Observe(t.Context(), false).Member(quiet.ID())
		return m.Answers() && m.ReadErr == nil
	})
}

func TestMoveLeader(t *testing.T) {
	t.Parallel()
	l, _ := start(t, lab.Options{Members: 3, TLS: lab.Plain, Version: version})
	alive, _ := connect(t, l, nil)
	ctx := t.Context()
	o := alive.Observe(ctx, false)
	leader, ok := o.Leader()
	if !ok {
		t.Fatalf("%+v", o)
	}
	follower, _ := o.Reader()
	if err := alive.MoveLeader(ctx, follower.URL, leader.ID); !errors.Is(err, etcd.ErrNotLeader) {
		t.Errorf("a follower hands over: error %v", err)
	}
	if err := alive.MoveLeader(ctx, leader.URL, 12345); err == nil {
		t.Error("a stranger leads")
	}
	if err := alive.MoveLeader(ctx, leader.URL, follower.ID); err != nil {
		t.Fatal(err)
	}
	await(t, "the follower leads", 5*time.Second, func() bool {
		now, ok := alive.Observe(ctx, false).Leader()
		return ok && now.ID == follower.ID
	})
}

// With etcd's auth on, everything works for root, and no error names the password.
func TestAuth(t *testing.T) {
	t.Parallel()
	l, _ := start(t, lab.Options{Members: 1, TLS: lab.ServerTLS, Version: version})
	if err := l.EnableAuth(t.Context(), "open sesame"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	signedIn := func(cfg *etcd.Config) {
		cfg.CertFile, cfg.KeyFile = "", ""
		cfg.Username, cfg.PasswordFile = "root", file
	}
	alive, _ := connect(t, l, signedIn)
	client, err := l.Client()
	if err != nil {
		t.Fatal(err)
	}
	ctx, url := t.Context(), l.Endpoints()[0]
	listed := put(t, client, names("/registry/events/", 5)...)
	o := alive.Observe(ctx, true)
	if len(o.Members) != 1 || o.AlarmsErr != nil || !o.Members[0].Answers() || o.Members[0].ReadErr != nil {
		t.Fatalf("%+v", o)
	}
	deleted, revision, err := alive.Delete(ctx, url, listed, false)
	if err != nil || !deleted[0] {
		t.Errorf("deleted %v, error %v", deleted, err)
	}
	checks := map[string]error{
		"write":      alive.TryWrite(ctx, url),
		"compact":    alive.Compact(ctx, url, revision),
		"defragment": alive.Defragment(ctx, url),
		"disarm":     alive.Disarm(ctx, url, o.Members[0].ID),
		"mirror":     alive.PutMirror(ctx, electionPrefix, []byte("x")),
	}
	for name, err := range checks {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	snapshot(t, alive, url)
	election, err := alive.Elect(electionPrefix, "a", ttl, nil)
	if err != nil || election.Holds() {
		t.Errorf("election: error %v", err)
	}
	// A token that the member does not know any more is renewed, for a change too.
	if err := l.Member(0).Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if err := alive.TryWrite(ctx, url); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	// Without a user nothing is changed.
	nobody, _ := connect(t, l, func(cfg *etcd.Config) { cfg.CertFile, cfg.KeyFile = "", "" })
	for name, err := range map[string]error{
		"write": nobody.TryWrite(ctx, url), "compact": nobody.Compact(ctx, url, revision+1), "defragment": nobody.Defragment(ctx, url),
	} {
		if etcd.Classify(err) != etcd.ReasonAuth || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s by nobody: %v", name, err)
		}
	}
}
