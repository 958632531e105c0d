// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/etcdops/etcdops/remediate"
)

const (
	defaultLimit = 100 // runs in one answer
	maxLimit     = 1000
)

// runs answers the runs as a JSON list, the newest first.
func (f *face) runs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit := defaultLimit
	if given := query.Get("limit"); query.Has("limit") {
		n, err := strconv.Atoi(given)
		if err != nil || n < 1 || n > maxLimit {
			http.Error(w, fmt.Sprintf("limit must be a number from 1 to %d", maxLimit), http.StatusBadRequest)
			return
		}
		limit = n
	}
	runs := f.Backend.Runs()
	if query.Has("cluster") {
		cluster := query.Get("cluster")
		runs = slices.DeleteFunc(slices.Clone(runs), func(r remediate.Run) bool { return r.Cluster != cluster })
	}
	runs = runs[:min(limit, len(runs))]
	out := make([]remediate.Run, len(runs))
	for i, run := range runs {
		out[i] = run.Whole()
	}
	f.json(w, out)
}

// run answers one run.
func (f *face) run(w http.ResponseWriter, r *http.Request) {
	run, ok := f.Backend.Run(r.PathValue("id"))
	if !ok {
		http.Error(w, ErrNotFound.Error(), http.StatusNotFound)
		return
	}
	f.json(w, run.Whole())
}

func (f *face) json(w http.ResponseWriter, v any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		f.Log.Error("writing JSON", "err", err)
		http.Error(w, "the runs cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = body.WriteTo(w)
}

// approve answers the run as it is after the approval: planned again, or at work.
func (f *face) approve(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if err := f.Backend.Approve(r.Context(), id, f.Auth.who(r)); err != nil {
		f.decline(w, "approving a run", err)
		return
	}
	f.run(w, r)
}

func (f *face) pause(w http.ResponseWriter, r *http.Request) {
	f.order(w, r, "paused: no run starts until POST /-/resume", f.Backend.Pause)
}

func (f *face) resume(w http.ResponseWriter, r *http.Request) {
	f.order(w, r, "resumed", f.Backend.Resume)
}

func (f *face) order(w http.ResponseWriter, r *http.Request, done string, do func(ctx context.Context, by string) error) {
	if err := do(r.Context(), f.Auth.who(r)); err != nil {
		f.decline(w, "answering "+r.URL.Path, err)
		return
	}
	say(w, done)
}

// reload repeats every fault of the configuration; validation keeps secrets out of
// them.
func (f *face) reload(w http.ResponseWriter, r *http.Request) {
	if err := f.Backend.Reload(r.Context()); err != nil {
		http.Error(w, "the old configuration stays in force:\n"+err.Error(), http.StatusInternalServerError)
		return
	}
	say(w, "reloaded")
}

// decline answers what the Backend did not do.
func (f *face) decline(w http.ResponseWriter, doing string, err error) {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrNotFound):
		code = http.StatusNotFound
	case errors.Is(err, ErrNotAwaiting):
		code = http.StatusConflict
	case errors.Is(err, ErrExpired):
		code = http.StatusGone
	case errors.Is(err, ErrUnavailable):
		code = http.StatusServiceUnavailable
	default:
		f.Log.Error("a request failed", "doing", doing, "err", err)
	}
	http.Error(w, err.Error(), code)
}
