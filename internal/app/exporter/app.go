// SPDX-License-Identifier: Apache-2.0

// Package exporter wires etcd_exporter: configuration, clusters, HTTP, reload
// and the landing page.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/semaphore"

	"github.com/etcdops/etcdops/internal/app/listen"
	"github.com/etcdops/etcdops/internal/config"
)

// Options are the program's flags.
type Options struct {
	ConfigFile    string       // empty: the one cluster of Flags
	Flags         config.Flags // ignored with ConfigFile
	Collectors    []string     // names of the enabled ones
	ScrapeTimeout time.Duration
	TimeoutOffset time.Duration // taken off the scraper's own timeout
	ExternalURL   *url.URL      // nil: the request's Host
	Pprof         bool
	Web           *web.FlagConfig
	Logger        *slog.Logger
}

const (
	// maxRounds bounds the rounds to etcd that requests can cause at one time,
	// equal ones counted once; what comes on top waits for its turn.
	maxRounds = 40
	// maxNative bounds the /metrics of members that are streamed at one time.
	maxNative = 20
	// writeTimeout is what a client gets to read its answer.
	writeTimeout = 30 * time.Second
	// shutdownTime is what running scrapes get at the end.
	shutdownTime = 5 * time.Second
)

// app is the running program.
type app struct {
	options  Options
	log      *slog.Logger
	life     context.Context //nolint:containedctx // the program's life: background work of clusters that a reload makes hangs on it
	fleet    *fleet
	registry *prometheus.Registry
	reloaded *reloadMetrics
	natives  *semaphore.Weighted

	reloading sync.Mutex
}

// Check reads all that the program starts with and says what is wrong.
func Check(o Options) (*config.Validated, error) {
	validated, err := load(o)
	if err != nil {
		return nil, err
	}
	if err := checkBackups(validated); err != nil {
		return nil, err
	}
	return validated, listen.Check(o.Web) // else it shows only once the port is open
}

// load reads the configuration that the options name and checks it.
func load(o Options) (*config.Validated, error) {
	if o.ConfigFile != "" {
		return config.Load(o.ConfigFile)
	}
	return config.FromFlags(o.Flags)
}

// Run serves until ctx ends. Each receive from reload reads the configuration
// again.
func Run(ctx context.Context, o Options, reload <-chan struct{}) error {
	validated, err := Check(o)
	if err != nil {
		return err
	}
	o.Logger.Info("starting etcd_exporter", "version", version.Version, "revision", version.GetRevision(),
		"clusters", len(validated.Clusters), "collectors", strings.Join(o.Collectors, ","))
	life, stop := context.WithCancel(context.WithoutCancel(ctx)) // running scrapes may end when ctx has
	defer stop()
	a := &app{
		options: o, log: o.Logger, life: life,
		fleet:    newFleet(o),
		registry: prometheus.NewRegistry(),
		reloaded: newReloadMetrics(),
		natives:  semaphore.NewWeighted(maxNative),
	}
	if err := a.register(); err != nil {
		return err
	}
	if err := a.fleet.apply(life, validated); err != nil {
		return err
	}
	defer a.fleet.close()
	a.warn(validated)
	a.reloaded.succeeded(time.Now())
	return a.serve(ctx, reload)
}

func (a *app) register() error {
	own := []prometheus.Collector{
		versioncollector.NewCollector("etcd_exporter"),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		a.reloaded,
	}
	for _, c := range own {
		if err := a.registry.Register(c); err != nil {
			return fmt.Errorf("register the exporter's own metrics: %w", err)
		}
	}
	return nil
}

// serve runs the web server and the reload loop until one of them ends.
func (a *app) serve(ctx context.Context, reload <-chan struct{}) error {
	server := &http.Server{
		Handler:           a.routes(),
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // a scanner's bad handshakes are no news
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	var group run.Group
	group.Add(func() error {
		return web.ListenAndServe(server, a.options.Web, a.log)
	}, func(error) {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if err := server.Shutdown(ending); err != nil {
			_ = server.Close()
		}
	})
	done := make(chan struct{})
	group.Add(func() error {
		for {
			select {
			case <-reload:
				_ = a.reload() // it has logged the reason
			case <-ctx.Done():
				a.log.Info("stopping")
				return nil
			case <-done:
				return nil
			}
		}
	}, func(error) { close(done) })
	if err := group.Run(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// reload reads the configuration again; a bad one leaves everything as it is.
func (a *app) reload() error {
	a.reloading.Lock() // else the older of two files may come last
	defer a.reloading.Unlock()
	validated, err := load(a.options)
	if err == nil {
		err = a.fleet.apply(a.life, validated)
	}
	if err != nil {
		a.reloaded.failed()
		a.log.Error("reload failed; the old configuration stays in force", "err", err)
		return err
	}
	a.reloaded.succeeded(time.Now())
	a.log.Info("configuration reloaded", "clusters", len(validated.Clusters))
	a.warn(validated)
	return nil
}

// warn logs what is legal and doubtful about a configuration.
func (a *app) warn(v *config.Validated) {
	for _, warning := range v.Warnings {
		a.log.Warn("configuration", "warning", warning)
	}
}
