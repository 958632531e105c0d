// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/etcdops/etcdops/internal/clockskew"
	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/test/lab"
)

const (
	askTimeout = 2 * time.Second // of one question
	// timesAsked is enough for a test to see the estimate narrow.
	timesAsked = 4
)

// record asks every endpoint of a lab all that a collector may want to know, as
// the exporter does.
func record(ctx context.Context, l *lab.Lab, version, state string) (_ fixture, err error) {
	cluster, err := etcd.NewCluster(etcd.Config{
		Name: "capture", Endpoints: l.Endpoints(), ProbeKey: "health",
		CAFile: l.CAFile(), CertFile: l.ClientCert(), KeyFile: l.ClientKey(),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return fixture{}, err
	}
	defer cluster.Close()
	view := cluster.View(ctx)
	f := fixture{Etcd: version, State: state, Peers: map[string]string{}}
	for _, e := range view.Endpoints() {
		answers := endpoint{URL: e.URL, Errors: map[string]fault{}}
		answers.ask(ctx, view, e)
		f.Endpoints = append(f.Endpoints, answers)
	}
	if err := f.settleReads(ctx, view); err != nil {
		return f, err
	}
	leaf, cas := cluster.Certificates()
	if leaf != nil {
		f.Client = chainPEM(append(cas[:0:0], leaf))
	}
	f.CAs = chainPEM(cas)
	f.peers(ctx, cluster)
	return f, nil
}

// ask puts every question to one endpoint, one after another.
func (e *endpoint) ask(ctx context.Context, view *etcd.View, at etcd.Endpoint) {
	api := view.API(at)
	// By way of the view, which remembers who is at home here: the peer ports of
	// such members alone may be asked on the loopback interface.
	status := func(ctx context.Context) (etcd.Status, error) { return view.Status(ctx, at) }
	if status, ok := question(ctx, e, "Status", status); ok {
		e.Status = &status
	}
	if list, ok := question(ctx, e, "MemberList", api.MemberList); ok {
		e.MemberList = &list
	}
	e.Quota, _ = question(ctx, e, "Quota", api.Quota)
	e.Flags, _ = question(ctx, e, "Flags", api.Flags)
	for _, linearizable := range []bool{true, false} {
		e.Reads = append(e.Reads, readOf(ctx, api, etcd.Read{Linearizable: linearizable}))
	}
	var estimator clockskew.Estimator
	for range timesAsked {
		time.Sleep(time.Until(estimator.Next(time.Now())))
		at, ok := question(ctx, e, "ServerTime", api.ServerTime)
		if !ok {
			break
		}
		e.Times = append(e.Times, serverTime{at.Sent, at.Received, at.Date, at.Source})
		if server, err := clockskew.ParseDate(at.Date); err == nil {
			_ = estimator.Add(clockskew.Sample{Sent: at.Sent, Received: at.Received, Server: server}) // only the phase is wanted
		}
	}
	chain, _ := question(ctx, e, "ServerCertificates", api.ServerCertificates)
	e.Certificates = chainPEM(chain)
}

// question asks within askTimeout and keeps the error.
func question[T any](ctx context.Context, e *endpoint, name string, ask func(context.Context) (T, error)) (T, bool) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := ask(ctx)
	if err != nil {
		e.Errors[name] = *faultOf(err)
	}
	return answer, err == nil
}

func readOf(ctx context.Context, api etcd.API, r etcd.Read) read {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	start := time.Now()
	err := api.Read(ctx, r)
	return read{r.Linearizable, r.Revision, time.Since(start).Round(time.Microsecond), faultOf(err)}
}

// settleReads finds, by asking at every revision from the first on, where the
// readable ones begin at each endpoint: the ends of each stretch of equal
// answers say it all.
func (f *fixture) settleReads(ctx context.Context, view *etcd.View) error {
	for i := range f.Endpoints {
		e := &f.Endpoints[i]
		if e.Status == nil || e.Status.Learner {
			continue
		}
		api := view.API(view.Endpoints()[i])
		var answers []read
		for revision := int64(1); revision <= e.Status.Revision+2; revision++ {
			r := readOf(ctx, api, etcd.Read{Revision: revision})
			if r.Error != nil && r.Error.Kind == "" {
				return fmt.Errorf("%s: read at revision %d: %s", e.URL, revision, r.Error.Text)
			}
			r.Took = 0
			answers = append(answers, r)
		}
		for n, r := range answers {
			if n == 0 || n == len(answers)-1 || kind(answers[n-1]) != kind(r) || kind(answers[n+1]) != kind(r) {
				e.Reads = append(e.Reads, r)
			}
		}
	}
	return nil
}

