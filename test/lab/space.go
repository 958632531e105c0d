// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// fillPrefix holds what FillToNoSpace writes.
const fillPrefix = "/lab/fill/"

const fillBytes = 256 << 10

// FillToNoSpace writes until etcd refuses for want of space, and waits until
// every voter tells of the alarm. The lab must have a quota of its own.
func (l *Lab) FillToNoSpace(ctx context.Context) error {
	if l.options.QuotaBytes == 0 {
		return errors.New("fill up: set Options.QuotaBytes first")
	}
	client, err := l.Client()
	if err != nil {
		return fmt.Errorf("fill up: %w", err)
	}
	value := make([]byte, fillBytes)
	_, _ = rand.NewChaCha8([32]byte{}).Read(value)
	for i := 0; ; i++ {
		_, err := client.Put(ctx, fmt.Sprintf("%s%06d", fillPrefix, i), string(value))
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return l.awaitAlarm(ctx, true)
		}
		if err != nil {
			return fmt.Errorf("fill up: %w", err)
		}
	}
}

// Disarm disarms every alarm and waits until no voter tells of one.
func (l *Lab) Disarm(ctx context.Context) error {
	client, err := l.Client()
	if err != nil {
		return fmt.Errorf("disarm: %w", err)
	}
	alarms, err := client.AlarmList(ctx)
	if err != nil {
		return fmt.Errorf("disarm: %w", err)
	}
	for _, alarm := range alarms.Alarms {
		member := clientv3.AlarmMember{MemberID: alarm.MemberID, Alarm: alarm.Alarm}
		if _, err := client.AlarmDisarm(ctx, &member); err != nil {
			return fmt.Errorf("disarm: %w", err)
		}
	}
	return l.awaitAlarm(ctx, false)
}

// RecoverSpace undoes FillToNoSpace: it deletes what that wrote, compacts,
// defragments every voter and disarms.
func (l *Lab) RecoverSpace(ctx context.Context) error {
	client, err := l.Client()
	if err != nil {
		return fmt.Errorf("recover space: %w", err)
	}
	deleted, err := client.Delete(ctx, fillPrefix, clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("recover space: delete: %w", err)
	}
	if _, err := client.Compact(ctx, deleted.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("recover space: compact: %w", err)
	}
	for _, m := range l.Members() {
		if !m.awake() || m.learner {
			continue
		}
		if _, err := client.Defragment(ctx, m.ClientURL()); err != nil {
			return fmt.Errorf("recover space: defragment %s: %w", m.Name(), err)
		}
	}
	return l.Disarm(ctx)
}

// awaitAlarm waits until every voter that should answer tells of an alarm, or
// none does. Status tells without writing to the raft log.
func (l *Lab) awaitAlarm(ctx context.Context, wanted bool) error {
	err := poll(ctx, func() (bool, error) {
		for _, m := range l.Members() {
			if !m.awake() || m.learner {
				continue
			}
			client, err := l.clientOf(m)
			if err != nil {
				return false, err
			}
			status, err := client.Status(ctx, m.ClientURL())
			if err != nil {
				return false, err
			}
			if strings.Contains(strings.Join(status.Errors, " "), "alarm:") != wanted {
				return false, fmt.Errorf("member %s: errors %q", m.Name(), status.Errors)
			}
		}
		return true, nil
	}, l.crashed)
	if err != nil {
		return fmt.Errorf("await alarm (%t): %w", wanted, err)
	}
	return nil
}
