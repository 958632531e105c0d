// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	loadWorkers  = 4
	batchPuts    = 100     // etcd takes up to 128 operations in a transaction
	batchBytes   = 1 << 20 // and requests of up to 1.5 MiB
	loadAttempts = 5
)

// LoadOptions describe a key space like that of a Kubernetes cluster. The same
// options give the same keys and values.
type LoadOptions struct {
	Keys       int    // below /registry/, events not counted
	Events     int    // below /registry/events/
	Namespaces int    // 0: 20; the first ones are the largest
	ValueBytes int    // mean size of values; 0: what is usual for each resource
	Seed       uint64 // another seed, other names and values
}

// Load writes a key space. Values are "k8s\0" and random bytes.
func (l *Lab) Load(ctx context.Context, options LoadOptions) error {
	client, err := l.Client()
	if err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan []clientv3.Op)
	var workers sync.WaitGroup
	for range loadWorkers {
		workers.Go(func() {
			for batch := range batches {
				if err := write(ctx, client, batch); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	err = feed(ctx, options, batches)
	close(batches)
	workers.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	return nil
}

// feed hands out all the keys in batches that etcd takes as one transaction.
func feed(ctx context.Context, options LoadOptions, batches chan<- []clientv3.Op) error {
	keys := newKeySpace(options)
	var batch []clientv3.Op
	size := 0
	for i := range options.Keys + options.Events {
		key, value := keys.at(i)
		if len(batch) == batchPuts || (size > 0 && size+len(value) > batchBytes) {
			select {
			case batches <- batch:
			case <-ctx.Done():
				return ctx.Err()
			}
			batch, size = nil, 0
		}
		batch = append(batch, clientv3.OpPut(key, value))
		size += len(key) + len(value)
	}
	if len(batch) == 0 {
		return nil
	}
	select {
	case batches <- batch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write commits one batch. Puts can be repeated, so a change of leader or a
// member with too much to do is no reason to give up.
func write(ctx context.Context, client *clientv3.Client, batch []clientv3.Op) error {
	for attempt := 1; ; attempt++ {
		_, err := client.Txn(ctx).Then(batch...).Commit()
		if err == nil || attempt == loadAttempts || ctx.Err() != nil || errors.Is(err, rpctypes.ErrNoSpace) {
			return err
		}
		retry := time.NewTimer(time.Duration(attempt) * 100 * time.Millisecond)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return err
		}
	}
}
