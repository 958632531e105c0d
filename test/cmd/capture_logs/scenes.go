// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

// scene is a lab, and what happens to it part by part.
type scene struct {
	name    string
	options lab.Options
	skew    time.Duration                 // of the third member
	flags   func(version string) []string // of every member
	parts   []part
}

// part is one kind of trouble; file names what the log says meanwhile.
type part struct {
	file string
	all  bool // information too, not only warnings and what raft says
	act  func(context.Context, *recorder) error
}

const quota = 16 << 20 // bytes; small, so that the alarm comes soon

var scenes = []scene{
	{name: "life", parts: []part{
		{file: "healthy", all: true, act: live},
		{file: "hung_up", act: hangUp},
		{file: "rejected_connection", act: reject},
		{file: "slow_apply", act: readTooMuch},
		{file: "lost_leader", act: loseQuorum},
	}},
	{name: "space", options: lab.Options{QuotaBytes: quota, TLS: lab.Plain}, parts: []part{
		{file: "nospace", act: fill},
		{file: "nospace_over", act: func(ctx context.Context, r *recorder) error { return r.lab.RecoverSpace(ctx) }},
	}},
	{name: "data", options: lab.Options{TLS: lab.Plain}, flags: corruptCheck, parts: []part{{file: "corrupt", act: alterData}}},
	{name: "disk", options: lab.Options{Fsync: true, TLS: lab.Plain, Election: 5 * time.Second}, parts: []part{{file: "slow_disk", act: slowDisk}}},
	{name: "clock", skew: -5 * time.Second, options: lab.Options{TLS: lab.Plain}, parts: []part{{file: "clock_drift", act: drift}}},
}

func sceneNames() (names []string) {
	for _, s := range scenes {
		names = append(names, s.name)
	}
	return names
}

