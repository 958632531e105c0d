// SPDX-License-Identifier: Apache-2.0

// Package remediator wires etcd_remediator: configuration, clusters, journal,
// election, the web, the control socket, and what a person asks for by hand.
package remediator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/run"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/etcdops/etcdops/internal/app/remediator/notify"
	"github.com/etcdops/etcdops/internal/app/remediator/web"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/action"
	"github.com/etcdops/etcdops/remediate/dispatch"
	"github.com/etcdops/etcdops/remediate/guard"
	"github.com/etcdops/etcdops/remediate/journal"
	"github.com/etcdops/etcdops/remediate/webhook"
)

// Options are the flags of serve.
type Options struct {
	ConfigFile           string
	Mode                 string // ceiling of every policy's mode
	AllowUnauthenticated bool
	Web                  *toolkit.FlagConfig
	Logger               *slog.Logger
}

// shutdownTime is what requests get at the end, when the runs have ended.
const shutdownTime = 5 * time.Second

// Child does the work of a child process that looks into a snapshot; main calls it
// first of all, and exits with what it gives.
func Child() (child bool, exit int) { return snapshot.Child() }

// Actions are the names of what can be done.
func Actions() []string {
	return []string{
		remediate.ActionDefrag, remediate.ActionCompact, remediate.ActionPruneEvents,
		remediate.ActionDisarm, remediate.ActionSnapshot, remediate.ActionRecoverSpace,
	}
}

// IsUsage says whether Serve failed for its flags or configuration.
func IsUsage(err error) bool {
	_, usage := errors.AsType[badUsageError](err)
	return usage
}

// app is the serving program.
type app struct {
	options    Options
	log        *slog.Logger
	life       context.Context //nolint:containedctx // the program's life: what a reload makes hangs on it
	working    context.Context //nolint:containedctx // ends when the program is told to stop: runs end with it
	end        context.CancelFunc
	journal    *journal.Journal
	clusters   *clusters
	dispatcher *dispatch.Dispatcher
	metrics    *web.Metrics
	notifier   *notify.Notifier
	router     atomic.Pointer[webhook.Router]
	config     atomic.Pointer[config.Validated]
	auth       *web.Auth

	reloading sync.Mutex
}

// Serve serves until ctx ends, and then until the present transaction or member is
// done. Each receive from reload reads the configuration again.
func Serve(ctx context.Context, o Options, reload <-chan struct{}) error {
	v, err := Check(o.ConfigFile)
	if err == nil {
		err = checkServe(o, v)
	}
	if err != nil {
		return badUsageError{err}
	}
	o.Logger.Info("starting etcd_remediator", "version", version.Version, "revision", version.GetRevision(),
		"mode", o.Mode, "clusters", len(v.Clusters), "policies", len(v.Remediation.Policies))
	life, stop := context.WithCancel(context.WithoutCancel(ctx)) // watching and elections go on while a run ends
	defer stop()
	working, end := context.WithCancel(ctx)
	defer end()
	a := &app{options: o, log: o.Logger, life: life, working: working, end: end}
	if a.journal, err = journal.Open(v.Remediation.Journal, journal.Options{Log: o.Logger}); err != nil {
		return err
	}
	defer a.closeJournal()
	if err := a.start(v); err != nil {
		return err
	}
	defer func() { stop(); a.clusters.close() }()
	return a.serve(v, reload) //nolint:contextcheck // at its end the contexts it has have ended
}

func (a *app) closeJournal() {
	if err := a.journal.Close(); err != nil {
		a.log.Error("the journal cannot be closed", "err", err)
	}
}

// start makes everything that runs.
func (a *app) start(v *config.Validated) (err error) {
	r := v.Remediation
	if a.auth, err = web.NewAuth(r.BearerTokenFile, r.AdminTokenFile, a.log); err != nil {
		return badUsageError{fmt.Errorf("remediation.%w", err)}
	}
	served, err := readWeb(*a.options.Web.WebConfigFile)
	if err != nil {
		return badUsageError{err}
	}
	a.auth.Basic = len(served.Users) > 0
	a.notifier = newNotifier(r, a.log)
	a.clusters = &clusters{log: a.log, journal: a.journal, idle: a.options.Mode == remediate.ModePlan}
	a.config.Store(v)
	a.metrics = web.NewMetrics(a.State)
	a.dispatcher = dispatch.New(dispatch.Options{
		Journal: a.journal, Action: action.New, Default: defaults, Concurrent: r.MaxConcurrentClusters,
		Log: a.log, Now: time.Now, Finished: a.finished,
		Watcher: remediate.Watcher{Refused: func(run *remediate.Run, by string) { a.metrics.Refused(run.Cluster, run.Policy, by) }},
	})
	if err := a.apply(v); err != nil {
		return err
	}
	for _, past := range a.journal.Runs(0) {
		if past.Outcome != "" {
			a.metrics.Remember(*past)
		}
	}
	a.tell(v)
	return nil
}

func newNotifier(r *config.Remediation, log *slog.Logger) *notify.Notifier {
	return notify.New(notify.Options{
		Alertmanager: r.Notify.Alertmanager, Grafana: r.Notify.Grafana.URL, GrafanaTokenFile: r.Notify.Grafana.TokenFile,
		Log: log, Now: time.Now,
	})
}

