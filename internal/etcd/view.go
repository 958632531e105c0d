// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// View is one round of questions to a cluster. Each question is put to an
// endpoint once, at the first time it is asked for, and its answer is kept for
// the length of the round. A View is safe for concurrent use.
type View struct {
	endpoints []Endpoint
	apis      map[Endpoint]API
	memory    *Memory
	cluster   *Cluster // nil in unit tests
	begun     time.Time
	round     context.Context //nolint:containedctx // a View is one round of questions and ends with it

	mu      sync.Mutex
	answers map[question]*answer
}

type question struct {
	endpoint Endpoint
	name     string
}

type answer struct {
	done  chan struct{}
	value any
	err   error
	took  time.Duration
}

// NewView makes a view over any implementation of API. All its requests end with
// round.
func NewView(round context.Context, endpoints []Endpoint, apis map[Endpoint]API, memory *Memory) *View {
	return &View{
		endpoints: endpoints, apis: apis, memory: memory,
		begun: time.Now(), round: round, answers: map[question]*answer{},
	}
}

// Endpoints are all that this round asks.
func (v *View) Endpoints() []Endpoint { return v.endpoints }

// API is the endpoint itself, for what is asked in the background, and for what
// has an answer of its own each time, such as a read at a revision. Such a
// request is not remembered, and its error is the caller's to Count.
func (v *View) API(e Endpoint) API { return v.apis[e] }

// Errors counts the cluster's failed requests since start.
func (v *View) Errors() map[Call]uint64 { return v.memory.Errors() }

// ask answers a question out of this round's memory, or asks it. The request
// lives as long as the round: a caller that waits for a shorter time does not cut
// it short for the others.
func ask[T any](ctx context.Context, v *View, e Endpoint, name string, f func(context.Context, API) (T, error)) (T, time.Duration, error) {
	key := question{e, name}
	v.mu.Lock()
	a, asked := v.answers[key]
	if !asked {
		a = &answer{done: make(chan struct{})}
		v.answers[key] = a
	}
	v.mu.Unlock()
	if !asked {
		go func() {
			defer close(a.done)
			defer func() { // what an endpoint sends must not end the program
				if r := recover(); r != nil {
					a.err = fmt.Errorf("%s: panic: %v", name, r)
				}
			}()
			start := time.Now()
			a.value, a.err = f(v.round, v.apis[e])
			a.took = time.Since(start)
			v.Count(a.err)
		}()
	}
	var zero T
	select {
	case <-a.done:
	case <-ctx.Done():
		select { // both may be ready: the answer counts
		case <-a.done:
		default:
			return zero, 0, wrap(name, ctx.Err())
		}
	}
	value, _ := a.value.(T)
	return value, a.took, a.err
}

// Count keeps an error of a request to an endpoint of this round, unless it is an
// answer that was expected.
func (v *View) Count(err error) { v.memory.Count(err) }

// Status asks Maintenance.Status. An endpoint that is slow with it is asked for
// signs of life meanwhile, which tell a defragmentation from a dead member.
func (v *View) Status(ctx context.Context, e Endpoint) (Status, error) {
	status, _, err := ask(ctx, v, e, "Status", func(ctx context.Context, api API) (Status, error) {
		defer v.whenSlow(ctx, func() {
			_, _ = v.MemberList(ctx, e)
		}, func() {
			_, _, _ = ask(ctx, v, e, "ServerTime", func(ctx context.Context, api API) (ServerTime, error) { return api.ServerTime(ctx) })
		})()
		status, err := api.Status(ctx)
		if err == nil {
			v.memory.keepName(e.URL, status.MemberID)
		}
		v.settle(e, err)
		return status, err
	})
	return status, err
}

// whenSlow calls each of f when half of the round is over, unless stopped before.
func (v *View) whenSlow(ctx context.Context, f ...func()) (stop func()) {
	half, cancel := v.halfTime(ctx)
	stopped := context.AfterFunc(half, func() {
		if errors.Is(half.Err(), context.DeadlineExceeded) {
			for _, f := range f {
				go f()
			}
		}
	})
	return func() { stopped(); cancel() }
}

// MemberList asks the endpoint for the membership as it sees it.
func (v *View) MemberList(ctx context.Context, e Endpoint) (MemberList, error) {
	list, _, err := ask(ctx, v, e, "MemberList", func(ctx context.Context, api API) (MemberList, error) { return api.MemberList(ctx) })
	return list, err
}

