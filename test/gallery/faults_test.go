// SPDX-License-Identifier: Apache-2.0

//go:build slow

package gallery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/pki"
	"github.com/etcdops/etcdops/test/stack"
)

// faults of one cluster, each mended before the next. Those that fail requests come
// last: EtcdErrorBudgetBurn remembers them.
var faults = []fault{
	{
		name: "A member is stopped",
		want: []string{"EtcdMemberDown", "EtcdNoFaultTolerance"},
		how:  func(ctx context.Context, s *stack.Stack) error { return s.Lab.Member(1).Stop(ctx) },
		mend: func(ctx context.Context, s *stack.Stack) error { return s.Lab.Member(1).Restart(ctx) },
	},
	{
		name: "A member hangs",
		want: []string{"EtcdMemberDown", "EtcdNoFaultTolerance"},
		how:  func(_ context.Context, s *stack.Stack) error { return s.Lab.Member(1).Pause() },
		mend: func(_ context.Context, s *stack.Stack) error { return s.Lab.Member(1).Resume() },
	},
	{
		name: "A member is added and never started",
		want: []string{"EtcdMemberUnstarted", "EtcdNoFaultTolerance", "EtcdEvenVoters"},
		how: func(ctx context.Context, s *stack.Stack) error {
			_, _, err := s.Lab.AddUnstarted(ctx)
			return err
		},
		mend: func(ctx context.Context, s *stack.Stack) error {
			return removeMembers(ctx, s, func(m *member) bool { return m.Name == "" })
		},
	},
	{
		name: "The newest backup is three intervals old",
		want: []string{"EtcdBackupTooOld"},
		how:  func(_ context.Context, s *stack.Stack) error { return s.AgeBackups(3 * time.Hour) },
		mend: func(ctx context.Context, s *stack.Stack) error { return s.TakeBackup(ctx) },
	},
	{
		name: "A byte of the newest backup is flipped",
		want: []string{"EtcdBackupVerifyFailed"},
		how:  flippedBackup,
		mend: func(_ context.Context, s *stack.Stack) error {
			return os.Remove(filepath.Join(s.BackupDir(), "flipped.db"))
		},
	},
	{
		name: "A flood of events",
		want: []string{"EtcdEventsFlood"},
		how:  func(ctx context.Context, s *stack.Stack) error { return s.Flood(ctx, 6000) },
		mend: func(ctx context.Context, s *stack.Stack) error { return empty(ctx, s, "/registry/events/") },
	},
	{
		name: "Nobody compacts a key space that is written to",
		want: []string{"EtcdCompactionStalled"},
		how:  overwrite,
		mend: func(ctx context.Context, s *stack.Stack) error { return empty(ctx, s, "/gallery/") },
	},
	{
		name: "A member holds other data than the rest",
		want: []string{"EtcdHashMismatch"},
		how:  alterMember, mend: replaceData,
	},
	{
		name: "The exporter is stopped",
		want: []string{"EtcdExporterDown"},
		how:  func(_ context.Context, s *stack.Stack) error { return s.StopExporter() },
		mend: func(ctx context.Context, s *stack.Stack) error { return s.StartExporter(ctx) },
	},
	{
		name: "The exporter's own certificate is one that etcd does not trust",
		want: []string{"EtcdExporterBlind"},
		how:  foreignClient,
		mend: func(_ context.Context, s *stack.Stack) error {
			return s.UseClient(s.Lab.ClientCert(), s.Lab.ClientKey())
		},
	},
	{
		name: "A member's server certificate has expired",
		want: []string{"EtcdExporterBlind", "EtcdCertificateExpiring"},
		how:  func(ctx context.Context, s *stack.Stack) error { return serverCert(ctx, s, time.Now().Add(-time.Hour)) },
		mend: func(ctx context.Context, s *stack.Stack) error { return serverCert(ctx, s, time.Time{}) },
	},
	{
		name: "A learner is left behind",
		want: []string{"EtcdLearnerStuck"},
		how: func(ctx context.Context, s *stack.Stack) error {
			_, err := s.Lab.AddLearner(ctx)
			return err
		},
		mend: func(ctx context.Context, s *stack.Stack) error {
			err := removeMembers(ctx, s, func(m *member) bool { return m.IsLearner })
			learner := s.Lab.Members()[len(s.Lab.Members())-1]
			return errors.Join(err, learner.Stop(ctx))
		},
	},
	{
		name: "Two of three members are stopped",
		want: []string{"EtcdNoLeader", "EtcdInsufficientMembers", "EtcdMemberDown"},
		also: []string{"EtcdErrorBudgetBurn"},
		how: func(ctx context.Context, s *stack.Stack) error {
			return errors.Join(s.Lab.Member(0).Stop(ctx), s.Lab.Member(1).Stop(ctx))
		},
		mend: func(ctx context.Context, s *stack.Stack) error {
			return errors.Join(s.Lab.Member(0).Restart(ctx), s.Lab.Member(1).Restart(ctx))
		},
	},
	{
		name: "The log is slow to reach a member's disk (0.4 s each)",
		want: []string{"EtcdWALFsyncSlow"},
		also: []string{"EtcdErrorBudgetBurn"}, // where clients wait no longer than a second
		how:  delayFsync, mend: hurryFsync,
	},
	{
		name: "The databases are full (NOSPACE)",
		want: []string{"EtcdAlarmNoSpace", "EtcdQuotaLow"},
		also: []string{"EtcdQuotaFullIn4h", "EtcdErrorBudgetBurn"},
		how: func(ctx context.Context, s *stack.Stack) error { // backups go on
			return errors.Join(s.Lab.FillToNoSpace(ctx), s.TakeBackup(ctx))
		},
		mend: func(ctx context.Context, s *stack.Stack) error { return s.Lab.RecoverSpace(ctx) },
	},
}

