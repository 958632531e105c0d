// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/etcdops/etcdops/test/lab"
)

const (
	manyEvents   = 100_000
	fastWatchers = 19
	putsASecond  = 200
)

// TestPruneUnderWritersAndWatchers: 100,000 events go while somebody writes and twenty
// watch, one of them slowly. No write fails, and every watcher sees every delete.
func TestPruneUnderWritersAndWatchers(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 3, QuotaBytes: 2 << 30})
	put(t, l, "/registry/pods/a/b", "v")
	flood(t, l, manyEvents, "BackOff")
	config := writeConfig(t, l, `  policies:
    - {name: flood, matchers: ['alertname="EtcdEventsFlood"'], clusters: [lab], action: prune_events, `+eager+`, require_snapshot: "off", prune_events: {prefix: /registry/events/, older_than: 2s, keys_per_second: 10000}}
`)
	s := serve(t, config, "--mode=enforce", open)
	s.watched("prune_events")

	client, err := l.Client()
	must(t, err)
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	var seen [fastWatchers + 1]atomic.Int64
	var watchers, writer errgroup.Group
	for i := range fastWatchers {
		updates := client.Watch(ctx, events, clientv3.WithPrefix())
		watchers.Go(func() error { return watch(ctx, updates, &seen[i]) })
	}
	var slow atomic.Bool
	slow.Store(true)
	stream := openWatch(ctx, t, client)
	watchers.Go(func() error { return watchSlowly(ctx, stream, &slow, &seen[fastWatchers]) })
	stop := make(chan struct{})
	var puts atomic.Int64
	writer.Go(func() error { return writeSteadily(ctx, client, stop, &puts) })

	s.Fire("alertname", "EtcdEventsFlood")
	run := s.Ended(1, 4*time.Minute)
	close(stop)
	if run.Outcome != "succeeded" || keysBelow(t, l, events) > 0 {
		t.Errorf("%s (%s), %d events are left", run.Outcome, run.Reason, keysBelow(t, l, events))
	}
	if err := writer.Wait(); err != nil {
		t.Errorf("after %d puts: %v", puts.Load(), err)
	}
	slow.Store(false)
	await(t, time.Minute, "every watcher sees every delete", func() error {
		for i := range seen {
			if n := seen[i].Load(); n != manyEvents {
				return fmt.Errorf("watcher %d saw %d of %d", i, n, manyEvents)
			}
		}
		return nil
	})
	cancel()
	if err := watchers.Wait(); status.Code(err) != codes.OK && status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	t.Logf("%d puts meanwhile", puts.Load())
}

// watch counts the deletes that a watcher sees, until its context ends.
func watch(ctx context.Context, updates clientv3.WatchChan, deletes *atomic.Int64) error {
	for update := range updates {
		if err := update.Err(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("a watcher was cancelled: %w", err)
		}
		for _, event := range update.Events {
			if event.Type == mvccpb.DELETE {
				deletes.Add(1)
			}
		}
	}
	return nil
}

// openWatch opens a watch without the client's own buffer, which would take whatever
// comes: what is not read holds the member up.
func openWatch(ctx context.Context, t *testing.T, client *clientv3.Client) pb.Watch_WatchClient {
	t.Helper()
	stream, err := pb.NewWatchClient(client.ActiveConnection()).Watch(ctx)
	must(t, err)
	must(t, stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: []byte(events), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(events)),
	}}}))
	answer, err := stream.Recv()
	must(t, err)
	if !answer.Created {
		t.Fatalf("no watch: %v", answer)
	}
	return stream
}

func watchSlowly(ctx context.Context, stream pb.Watch_WatchClient, slow *atomic.Bool, deletes *atomic.Int64) error {
	for {
		if slow.Load() {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		answer, err := stream.Recv()
		switch {
		case err != nil:
			return fmt.Errorf("the slow watcher's stream ended: %w", err)
		case answer.Canceled:
			return errors.New("the slow watcher was cancelled: " + answer.CancelReason)
		}
		for _, event := range answer.Events {
			if event.Type == mvccpb.DELETE {
				deletes.Add(1)
			}
		}
	}
}

// writeSteadily writes as an API server does, several puts at a time.
func writeSteadily(ctx context.Context, client *clientv3.Client, stop <-chan struct{}, puts *atomic.Int64) error {
	tick := time.NewTicker(time.Second / putsASecond)
	defer tick.Stop()
	var all errgroup.Group
	for n := 0; ; n++ {
		select {
		case <-stop:
			return all.Wait()
		case <-tick.C:
		}
		all.Go(func() error {
			call, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			if _, err := client.Put(call, fmt.Sprintf("/registry/leases/%d", n%50), fmt.Sprint(n)); err != nil {
				return fmt.Errorf("a put failed: %w", err)
			}
			puts.Add(1)
			return nil
		})
	}
}
