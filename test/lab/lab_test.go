// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/etcdops/etcdops/test/lab"
)

// patience bounds everything that a test waits for, a first build included.
const patience = 5 * time.Minute

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, options lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.Start(patient(t), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// must ends the test on any error.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// outsider is a client as a careful user would make it: it verifies.
func outsider(t *testing.T, l *lab.Lab, change func(*clientv3.Config)) *clientv3.Client {
	t.Helper()
	secure, err := l.TLSConfig()
	must(t, err)
	config := clientv3.Config{Endpoints: l.Endpoints(), TLS: secure, Logger: zap.NewNop(), DialTimeout: 10 * time.Second}
	if change != nil {
		change(&config)
	}
	client, err := clientv3.New(config)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

func TestEmbeddedClusterOverMTLS(t *testing.T) {
	t.Parallel()
	began := time.Now()
	l := start(t, lab.Options{})
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("ready after %s, want seconds", took)
	}
	if n := len(l.Endpoints()); n != 3 {
		t.Errorf("%d endpoints, want 3", n)
	}
	client := outsider(t, l, nil)
	members, err := client.MemberList(patient(t))
	must(t, err)
	for _, m := range members.Members {
		if own := memberByName(l, m.Name); own == nil || own.ID() != m.ID {
			t.Errorf("member %s has id %x in the cluster, %v in the lab", m.Name, m.ID, own)
		}
	}
	if err := l.Member(0).Pause(); !errors.Is(err, lab.ErrEmbedded) {
		t.Errorf("pausing an embedded member: %v", err)
	}
}

func memberByName(l *lab.Lab, name string) *lab.Member {
	for _, m := range l.Members() {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

func TestClientWithoutCertificateIsRefused(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Members: 1})
	client := outsider(t, l, func(c *clientv3.Config) { c.TLS.Certificates = nil })
	ctx, cancel := context.WithTimeout(patient(t), time.Second)
	defer cancel()
	if _, err := client.Get(ctx, "health"); err == nil {
		t.Error("etcd answered a client without a certificate")
	}
}

func TestEveryVersionInEveryMode(t *testing.T) {
	t.Parallel()
	modes := map[string]lab.TLSMode{"mTLS": lab.MTLS, "server TLS": lab.ServerTLS, "plain": lab.Plain}
	for _, version := range []string{lab.Embedded, "3.4.23", "3.5.35", "3.6.16", "3.7.3"} {
		for name, mode := range modes {
			t.Run(strings.TrimSpace(version+" "+name), func(t *testing.T) {
				l := start(t, lab.Options{Version: version, TLS: mode, Members: 1})
				_, err := outsider(t, l, nil).Get(patient(t), "health")
				must(t, err)
			})
		}
	}
}

func TestEmbeddedMemberRestarts(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	ctx := patient(t)
	leader, err := l.Leader(ctx)
	must(t, err)
	must(t, l.Member(leader).Kill(), l.WaitReady(ctx))
	next, err := l.Leader(ctx)
	must(t, err)
	if next == leader {
		t.Errorf("member %d still leads after its end", leader)
	}
	must(t, l.Member(leader).Restart(ctx), l.WaitReady(ctx))
	must(t, l.Member(leader).Restart(ctx), l.WaitReady(ctx)) // gracefully, too
}

func TestPauseKillAndRestart(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Version: "3.6.16"})
	ctx := patient(t)
	m := l.Member(2)
	client := outsider(t, l, func(c *clientv3.Config) { c.Endpoints = []string{m.ClientURL()} })
	_, err := client.Get(ctx, "health")
	must(t, err)

	must(t, m.Pause())
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := client.Status(short, m.ClientURL()); err == nil {
		t.Error("a paused member answers")
	}
	must(t, l.WaitReady(ctx)) // the other two
	must(t, m.Resume(), l.WaitReady(ctx))
	_, err = client.Status(ctx, m.ClientURL())
	must(t, err)

	must(t, m.Pause(), m.Kill())
	if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", hostOf(t, m.ClientURL())); err == nil {
		conn.Close()
		t.Error("a killed member accepts connections")
	}
	must(t, l.WaitReady(ctx), m.Restart(ctx), l.WaitReady(ctx))
	must(t, m.Stop(ctx), m.Stop(ctx), m.Restart(ctx), l.WaitReady(ctx))
}

func TestWaitReadyWithoutQuorum(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Version: "3.7.3"})
	must(t, l.Member(0).Kill(), l.Member(1).Kill())
	short, cancel := context.WithTimeout(patient(t), time.Second)
	defer cancel()
	if err := l.WaitReady(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one of three: %v", err)
	}
	ctx := patient(t)
	must(t, l.Member(0).Restart(ctx), l.Member(1).Restart(ctx), l.WaitReady(ctx))
}

func hostOf(t *testing.T, text string) string {
	t.Helper()
	parsed, err := url.Parse(text)
	must(t, err)
	return parsed.Host
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Version: "3.5.35"})
	must(t, l.Member(0).Pause(), l.Member(1).Kill())
	var pids []int
	for _, m := range l.Members() {
		pids = append(pids, m.PID())
	}
	dir := l.Dir()
	must(t, l.Close(), l.Close())
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there (%v)", pid, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory %s is still there (%v)", dir, err)
	}
}

func TestGivenDirectoryStays(t *testing.T) {
	t.Parallel()
	options := lab.Options{Members: 1, Dir: t.TempDir()}
	l := start(t, options)
	must(t, l.Close())
	if _, err := os.Stat(l.Member(0).DataDir()); err != nil {
		t.Error(err)
	}
	if again, err := lab.Start(patient(t), options); err == nil {
		again.Close()
		t.Error("a second lab started on the first one's data")
	}
}

func TestStartErrorTellsTheMembersLastWords(t *testing.T) {
	t.Parallel()
	_, err := lab.Start(patient(t), lab.Options{Version: "3.6.16", Members: 1, Args: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("error %v does not name the flag", err)
	}
}

func TestTakenPortFails(t *testing.T) {
	t.Parallel()
	for _, version := range []string{lab.Embedded, "3.7.3"} {
		held, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		port := held.Addr().(*net.TCPAddr).Port
		_, err = lab.Start(patient(t), lab.Options{Version: version, Members: 1, BasePort: port})
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("version %q on a taken port: %v", version, err)
		}
		held.Close()
	}
}

func TestUnusableOptions(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]lab.Options{
		"flags of embedded members": {Args: []string{"--pre-vote"}},
		"clock of embedded members": {Member: map[int]lab.MemberOptions{0: {ClockSkew: time.Second}}},
		"certificate without TLS":   {TLS: lab.Plain, Member: map[int]lab.MemberOptions{0: {ServerCert: &lab.ServerCert{}}}},
		"hasty election":            {Heartbeat: time.Second, Election: time.Second},
		"unknown version":           {Version: "newest"},
	} {
		if l, err := lab.Start(patient(t), options); err == nil {
			l.Close()
			t.Errorf("%s: started", name)
		}
	}
}
