// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes/kubernetestest"
)

const (
	eventPrefix = "/registry/events/"
	batchPuts   = 100
	valueBytes  = 256 << 10
	freeTime    = time.Minute
)

// Flood writes events. The remediator sees when, and goes by that: what they say of
// their age counts only for those that were there before it.
func (s *Stack) Flood(ctx context.Context, n int) error {
	client, err := s.Lab.Client()
	if err != nil {
		return err
	}
	var batch []clientv3.Op
	for i := range n {
		namespace, name := fmt.Sprintf("team-%02d", i%7), fmt.Sprintf("web-%07d", i)
		value, err := kubernetestest.Event(kubernetes.Event{
			Namespace: namespace, Name: name, Reason: "BackOff", Component: "kubelet", Count: 1, Created: time.Now(),
		})
		if err != nil {
			return err
		}
		batch = append(batch, clientv3.OpPut(eventPrefix+namespace+"/"+name, string(value)))
		if len(batch) < batchPuts && i < n-1 {
			continue
		}
		if _, err := client.Txn(ctx).Then(batch...).Commit(); err != nil {
			return fmt.Errorf("flood: %w", err)
		}
		batch = nil
	}
	return nil
}

// Events counts the keys of events.
func (s *Stack) Events(ctx context.Context) (int64, error) {
	client, err := s.Lab.Client()
	if err != nil {
		return 0, err
	}
	got, err := client.Get(ctx, eventPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return got.Count, nil
}

// Fragment fills the databases, deletes it all again and compacts, and waits until
// each member that answers has freed the space within its file.
func (s *Stack) Fragment(ctx context.Context, mebibytes int) error {
	client, err := s.Lab.Client()
	if err != nil {
		return err
	}
	value := strings.Repeat("x", valueBytes)
	for i := range mebibytes << 20 / valueBytes {
		if _, err := client.Put(ctx, fmt.Sprintf("/loop/fill/%06d", i), value); err != nil {
			return fmt.Errorf("fragment: %w", err)
		}
	}
	gone, err := client.Delete(ctx, "/loop/fill/", clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("fragment: %w", err)
	}
	if _, err := client.Compact(ctx, gone.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("fragment: %w", err)
	}
	return Await(ctx, freeTime, "all members have freed the space", func() error {
		if err := s.Write(ctx); err != nil { // a follower's size in use falls with a later write
			return err
		}
		for _, m := range s.Lab.Members() {
			asking, cancel := context.WithTimeout(ctx, time.Second)
			status, err := client.Status(asking, m.ClientURL())
			cancel()
			if err == nil && status.DbSizeInUse > status.DbSize/3 {
				return fmt.Errorf("%s: %d of %d in use", m.Name(), status.DbSizeInUse, status.DbSize)
			}
		}
		return nil
	})
}

// Fill overwrites one key until etcd refuses for want of space: all but one of its
// values is history.
func (s *Stack) Fill(ctx context.Context) error {
	client, err := s.Lab.Client()
	if err != nil {
		return err
	}
	value := strings.Repeat("x", valueBytes)
	for {
		_, err := client.Put(ctx, "/loop/busy", value)
		switch {
		case errors.Is(err, rpctypes.ErrNoSpace):
			return nil
		case err != nil:
			return fmt.Errorf("fill: %w", err)
		}
	}
}

// Write writes a key.
func (s *Stack) Write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	client, err := s.Lab.Client()
	if err != nil {
		return err
	}
	_, err = client.Put(ctx, "/loop/last", time.Now().String())
	return err
}

// TakeBackup puts a sound snapshot into the store, as a person's script would.
func (s *Stack) TakeBackup(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.BackupDir(), 0o700); err != nil {
		return err
	}
	client, err := s.Lab.Client()
	if err != nil {
		return err
	}
	stream, err := client.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("take a backup: %w", err)
	}
	defer stream.Close()
	file, err := os.Create(filepath.Join(s.BackupDir(), "script.db"))
	if err != nil {
		return err
	}
	_, err = io.Copy(file, stream)
	return errors.Join(err, file.Close())
}

// AgeBackups makes every backup that old.
func (s *Stack) AgeBackups(age time.Duration) error {
	files, err := filepath.Glob(filepath.Join(s.BackupDir(), "*.db"))
	if err != nil {
		return err
	}
	then := time.Now().Add(-age)
	for _, file := range files {
		err = errors.Join(err, os.Chtimes(file, then, then))
	}
	return err
}
