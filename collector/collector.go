// SPDX-License-Identifier: Apache-2.0

// Package collector turns answers of etcd into metrics: one subject a file, its
// metrics one row each of a table. A collector asks through the scrape's
// etcd.View and returns what it has together with an error; what takes longer
// than a scrape runs in the Background, and the scrape serves its last result.
package collector

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
)

// Namespace is the prefix of every metric.
const Namespace = "etcdops"

// Metric is one row of a collector's table: Describe, the scrape, docs/metrics.md
// and lint all read it.
type Metric struct {
	Name   string // without the namespace
	Help   string
	Type   prometheus.ValueType
	Labels []string
}

// FullName is the name as it is scraped.
func (m Metric) FullName() string { return prometheus.BuildFQName(Namespace, "", m.Name) }

// Collector is one subject.
type Collector interface {
	Name() string
	Help() string
	Metrics() []Metric
	// Collect returns what could be learned, together with an error that says
	// what could not. An endpoint that is down is no error: endpoint_up tells it.
	Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error)
}

// Deps is what collectors need beside the view.
type Deps struct {
	Background *Background
	DataDirs   map[string]string // client URL: data directory on this host
	// Certificates gives the exporter's client certificate and the CA file's.
	Certificates func() (leaf *x509.Certificate, cas []*x509.Certificate)
	// PeerCertificates gives the chain presented at a member's peer URL.
	PeerCertificates func(ctx context.Context, m etcd.Member, peerURL string) ([]*x509.Certificate, error)
	// ManifestFlags gives the flags that a static pod manifest on this host has, and
	// the endpoint they belong to; nil where no manifest was named.
	ManifestFlags func() (url string, flags map[string]string, err error)
	// Scanner gives an endpoint's connection for background work, nil where the
	// endpoint is not known any more.
	Scanner   func(url string) etcd.ScanAPI
	Keyspaces []Keyspace
	Mirror    *Mirror // nil where the cluster is no mirror
	Backups   []Backup
	Log       *slog.Logger
}

// Choice is a collector that can be switched.
type Choice struct {
	Name    string
	Default bool
	New     func(Deps) Collector
}

// All lists the collectors in the order of their documentation.
func All() []Choice {
	return []Choice{
		{"status", true, newStatus},
		{"health", true, newHealth},
		{"clock", true, newClock},
		{"members", true, newMembers},
		{"alarms", true, newAlarms},
		{"compaction", true, newCompaction},
		{"tls", true, newTLS},
		{"flags", true, newFlags},
		{"keyspace", true, newKeyspace},
		{"mirror", true, newMirror},
		{"backup", true, newBackup},
		{"hash", false, newHash},
	}
}

// subject is what every collector embeds: its name and its table.
type subject struct {
	name, help string
	metrics    []Metric
	descs      map[string]*prometheus.Desc
}

func newSubject(name, help string, metrics []Metric) subject {
	s := subject{name: name, help: help, metrics: metrics, descs: map[string]*prometheus.Desc{}}
	for _, m := range metrics {
		s.descs[m.Name] = prometheus.NewDesc(m.FullName(), m.Help, m.Labels, nil)
	}
	return s
}

func (s subject) Name() string      { return s.name }
func (s subject) Help() string      { return s.help }
func (s subject) Metrics() []Metric { return s.metrics }

// batch gathers the metrics of one Collect.
type batch struct {
	subject subject
	out     []prometheus.Metric
	seen    map[string]bool
	errs    []error
}

func (s subject) batch() *batch { return &batch{subject: s, seen: map[string]bool{}} }

// add appends one series. Label values come from etcd and may be hostile: bytes
// that are no UTF-8 are replaced, and of two equal series the first counts, since
// a duplicate would fail the whole scrape.
func (b *batch) add(name string, value float64, labels ...string) {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
	}
	key := name + "\xff" + strings.Join(labels, "\xff")
	if b.seen[key] {
		return
	}
	b.seen[key] = true
	desc := b.subject.descs[name]
	if desc == nil {
		b.fail(fmt.Errorf("metric %s is not in the table of collector %s", name, b.subject.name))
		return
	}
	kind := prometheus.GaugeValue
	for _, m := range b.subject.metrics {
		if m.Name == name {
			kind = m.Type
		}
	}
	m, err := prometheus.NewConstMetric(desc, kind, value, labels...)
	if err != nil {
		b.fail(fmt.Errorf("metric %s: %w", name, err))
		return
	}
	b.out = append(b.out, m)
}

// fail remembers an error; nil is none.
func (b *batch) fail(err error) {
	if err != nil {
		b.errs = append(b.errs, err)
	}
}

func (b *batch) done() ([]prometheus.Metric, error) { return b.out, errors.Join(b.errs...) }

func gauge(name, help string, labels ...string) Metric {
	return Metric{Name: name, Help: help, Type: prometheus.GaugeValue, Labels: labels}
}

func number(truth bool) float64 {
	if truth {
		return 1
	}
	return 0
}