// Check reads the probe key, linearizable or from the member itself, and says
// how long it took. A user who may not read the key has been answered all the
// same: that is no error.
func (v *View) Check(ctx context.Context, e Endpoint, linearizable bool) (time.Duration, error) {
	name := "serializable read"
	if linearizable {
		name = "linearizable read"
	}
	_, took, err := ask(ctx, v, e, name, func(ctx context.Context, api API) (struct{}, error) {
		return struct{}{}, api.Read(ctx, Read{Linearizable: linearizable})
	})
	if errors.Is(err, ErrPermissionDenied) {
		err = nil
	}
	return took, err
}

// Quota gives the size limit of the endpoint's database in bytes, 0 when neither
// its Status nor its metrics tell.
func (v *View) Quota(ctx context.Context, e Endpoint) int64 {
	status, err := v.Status(ctx, e)
	if err != nil || status.DBQuota != 0 {
		return status.DBQuota
	}
	quota, _, err := ask(ctx, v, e, "Quota", func(ctx context.Context, api API) (int64, error) { return api.Quota(ctx) })
	if err != nil {
		return 0
	}
	return quota
}

// ServerCertificates gives the chain that the endpoint presents.
func (v *View) ServerCertificates(ctx context.Context, e Endpoint) ([]*x509.Certificate, error) {
	chain, _, err := ask(ctx, v, e, "certificates", func(ctx context.Context, api API) ([]*x509.Certificate, error) {
		return api.ServerCertificates(ctx)
	})
	return chain, err
}

// Failure says why an endpoint's Status failed. One that answers its member list
// or an HTTP request while Status hangs is in the middle of a defragmentation:
// etcd holds the database, and with it Status, until that is done.
func (v *View) Failure(e Endpoint, err error) Reason {
	reason := Classify(err)
	if reason == ReasonTimeout && v.alive(e) {
		return ReasonDefragmenting
	}
	return reason
}

func (v *View) alive(e Endpoint) bool {
	for _, name := range []string{"MemberList", "ServerTime"} {
		a := v.finished(e, name)
		if a == nil {
			continue
		}
		var refused *Error
		if a.err == nil || errors.As(a.err, &refused) && refused.Answered {
			return true
		}
	}
	return false
}

// Each calls f for every one of all side by side and gives the answers in the
// same order. A panic in f comes up in the caller, who may recover from it.
func Each[S, T any](all []S, f func(S) T) []T {
	answers, panics := make([]T, len(all)), make([]any, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() {
			defer func() { panics[i] = recover() }()
			answers[i] = f(one)
		})
	}
	wg.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
	return answers
}

// halfTime gives a context that ends when half of the round's time is over. Who
// needs answers of several endpoints before a question of its own waits with it,
// so that one hanging endpoint leaves time for the rest.
func (v *View) halfTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := v.round.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, v.begun.Add(deadline.Sub(v.begun)/2))
}

// settle keeps whether an endpoint is up: a change is logged once, and the
// connection of one that hangs is given up, since it may lead nowhere any more.
// That is done with the answer and not in Close, which comes before the last
// requests have noticed that the round is over.
func (v *View) settle(e Endpoint, err error) {
	switch {
	case v.cluster == nil, errors.Is(err, context.Canceled), errors.Is(err, errClosed):
	case err == nil:
		v.cluster.up(e)
	default:
		reason := v.Failure(e, err)
		v.cluster.down(e, reason, err)
		if client, ok := v.apis[e].(*Client); ok && (reason == ReasonTimeout || reason == ReasonDefragmenting) {
			client.giveUp(v.begun)
		}
	}
}

// Close ends the round: what was learned of the membership counts for the next one.
func (v *View) Close() {
	if v.cluster == nil {
		return
	}
	if list, ok := v.memory.lastList(); ok {
		v.cluster.discover(list, v.memory.names())
	}
}

// finished gives the answer to a question of this round, nil where there is none yet.
func (v *View) finished(e Endpoint, name string) *answer {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.answers[question{e, name}]
	if a == nil {
		return nil
	}
	select {
	case <-a.done:
		return a
	default:
		return nil
	}
}
