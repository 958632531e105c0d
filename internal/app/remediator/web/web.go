// SPDX-License-Identifier: Apache-2.0

// Package web is the remediator's face over HTTP: who may ask what, the API, the
// status page and the metrics. What it shows and does comes from a Backend; the
// webhook is a handler that it is given.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/etcdops/etcdops/remediate"
)

// writeTimeout is how long a reader may take to receive an answer.
const writeTimeout = 30 * time.Second

// What a Backend may answer to what it is asked to do.
var (
	ErrNotFound    = errors.New("no such run")
	ErrNotAwaiting = errors.New("the run does not await an approval")
	ErrExpired     = errors.New("the run waited too long for an approval")
	// ErrUnavailable says that it may be done later, or by another replica.
	ErrUnavailable = errors.New("not possible now")
)

// Backend is the program behind the face. Its methods are called at the same time
// by several requests, and what they return belongs to the caller: no run or slice
// is changed afterwards.
type Backend interface {
	// State is all but the runs. It is read for each scrape and each page.
	State() State
	// Runs are the runs that are known of, those under way among them, the newest
	// first.
	Runs() []remediate.Run
	// Run gives one of them.
	Run(id string) (remediate.Run, bool)
	// Approve lets a run go on. It gives one of the errors above, or nil once the
	// approval is in the journal. by says in one line who approved.
	Approve(ctx context.Context, id, by string) error
	// Pause keeps every run from starting until Resume, also after a restart.
	Pause(ctx context.Context, by string) error
	Resume(ctx context.Context, by string) error
	// Reload reads the configuration again; an error leaves the old one in force.
	Reload(ctx context.Context) error
}

// Options is what the face needs.
type Options struct {
	Backend Backend
	Webhook http.Handler
	Auth    *Auth
	Metrics *Metrics
	Version string
	Ready   func() error // nil: always
	Now     func() time.Time
	Log     *slog.Logger
}

type face struct{ Options }

// Handler serves every path. /metrics, /-/healthy and /-/ready are open to all;
// the rest needs what Auth asks for.
func Handler(o Options) http.Handler {
	f := &face{o}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics.registry, promhttp.HandlerOpts{
		ErrorLog: errorLog{o.Log}, ErrorHandling: promhttp.ContinueOnError,
	}))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { say(w, "etcd_remediator is healthy") })
	mux.HandleFunc("GET /-/ready", f.ready)

	mux.Handle("/api/v1/alerts", o.Metrics.countRequests(o.Auth.caller(notByBrowser(o.Webhook))))

	for pattern, serve := range map[string]http.HandlerFunc{
		"GET /{$}": f.page, "GET /api/v1/runs": f.runs, "GET /api/v1/runs/{id}": f.run,
	} {
		mux.Handle(pattern, o.Auth.caller(serve))
	}
	for pattern, serve := range map[string]http.HandlerFunc{
		"POST /api/v1/runs/{id}/approve": f.approve, "POST /-/pause": f.pause, "POST /-/resume": f.resume, "POST /-/reload": f.reload,
	} {
		mux.Handle(pattern, o.Auth.administrator(notByBrowser(onlyJSON(serve))))
	}
	return bounded(mux)
}

// bounded refuses a query that net/url would read in part only, and lets nobody
// hold a connection by not reading its answer.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			http.Error(w, "the query is malformed: percent-encode what is special in a value", http.StatusBadRequest)
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // not every server can
		next.ServeHTTP(w, r)
	})
}

func (f *face) ready(w http.ResponseWriter, _ *http.Request) {
	if f.Ready != nil {
		if err := f.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	say(w, "etcd_remediator is ready")
}

// say answers one line of text.
func say(w http.ResponseWriter, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(line + "\n"))
}

// errorLog hands promhttp's complaints to the program's log. They are about clients
// that hang up or ask for odd encodings: nothing to act on.
type errorLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l errorLog) Println(v ...any) { l.log.Debug("answering a scrape", "err", fmt.Sprint(v...)) }
