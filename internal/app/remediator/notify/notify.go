// SPDX-License-Identifier: Apache-2.0

// Package notify tells of runs that came to an end: Alertmanager by an alert that
// ends by itself, Grafana by an annotation. It never holds up a run: what cannot be
// delivered in a few tries is given up, and the journal has it all the same.
package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/etcdops/etcdops/remediate"
)

const (
	queueLength = 64
	maxTries    = 5
	firstPause  = time.Second // doubled with each try
	timeout     = 10 * time.Second
	// grace is how long the last news may take when the program ends.
	grace    = 5 * time.Second
	maxDrain = 64 << 10 // bytes of an answer that are read, to use the connection again
)

// Options says who is told. Empty URLs are told nothing.
type Options struct {
	Alertmanager     string // base URL
	Grafana          string // base URL
	GrafanaTokenFile string // read for each annotation
	Log              *slog.Logger
	Now              func() time.Time
	FirstPause       time.Duration // after a failed try; 0: a second
}

// Notifier tells of runs. Run must be running for anything to be sent.
type Notifier struct {
	targets []*target
}

// target is one who is told, with a queue of its own: one that hangs does not hold
// up the other.
type target struct {
	name  string
	wants func(r *remediate.Run) bool
	// request makes the request anew for each try.
	request func(ctx context.Context, r *remediate.Run) (*http.Request, error)
	queue   chan remediate.Run
	pause   time.Duration
	client  *http.Client
	log     *slog.Logger
}

// New makes a Notifier; it sends nothing yet.
func New(o Options) *Notifier {
	n := &Notifier{}
	if o.Alertmanager != "" {
		n.add(o, "alertmanager", worthAlert, alertmanager(o.Alertmanager, o.Now))
	}
	if o.Grafana != "" {
		n.add(o, "grafana", worthAnnotation, grafana(o.Grafana, o.GrafanaTokenFile))
	}
	return n
}

func (n *Notifier) add(o Options, name string, wants func(*remediate.Run) bool, request func(context.Context, *remediate.Run) (*http.Request, error)) {
	t := &target{
		name: name, wants: wants, request: request, pause: o.FirstPause, log: o.Log, queue: make(chan remediate.Run, queueLength),
		client: &http.Client{
			Timeout:       timeout,
			Transport:     &http.Transport{ResponseHeaderTimeout: timeout, TLSHandshakeTimeout: timeout, IdleConnTimeout: time.Minute}, // Proxy stays nil: no proxy variable is read
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if t.pause <= 0 {
		t.pause = firstPause
	}
	n.targets = append(n.targets, t)
}

// Ended tells of a run that came to an outcome. It returns at once; when too much
// waits already the news is dropped, and the log says so.
func (n *Notifier) Ended(r remediate.Run) {
	for _, t := range n.targets {
		if !t.wants(&r) {
			continue
		}
		select {
		case t.queue <- r:
		default:
			t.log.Warn("dropping the news of a run: too much waits to be sent", "target", t.name, "run", r.ID)
		}
	}
}

// Run sends until ctx ends, and then once more what still waits, for at most a few
// seconds.
func (n *Notifier) Run(ctx context.Context) {
	var all errgroup.Group
	for _, t := range n.targets {
		all.Go(func() error {
			t.run(ctx)
			return nil
		})
	}
	_ = all.Wait() // none fails
}

func (t *target) run(ctx context.Context) {
	defer t.client.CloseIdleConnections()
	for {
		select {
		case r := <-t.queue:
			t.tell(ctx, &r)
		case <-ctx.Done():
			t.last(context.WithoutCancel(ctx))
			return
		}
	}
}

// last tries once what still waits.
func (t *target) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for {
		select {
		case r := <-t.queue:
			if err := t.send(ctx, &r); err != nil {
				t.gaveUp(&r, err)
			}
		default:
			return
		}
	}
}

// tell tries several times. When ctx ends, the try under way may take a little
// longer, or one more is made.
func (t *target) tell(ctx context.Context, r *remediate.Run) {
	trying, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	pause := t.pause
	for try := 1; ; try++ {
		err := t.send(trying, r)
		if err == nil {
			return
		}
		if try == maxTries || errors.Is(err, errLasting) || ctx.Err() != nil {
			t.gaveUp(r, err)
			return
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
		}
	}
}

func (t *target) gaveUp(r *remediate.Run, err error) {
	t.log.Warn("nobody was told of a run", "target", t.name, "run", r.ID, "err", err)
}

// errLasting is a failure that another try does not mend.
var errLasting = errors.New("refused")

// send makes one try.
func (t *target) send(ctx context.Context, r *remediate.Run) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := t.request(ctx, r)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := t.client.Do(request)
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err // its text would repeat the URL
		}
		return fmt.Errorf("post: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxDrain)
	switch code := answer.StatusCode; {
	case code < 300:
		return nil
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return fmt.Errorf("answered %d", code)
	default: // a redirect among them: none is followed
		return fmt.Errorf("%w with %d", errLasting, code)
	}
}