// tell logs what a person should know at the start.
func (a *app) tell(v *config.Validated) {
	for _, warning := range v.Warnings {
		a.log.Warn("configuration", "warning", warning)
	}
	if !v.Remediation.Election.Enabled {
		a.log.Info("no election is configured: this process is the only one that may act, and holds the journal", "journal", v.Remediation.Journal)
	}
	if since, by := a.journal.Paused(); !since.IsZero() {
		a.log.Warn("paused: no run starts until it is resumed", "since", since, "by", by)
	}
	if err := a.journal.Fit(); err != nil {
		a.log.Error("the journal cannot be relied upon: plans only, until a person has looked", "err", err)
	}
	for _, past := range a.journal.Interrupted() {
		a.log.Warn("a run of an earlier process was interrupted; its cause is looked at afresh", "run", past.ID, "policy", past.Policy, "cluster", past.Cluster)
	}
}

// apply puts a configuration into force.
func (a *app) apply(v *config.Validated) error {
	all, rules, err := policies(v.Remediation, a.options.Mode)
	if err != nil {
		return badUsageError{err}
	}
	if err := a.clusters.apply(a.life, v, func(name string, f func()) { a.dispatcher.WhenIdle(a.life, name, f) }); err != nil {
		return err
	}
	guards, err := a.clusters.guards(v.Remediation)
	if err != nil {
		return badUsageError{err}
	}
	a.dispatcher.Replace(a.clusters.targets(), all, guards)
	a.router.Store(&webhook.Router{ClusterLabel: v.Remediation.AlertClusterLabel, Clusters: clusterNames(v), Rules: rules})
	a.metrics.Expect(clusterNames(v), all, slices.Concat(guard.Names(), action.Refusals()))
	a.config.Store(v)
	return nil
}

// finished is told of each run that has an outcome.
func (a *app) finished(run *remediate.Run) {
	a.metrics.RunEnded(*run)
	a.notifier.Ended(*run)
}

// serve runs the web server, the socket and the intents until ctx ends.
func (a *app) serve(v *config.Validated, reload <-chan struct{}) error {
	server := &http.Server{
		Handler: web.Handler(web.Options{
			Backend: a, Auth: a.auth, Metrics: a.metrics, Version: version.Version, Now: time.Now, Log: a.log,
			Webhook: webhook.Handler(webhook.Options{
				Router: a.router.Load, Accept: a.dispatcher.Accept, Observer: a.metrics, Now: time.Now, Log: a.log,
			}),
		}),
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // a scanner's bad handshakes are no news
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	socket, err := listenSocket(a.working, v.Remediation.Journal)
	if err != nil {
		return err
	}
	control := &http.Server{
		Handler: socketHandler(a.dispatcher), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return a.working }, // what was handed over ends with the program, too
	}

	var group run.Group
	group.Add(func() error { return toolkit.ListenAndServe(server, a.options.Web, a.log) }, func(error) { a.shut(server) })
	group.Add(func() error { return control.Serve(socket) }, func(error) { a.shut(control) })
	group.Add(func() error {
		a.dispatcher.Run(a.working)
		a.log.Info("stopped: no run is under way")
		return nil
	}, func(error) { a.end() })
	group.Add(func() error { return a.reloads(a.working, reload) }, func(error) { a.end() })
	group.Add(func() error {
		a.notifier.Run(a.working)
		<-a.working.Done() // it ends at once where nobody is to be told
		return nil
	}, func(error) { a.end() })
	if err := group.Run(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shut ends a server when the runs have ended: the page and the metrics tell of them
// until then.
func (a *app) shut(server *http.Server) {
	a.end() // also where a server has failed: nothing new is begun, and what is under way ends
	a.dispatcher.Wait()
	ending, cancel := context.WithTimeout(a.life, shutdownTime)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		_ = server.Close()
	}
}

func (a *app) reloads(ctx context.Context, reload <-chan struct{}) error {
	for {
		select {
		case <-reload:
			_ = a.Reload(ctx) // it has logged the reason
		case <-ctx.Done():
			return nil
		}
	}
}

// Reload reads the configuration again; a bad one leaves everything as it is. What
// only a start can change is named and left as it was.
func (a *app) Reload(context.Context) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	v, err := Check(a.options.ConfigFile)
	if err == nil {
		err = checkServe(a.options, v)
	}
	if err == nil {
		err = a.unchanged(v)
	}
	if err == nil {
		err = a.apply(v)
	}
	if err != nil {
		a.log.Error("reload failed; the old configuration stays in force", "err", err)
		return err
	}
	a.log.Info("configuration reloaded", "clusters", len(v.Clusters), "policies", len(v.Remediation.Policies))
	for _, warning := range v.Warnings {
		a.log.Warn("configuration", "warning", warning)
	}
	return nil
}

// unchanged refuses what a running process cannot change.
func (a *app) unchanged(v *config.Validated) error {
	was, is := a.config.Load().Remediation, v.Remediation
	var changed []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"journal", was.Journal == is.Journal},
		{"bearer_token_file", was.BearerTokenFile == is.BearerTokenFile},
		{"admin_token_file", was.AdminTokenFile == is.AdminTokenFile},
		{"election", was.Election == is.Election},
		{"max_concurrent_clusters", was.MaxConcurrentClusters == is.MaxConcurrentClusters},
		{"notify", was.Notify == is.Notify},
	} {
		if !field.same {
			changed = append(changed, "remediation."+field.name)
		}
	}
	if len(changed) > 0 {
		return fmt.Errorf("%s cannot change while the program runs: restart it", strings.Join(changed, ", "))
	}
	return nil
}