// skewedClock and restored are faults that a cluster of their own has.
var (
	skewedClock = fault{
		name: "A member's clock is 30 s ahead",
		want: []string{"EtcdClockSkew"},
		how:  func(context.Context, *stack.Stack) error { return nil }, // it began with the lab
	}
	restored = fault{
		name: "The cluster was restored without a bump of the revision",
		want: []string{"EtcdRevisionRegressed"},
		also: []string{"EtcdNoLeader", "EtcdInsufficientMembers", "EtcdErrorBudgetBurn"}, // while it is down for it
		how: func(ctx context.Context, s *stack.Stack) error {
			// As long as an hour is here: what is watched for less has no past.
			return errors.Join(s.TakeBackup(ctx), write(ctx, s, 500), s.Lab.Restore(ctx, filepath.Join(s.BackupDir(), "script.db")))
		},
	}
)

func flippedBackup(ctx context.Context, s *stack.Stack) error {
	if err := s.TakeBackup(ctx); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(s.BackupDir(), "script.db"))
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	flipped := filepath.Join(s.BackupDir(), "flipped.db")
	later := time.Now().Add(time.Second) // the newer one, on file systems with a coarse clock too
	return errors.Join(os.WriteFile(flipped, data, 0o600), os.Chtimes(flipped, later, later))
}

// write puts one key over and over, each put a revision.
func write(ctx context.Context, s *stack.Stack, n int) error {
	client, err := s.Lab.Client()
	if err != nil {
		return err
	}
	for i := range n {
		if _, err := client.Put(ctx, "/gallery/key", fmt.Sprint(i)); err != nil {
			return err
		}
	}
	return nil
}

// overwrite writes for as long as nobody may compact, and a while more.
func overwrite(ctx context.Context, s *stack.Stack) error {
	for end := time.Now().Add(100 * time.Minute / scale); time.Now().Before(end); {
		if err := write(ctx, s, 100); err != nil {
			return err
		}
	}
	return nil
}

// empty deletes a prefix, compacts, and writes a little, which followers wait for
// before they free anything.
func empty(ctx context.Context, s *stack.Stack, prefix string) error {
	client, err := s.Lab.Client()
	if err != nil {
		return err
	}
	gone, err := client.Delete(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	_, err = client.Compact(ctx, gone.Header.Revision, clientv3.WithCompactPhysical())
	return errors.Join(err, s.Write(ctx))
}

func foreignClient(_ context.Context, s *stack.Stack) error {
	pair, err := s.Lab.ForeignCA().Client(pki.Spec{CommonName: "exporter"})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.Dir(), "foreign-")
	if err != nil {
		return err
	}
	cert, key := filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")
	return errors.Join(pair.Write(cert, key), s.UseClient(cert, key))
}

// serverCert gives a member another certificate, and restarts it and the exporter,
// which looks at certificates every ten minutes only.
func serverCert(ctx context.Context, s *stack.Stack, until time.Time) error {
	m := s.Lab.Member(1)
	pair, err := s.Lab.CA().Server(pki.Spec{CommonName: m.Name(), Hosts: pki.Loopback(), NotAfter: until})
	if err != nil {
		return err
	}
	if err := errors.Join(pair.Write(m.ServerCert(), m.ServerKey()), m.Restart(ctx), s.StopExporter()); err != nil {
		return err
	}
	return s.StartExporter(ctx)
}

// altered is the key that one member has another value of.
const altered = "/gallery/altered"

// alterMember changes a value behind etcd's back. Hashes are compared after compactions.
func alterMember(ctx context.Context, s *stack.Stack) error {
	client, err := s.Lab.Client()
	if err != nil {
		return err
	}
	if _, err := client.Put(ctx, altered, "value"); err != nil {
		return err
	}
	m := s.Lab.Member(1)
	if err := errors.Join(m.Stop(ctx), m.AlterValue(altered), m.Restart(ctx)); err != nil {
		return err
	}
	if err := s.Lab.WaitReady(ctx); err != nil {
		return err
	}
	last, err := client.Put(ctx, "/gallery/last", "")
	if err != nil {
		return err
	}
	_, err = client.Compact(ctx, last.Header.Revision, clientv3.WithCompactPhysical())
	return err
}

// replaceData overwrites what differs, on all members, and compacts it away.
func replaceData(ctx context.Context, s *stack.Stack) error {
	return empty(ctx, s, "/gallery/")
}