// live does what a healthy cluster goes through: writes, a compaction, a
// defragmentation, a snapshot, a rolling restart, the leader last, and an end.
func live(ctx context.Context, r *recorder) error {
	client, err := r.lab.Client()
	if err != nil {
		return err
	}
	if err := r.lab.Load(ctx, lab.LoadOptions{Keys: 500, Events: 500}); err != nil {
		return err
	}
	now, err := client.Get(ctx, "health")
	if err != nil {
		return err
	}
	if _, err := client.Compact(ctx, now.Header.Revision-5, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	leader, err := r.lab.Leader(ctx)
	if err != nil {
		return err
	}
	follower := r.lab.Member((leader + 1) % 3)
	if _, err := client.Defragment(ctx, follower.ClientURL()); err != nil {
		return err
	}
	snapshot, err := client.Snapshot(ctx)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, snapshot)
	if err := errors.Join(err, snapshot.Close()); err != nil {
		return err
	}
	for i := range 3 {
		if err := r.lab.Member((leader + 1 + i) % 3).Restart(ctx); err != nil {
			return err
		}
		if err := r.lab.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hangUp begins a TLS handshake and hangs up, as a scanner does, or a client that
// has no more patience.
func hangUp(ctx context.Context, r *recorder) error {
	if err := speak(ctx, r.lab.Member(0).ClientURL(), "\x16\x03\x01\x02\x00\x01"); err != nil {
		return err
	}
	return r.await(ctx, "rejected connection")
}

// speak opens a connection, says something, and has no more to say.
func speak(ctx context.Context, at, words string) error {
	to, err := url.Parse(at)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.Host)
	if err != nil {
		return err
	}
	_, err = io.WriteString(conn, words)
	err = errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	_, _ = io.ReadAll(conn) // until etcd hangs up
	return errors.Join(err, conn.Close())
}

// reject speaks plain HTTP to the TLS port of a client, and of a peer.
func reject(ctx context.Context, r *recorder) error {
	for _, at := range []string{r.lab.Member(0).ClientURL(), r.lab.Member(0).PeerURL()} {
		if err := speak(ctx, at, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			return err
		}
	}
	return r.await(ctx, "rejected connection")
}

// readTooMuch asks for so many values at once that it takes more than half a
// second, and for more where it did not.
func readTooMuch(ctx context.Context, r *recorder) error {
	client, err := r.lab.Client()
	if err != nil {
		return err
	}
	for keys := 50_000; ; keys *= 2 {
		if err := r.lab.Load(ctx, lab.LoadOptions{Keys: keys, ValueBytes: 500}); err != nil {
			return err
		}
		if _, err := client.Get(ctx, "/registry/", clientv3.WithPrefix()); err != nil {
			return err
		}
		if found, err := r.says(`took too long(","took":"| \()([5-9]\d\d(\.\d+)?ms|[1-9]\d*(\.\d+)?s)`); found || err != nil {
			return err
		}
	}
}

// loseQuorum stops two of three, the leader among them.
func loseQuorum(ctx context.Context, r *recorder) error {
	leader, err := r.lab.Leader(ctx)
	if err != nil {
		return err
	}
	for _, i := range []int{leader, (leader + 1) % 3} {
		if err := r.lab.Member(i).Kill(); err != nil {
			return err
		}
	}
	if err := r.await(ctx, "lost leader"); err != nil {
		return err
	}
	return r.await(ctx, "is starting a new election")
}

// fill fills the database up. A client's log has the words that it was refused with.
func fill(ctx context.Context, r *recorder) error {
	if err := r.lab.FillToNoSpace(ctx); err != nil {
		return err
	}
	if err := askHealth(ctx, r.lab); err != nil {
		return err
	}
	etcdctl, err := etcdbin.Path(ctx, r.version, etcdbin.Etcdctl)
	if err != nil {
		return err
	}
	put := exec.CommandContext(ctx, etcdctl, "--endpoints="+r.lab.Member(0).ClientURL(), "put", "a", "b")
	put.Env = append(put.Environ(), "ETCDCTL_API=3")
	said, err := put.CombinedOutput()
	if err == nil {
		return errors.New("a put went through")
	}
	r.add("client", string(said))
	return r.await(ctx, "due to an alarm|alarm NOSPACE raised|/health error due to")
}

// corruptCheck has the leader compare the members' data every few seconds.
func corruptCheck(version string) []string {
	if strings.HasPrefix(version, "3.4.") || strings.HasPrefix(version, "3.5.") {
		return []string{"--experimental-corrupt-check-time=3s"}
	}
	return []string{"--corrupt-check-time=3s"}
}

// alterData changes a value on the disk of a follower, behind etcd's back.
func alterData(ctx context.Context, r *recorder) error {
	const key = "/registry/pods/default/altered"
	client, err := r.lab.Client()
	if err != nil {
		return err
	}
	if _, err := client.Put(ctx, key, "sound"); err != nil {
		return err
	}
	leader, err := r.lab.Leader(ctx)
	if err != nil {
		return err
	}
	follower := r.lab.Member((leader + 1) % 3)
	if err := follower.Stop(ctx); err != nil {
		return err
	}
	if err := follower.AlterValue(key); err != nil {
		return err
	}
	if err := follower.Restart(ctx); err != nil {
		return err
	}
	return r.await(ctx, "CORRUPT", func() error { return askHealth(ctx, r.lab) })
}

// askHealth asks as a probe does: from 3.6 on, nothing but a failed health check
// tells of an alarm in the log.
func askHealth(ctx context.Context, l *lab.Lab) error {
	for _, m := range l.Members() {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.ClientURL()+"/health", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
	}
	return nil
}

// slowDisk holds every sync of the leader up for more than a second.
func slowDisk(ctx context.Context, r *recorder) error {
	leader, err := r.lab.Leader(ctx)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	strace := exec.CommandContext(ctx, "strace", "-qq", "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync",
		"-e", "inject=fdatasync,fsync:delay_enter=1200000", "-p", strconv.Itoa(r.lab.Member(leader).PID()))
	var said strings.Builder
	strace.Stderr = &said
	if err := strace.Start(); err != nil {
		return err
	}
	defer func() { stop(); _ = strace.Wait() }()
	client, err := r.lab.Client()
	if err != nil {
		return err
	}
	go func() { // the disk has work until the end
		for i := 0; ctx.Err() == nil; i++ {
			_, _ = client.Put(ctx, fmt.Sprintf("/registry/pods/default/%d", i%10), "v")
		}
	}()
	for _, words := range []string{"slow fdatasync|sync duration of", "heartbeat on time"} {
		if err := r.await(ctx, words); err != nil {
			return fmt.Errorf("%w (strace: %s)", err, said.String())
		}
	}
	return nil
}

// drift waits for the prober of a member of this version, which looks every half minute
// and minds only clocks that are behind its own.
func drift(ctx context.Context, r *recorder) error {
	return r.await(ctx, `(?m)^m[01]\t.*(high clock drift|clock difference)`)
}
