// SPDX-License-Identifier: Apache-2.0

package top

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

const (
	// pulseTime is how often the watched member is asked for its Status: a watch
	// on a member that hangs or is cut off is merely silent.
	pulseTime = 5 * time.Second
	// patience bounds one such question.
	patience = 3 * time.Second
	// retry is the pause before another member is tried, longer each time.
	retry, maxRetry = 100 * time.Millisecond, 2 * time.Second
)

var (
	errEnough     = errors.New("as much was received as is allowed")
	errStalled    = errors.New("the watch stands still while the member goes on")
	errLeaderless = errors.New("the member has no leader")
	errGone       = errors.New("the endpoint is not known any more")
)

// follower watches one member after another.
type follower struct {
	source    source
	ledger    *ledger
	prefix    string
	endpoint  string // the only one to be watched; empty: any
	maxBytes  uint64
	user      string
	clusterID uint64
	failures  map[string]int // by URL
	cut       error          // why no watch is under way; nil: one is
	lost      bool           // the revision to go on from was compacted
}

// pick asks all endpoints for their Status and chooses one.
func (f *follower) pick(ctx context.Context) (answer, error) {
	answers := f.source.statuses(ctx)
	if f.endpoint != "" {
		var only []answer
		for _, a := range answers {
			if a.url == f.endpoint {
				only = append(only, a)
			}
		}
		if only == nil {
			return answer{}, fmt.Errorf("%s is not an endpoint of the cluster", printable(f.endpoint))
		}
		answers = only
	}
	for range answers {
		f.ledger.asked()
	}
	chosen, err := choose(answers, f.failures, f.clusterID)
	if err != nil && f.user == "" { // newer members do not even tell their Status then
		for _, a := range answers {
			if a.err != nil && a.reason == etcd.ReasonAuth {
				return answer{}, f.denied(a.err)
			}
		}
	}
	return chosen, err
}

// follow watches until ctx ends, which is no error, or watching makes no sense any
// more. first was picked before.
func (f *follower) follow(ctx context.Context, first answer) error {
	f.clusterID = first.status.ClusterID
	f.ledger.begin(first.status.Revision)
	f.ledger.status(first.status)
	member, err := first, error(nil)
	for pause := retry; ; {
		began := time.Now()
		if err == nil {
			err = f.watch(ctx, member.url)
			if ctx.Err() != nil || errors.Is(err, errEnough) {
				f.ledger.stop()
				f.lastLook(ctx, member.url)
				return err
			}
			if etcd.Classify(err) == etcd.ReasonAuth {
				return f.denied(err)
			}
			f.mishap(member, err)
		}
		if time.Since(began) > pulseTime {
			pause = retry
		}
		if !sleep(ctx, pause) {
			return err
		}
		pause = min(2*pause, maxRetry)
		next, failed := f.pick(ctx)
		switch {
		case ctx.Err() != nil:
			return err
		case failed != nil && (err == nil || failed.Error() != err.Error()): // once, not at each try
			f.ledger.note("%s; trying again", oneLine(failed))
		}
		if err = failed; err == nil {
			if next.url != member.url {
				f.ledger.note("going on with %s", next.url)
			}
			member = next
		}
	}
}

// mishap notes why a watch ended.
func (f *follower) mishap(member answer, err error) {
	f.cut = err
	if f.lost = errors.Is(err, etcd.ErrCompacted); f.lost {
		return // no fault of the member's; the gap is noted when its end is known
	}
	f.failures[member.url]++
	f.ledger.note("%s: %s", member.url, oneLine(err))
}

// denied says which permission is needed.
func (f *follower) denied(err error) error {
	who := "this client"
	if f.user != "" {
		who = "user " + printable(f.user)
	}
	what, example := "all keys", `"" --from-key`
	if f.prefix != "" {
		what = "the keys below " + printable(f.prefix)
		example = printable(f.prefix) + " --prefix"
	}
	return fmt.Errorf("%s may not watch: it needs read permission on %s (etcdctl role grant-permission ROLE read %s): %s",
		who, what, example, oneLine(err))
}

// watch watches one member until it ends, with a look at it now and then.
func (f *follower) watch(ctx context.Context, url string) error {
	api := f.source.scanner(url)
	if api == nil {
		return errGone
	}
	status, err := f.look(ctx, api)
	if err != nil {
		return err
	}
	f.ledger.status(status)
	if f.lost {
		f.ledger.skip(status.Revision)
		f.lost = false
	}
	from := f.ledger.use(url)
	f.cut = nil
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.pulse(ctx, api, cancel)
	}()
	err = api.Watch(ctx, etcd.PrefixSpan(f.prefix), from, func(b etcd.WatchBatch) error {
		if len(b.Keys) > 0 && f.ledger.batch(b) >= f.maxBytes {
			return errEnough
		}
		return nil
	})
	if why := context.Cause(ctx); why != nil {
		err = why
	}
	cancel(nil)
	<-ended
	return err
}

// look asks the member for its Status.
func (f *follower) look(ctx context.Context, api etcd.ScanAPI) (etcd.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	f.ledger.asked()
	status, err := api.Status(ctx)
	switch {
	case err != nil:
		return status, err
	case status.Leader == 0:
		return status, errLeaderless
	}
	return status, nil
}

// lastLook tells what has become of the database, if the member says so at once.
func (f *follower) lastLook(ctx context.Context, url string) {
	api := f.source.scanner(url)
	if api == nil || f.cut != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if status, err := f.look(ctx, api); err == nil {
		f.ledger.status(status)
	}
}

// pulse ends a watch whose member is silent, lost its leader, or has had
// something to send since the last look that did not come.
func (f *follower) pulse(ctx context.Context, api etcd.ScanAPI, cancel context.CancelCauseFunc) {
	var waiting, seen int64 // revisions that were behind at the last look, and the one we were at
	for sleep(ctx, pulseTime) {
		status, err := f.look(ctx, api)
		if err != nil {
			cancel(err)
			return
		}
		behind := f.ledger.status(status)
		at := status.Revision - behind
		if waiting > 0 && at == seen {
			cancel(errStalled)
			return
		}
		waiting, seen = behind, at
	}
}

// sleep says whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