func kind(r read) string {
	if r.Error == nil {
		return ""
	}
	return r.Error.Kind
}

// peers reads the certificates of all peer URLs that anybody lists.
func (f *fixture) peers(ctx context.Context, cluster *etcd.Cluster) {
	for _, e := range f.Endpoints {
		if e.MemberList == nil {
			continue
		}
		for _, m := range e.MemberList.Members {
			for _, u := range m.PeerURLs {
				if f.Peers[u] == "" {
					chain, _ := cluster.PeerCertificates(ctx, m, u) // nobody listens at an unstarted member's
					f.Peers[u] = chainPEM(chain)
				}
			}
		}
	}
	maps.DeleteFunc(f.Peers, func(_, chain string) bool { return chain == "" })
}

// parts is what each collector asks: the rest of a recording is left out of its
// file.
var parts = map[string]func(fixture) fixture{
	"status": part(func(e *endpoint) { e.Flags, e.Reads, e.Times, e.Certificates = nil, nil, nil, "" }, "Status", "MemberList", "Quota"),
	"health": part(func(e *endpoint) {
		e.MemberList, e.Quota, e.Flags, e.Times, e.Certificates = nil, 0, nil, nil, ""
		e.present()
	}, "Status"),
	"clock":   part(func(e *endpoint) { e.MemberList, e.Quota, e.Flags, e.Reads, e.Certificates = nil, 0, nil, nil, "" }, "Status", "ServerTime"),
	"members": part(func(e *endpoint) { e.Quota, e.Flags, e.Times, e.Certificates = 0, nil, nil, ""; e.present() }, "Status", "MemberList"),
	"alarms":  part(func(e *endpoint) { e.Quota, e.Flags, e.Reads, e.Times, e.Certificates = 0, nil, nil, nil, "" }, "Status", "MemberList"),
	"compaction": part(func(e *endpoint) {
		e.MemberList, e.Quota, e.Flags, e.Times, e.Certificates = nil, 0, nil, nil, ""
		e.past()
	}, "Status"),
	"tls":   part(func(e *endpoint) { e.Quota, e.Flags, e.Reads, e.Times = 0, nil, nil, nil }, "Status", "MemberList", "ServerCertificates"),
	"flags": part(func(e *endpoint) { e.MemberList, e.Quota, e.Reads, e.Times, e.Certificates = nil, 0, nil, nil, "" }, "Status", "Flags"),
}

func part(strip func(*endpoint), questions ...string) func(fixture) fixture {
	return func(f fixture) fixture {
		f.Endpoints = slices.Clone(f.Endpoints)
		for i := range f.Endpoints {
			e := &f.Endpoints[i]
			e.Errors = maps.Clone(e.Errors)
			maps.DeleteFunc(e.Errors, func(q string, _ fault) bool { return !slices.Contains(questions, q) })
			strip(e)
		}
		if !slices.Contains(questions, "ServerCertificates") {
			f.Peers, f.CAs, f.Client = nil, "", ""
		}
		return f
	}
}

// present keeps the reads at the present revision, past those at a given one.
func (e *endpoint) present() { e.keepReads(func(r read) bool { return r.Revision == 0 }) }
func (e *endpoint) past()    { e.keepReads(func(r read) bool { return r.Revision != 0 }) }

func (e *endpoint) keepReads(keep func(read) bool) {
	e.Reads = slices.DeleteFunc(slices.Clone(e.Reads), func(r read) bool { return !keep(r) })
}

// check refuses a recording that does not show what its state is for.
func (f fixture) check() error {
	answered, alarms, learners, unstarted, told := 0, 0, 0, 0, 0
	for _, e := range f.Endpoints {
		if e.Status == nil {
			continue
		}
		answered++
		told += len(e.Flags)
		found, unknown := etcd.ParseAlarms(e.Status.Errors)
		alarms += len(found)
		if len(unknown) > 0 {
			return fmt.Errorf("%s: texts in Status that are not understood: %q", e.URL, unknown)
		}
		if e.Status.Learner {
			learners++
		}
		if e.MemberList != nil {
			for _, m := range e.MemberList.Members {
				if !m.Started() {
					unstarted++
				}
			}
		}
	}
	if wrong := map[string]bool{
		healthy: answered != 3 || alarms != 0, learner: learners != 1, unstartedVoter: unstarted == 0,
		nospace: alarms == 0, noQuorum: answered != 1, settings: told != 3*8,
	}[f.State]; wrong {
		return errors.New("the recording does not show its state")
	}
	return nil
}
