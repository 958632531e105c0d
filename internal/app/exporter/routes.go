// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/common/version"

	"github.com/etcdops/etcdops/internal/app/exporter/landing"
)

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", a.metrics)
	mux.HandleFunc("GET /probe", a.probe)
	mux.HandleFunc("GET /sd", a.sd)
	mux.HandleFunc("GET /sd/native", a.sdNative)
	mux.HandleFunc("GET /native", a.native)
	mux.HandleFunc("GET /{$}", a.landing)
	mux.HandleFunc("GET /-/healthy", fixed("etcd_exporter is healthy\n"))
	mux.HandleFunc("GET /-/ready", fixed("etcd_exporter is ready\n"))
	mux.HandleFunc("POST /-/reload", a.handleReload)
	if a.options.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return wellFormed(mux)
}

func fixed(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

func (a *app) handleReload(w http.ResponseWriter, _ *http.Request) {
	if err := a.reload(); err != nil {
		http.Error(w, "the old configuration stays in force:\n"+err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write([]byte("reloaded\n"))
}

// landing shows the last results; it asks etcd nothing.
func (a *app) landing(w http.ResponseWriter, _ *http.Request) {
	var shown []landing.Cluster
	for _, c := range a.fleet.all() {
		shown = append(shown, landing.Cluster{Name: c.config.Name, Endpoints: c.etcd.Endpoints(), Last: c.set.Last()})
	}
	var page bytes.Buffer
	if err := landing.Write(&page, time.Now(), version.Version, shown, len(shown) == 1); err != nil {
		http.Error(w, "landing page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	landing.Headers(w.Header())
	_, _ = page.WriteTo(w)
}

// errorLog hands promhttp's complaints to the program's log. They are about clients
// that hang up or ask for odd encodings: nothing to act on.
type errorLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l errorLog) Println(v ...any) { l.log.Debug("answering a scrape", "err", fmt.Sprint(v...)) }
