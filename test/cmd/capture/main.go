// SPDX-License-Identifier: Apache-2.0

// Command capture records what real etcd of each version answers, healthy and
// otherwise, into collector/testdata, where the collectors' tests replay it:
//
//	go -C test run ./cmd/capture ../collector/testdata
//	go test ./collector -update
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/etcdbin"
	"github.com/etcdops/etcdops/test/lab"
)

// The states that are recorded. A file is named VERSION.json for a healthy
// cluster and VERSION-STATE.json for any other.
const (
	healthy        = "healthy"
	compacted      = "compacted"
	learner        = "learner"
	noQuorum       = "noquorum"
	nospace        = "nospace"
	unstartedVoter = "unstarted"
	skewed         = "skewed"
	settings       = "settings"
)

// recorded says which collectors have a file of which state.
var recorded = map[string][]string{
	healthy:        {"status", "health", "clock", "members", "alarms", "compaction", "tls", "flags"},
	compacted:      {"compaction"},
	learner:        {"status", "health", "members"},
	noQuorum:       {"status", "health", "members", "alarms"},
	nospace:        {"alarms"},
	unstartedVoter: {"members"},
	skewed:         {"clock"},
	settings:       {"flags"},
}

const (
	skewVersion = "3.6.16"
	quota       = 16 << 20 // bytes; small, so that the alarm comes soon
	timeout     = 2 * time.Minute
)

func main() {
	app := kingpin.New("capture", "Records the answers of real etcd for the collectors' tests.")
	versions := app.Flag("version", "etcd release; repeatable.").Default(etcdbin.Versions()...).Strings()
	dir := app.Arg("directory", "collector/testdata.").Required().ExistingDir()
	if _, err := app.Parse(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := capture(ctx, *dir, *versions)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

func capture(ctx context.Context, dir string, versions []string) error {
	for _, version := range versions {
		tours := []func(context.Context, string, string) error{growth, trouble, sayings}
		if version == skewVersion {
			tours = append(tours, wrongClocks)
		}
		for _, tour := range tours {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			err := tour(ctx, dir, version)
			cancel()
			if err != nil {
				return fmt.Errorf("etcd %s: %w", version, err)
			}
		}
	}
	return nil
}

// save records a state and writes the files of the collectors that want it.
func save(ctx context.Context, l *lab.Lab, dir, version, state string) error {
	f, err := record(ctx, l, version, state)
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return fmt.Errorf("record %s: %w", state, err)
	}
	for _, collector := range recorded[state] {
		if err := parts[collector](f).write(dir, collector); err != nil {
			return err
		}
	}
	fmt.Printf("%-8s %s\n", version, state)
	return nil
}

// growth takes one cluster from healthy over a compaction and a learner to the
// loss of its quorum.
func growth(ctx context.Context, dir, version string) (err error) {
	l, err := lab.Start(ctx, lab.Options{Version: version})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := put(ctx, l, 40); err != nil {
		return err
	}
	if err := save(ctx, l, dir, version, healthy); err != nil {
		return err
	}
	client, err := l.Client()
	if err != nil {
		return err
	}
	if _, err := client.Compact(ctx, 23, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	if err := put(ctx, l, 5); err != nil {
		return err
	}
	if err := save(ctx, l, dir, version, compacted); err != nil {
		return err
	}
	if _, err := l.AddLearner(ctx); err != nil {
		return err
	}
	if err := save(ctx, l, dir, version, learner); err != nil {
		return err
	}
	for _, m := range l.Members()[1:] {
		if err := m.Kill(); err != nil {
			return err
		}
	}
	if err := awaitNoLeader(ctx, l, l.Member(0)); err != nil {
		return err
	}
	return save(ctx, l, dir, version, noQuorum)
}

// trouble fills a cluster up, frees it again and gives it an unstarted voter.
func trouble(ctx context.Context, dir, version string) (err error) {
	l, err := lab.Start(ctx, lab.Options{Version: version, QuotaBytes: quota})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.FillToNoSpace(ctx); err != nil {
		return err
	}
	if err := save(ctx, l, dir, version, nospace); err != nil {
		return err
	}
	if err := l.RecoverSpace(ctx); err != nil {
		return err
	}
	if _, _, err := l.AddUnstarted(ctx); err != nil {
		return err
	}
	return save(ctx, l, dir, version, unstartedVoter)
}

// sayings records members whose flags are the same settings in other words.
func sayings(ctx context.Context, dir, version string) (err error) {
	l, err := lab.Start(ctx, lab.Options{
		Version: version, QuotaBytes: quota, Args: []string{"--snapshot-count=5000", "-client-cert-auth"},
		Member: map[int]lab.MemberOptions{
			0: {Args: []string{"--auto-compaction-mode=periodic", "--auto-compaction-retention=5m"}},
			1: {Args: []string{"--auto-compaction-mode", "periodic", "--auto-compaction-retention", "300s"}},
			2: {Args: []string{"-auto-compaction-retention=5m0s", "-auto-compaction-mode", "periodic", "--client-cert-auth=1"}},
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return save(ctx, l, dir, version, settings)
}

// wrongClocks records members that are ahead by seconds and behind by minutes.
func wrongClocks(ctx context.Context, dir, version string) (err error) {
	l, err := lab.Start(ctx, lab.Options{Version: version, Member: map[int]lab.MemberOptions{
		1: {ClockSkew: 2500 * time.Millisecond},
		2: {ClockSkew: -3 * time.Minute},
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return save(ctx, l, dir, version, skewed)
}

func put(ctx context.Context, l *lab.Lab, keys int) error {
	client, err := l.Client()
	if err != nil {
		return err
	}
	for i := range keys {
		if _, err := client.Put(ctx, fmt.Sprintf("/registry/pods/default/pod-%d", i%8), strings.Repeat("x", 100)); err != nil {
			return err
		}
	}
	// A serializable answer of a follower is to have seen the last of them too.
	return l.WaitReady(ctx)
}

// awaitNoLeader waits until the survivor has noticed that it is alone.
func awaitNoLeader(ctx context.Context, l *lab.Lab, survivor *lab.Member) error {
	client, err := l.Client()
	if err != nil {
		return err
	}
	for {
		status, err := client.Status(ctx, survivor.ClientURL())
		if err == nil && status.Leader == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
