// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"time"
)

const (
	// retryAfter is what a 503 asks of its caller, in seconds. Alertmanager keeps to
	// a back-off of its own.
	retryAfter = "10"
	// maxAtOnce bounds the bodies that are held at one time; further requests wait.
	maxAtOnce = 64
	// bodyTimeout is how long a body may take to arrive.
	bodyTimeout = 10 * time.Second
	// maxMisses bounds the log lines of one message.
	maxMisses = 10
)

// ErrUnavailable is why Accept could not keep the hits, where sending them again
// may help: the journal cannot be written, the queue is full, the program ends.
var ErrUnavailable = errors.New("not accepted")

// Observer counts. Its methods are called at the same time by several requests, and
// only for requests that were accepted, so that a retry counts once.
type Observer interface {
	Alerts(status string, matched bool, n int)
	Truncated(n uint64)
	Heartbeat(at time.Time)
}

// Options is what the handler needs.
type Options struct {
	Router func() *Router // the configuration in force
	// Accept keeps the hits, firing and resolved, and returns when they are on the
	// disk: what it accepted is answered with 200. It is not called without hits.
	Accept   func(ctx context.Context, hits []Hit) error
	Observer Observer
	Now      func() time.Time
	Log      *slog.Logger
}

// Handler answers Alertmanager's webhook. It knows nothing of authentication.
func Handler(o Options) http.Handler {
	return &handler{Options: o, slots: make(chan struct{}, maxAtOnce)}
}

type handler struct {
	Options
	slots chan struct{}
}

// ServeHTTP answers with one line of text and one of the codes 200, 400, 405, 413,
// 415, 500 and 503. Alertmanager sends again after a 5xx alone.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST is served here", http.StatusMethodNotAllowed)
		return
	}
	if !isJSON(r) {
		http.Error(w, "the body must be application/json, not compressed", http.StatusUnsupportedMediaType)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-r.Context().Done():
		return // nobody waits for an answer
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // not every server can
	message, err := Parse(http.MaxBytesReader(w, r.Body, MaxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large || errors.Is(err, ErrTooLarge) {
		http.Error(w, ErrTooLarge.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		h.Log.Warn("refusing a webhook request", "remote", r.RemoteAddr, "err", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.take(w, r, message)
}

// take matches a message and answers.
func (h *handler) take(w http.ResponseWriter, r *http.Request, m Message) {
	found := h.Router().Match(m)
	if len(found.Hits) > 0 {
		if err := h.Accept(r.Context(), found.Hits); err != nil {
			h.decline(w, err)
			return
		}
	}
	matched := 0
	for c, n := range found.Counts {
		h.Observer.Alerts(c.Status, c.Matched, n)
		if c.Matched {
			matched += n
		}
	}
	if m.Truncated > 0 {
		h.Observer.Truncated(m.Truncated)
		h.Log.Warn("alertmanager left alerts out of a message: raise max_alerts, or group by cluster", "truncated", m.Truncated, "receiver", quote(m.Receiver))
	}
	if found.Heartbeat {
		h.Observer.Heartbeat(h.Now())
	}
	h.logMisses(found.Misses)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "accepted: %d alerts, %d of them for a policy\n", len(m.Alerts), matched)
}

func (h *handler) decline(w http.ResponseWriter, err error) {
	h.Log.Error("accepting alerts", "err", err)
	code := http.StatusInternalServerError
	if errors.Is(err, ErrUnavailable) {
		code = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, err.Error(), code)
}

// logMisses tells of alerts that somebody may have meant for a policy.
func (h *handler) logMisses(misses []Miss) {
	for i, m := range misses {
		if i == maxMisses {
			h.Log.Info("more alerts of this message start nothing", "alerts", len(misses)-i)
			return
		}
		h.Log.Info("an alert starts nothing", "alert", quote(m.Alert), "status", m.Status, "policy", m.Policy, "reason", m.Reason)
	}
}

// isJSON says whether the body is plain JSON: a form that a browser sends for
// another site cannot be.
func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding := r.Header.Get("Content-Encoding")
	return err == nil && kind == "application/json" && (encoding == "" || encoding == "identity")
}
