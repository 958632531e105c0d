// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Cluster is what lasts between two scrapes of one cluster: a client for each
// endpoint, the member list that was seen last, and the count of errors.
type Cluster struct {
	cfg     Config
	log     *slog.Logger
	secrets *secrets
	policy  policy
	memory  *Memory
	peers   peers

	scanners scanners

	mu         sync.Mutex
	clients    map[string]*Client // by URL
	discovered []string           // in the order of the member list
	refused    map[string]bool    // advertised URLs that were logged as refused
	closed     bool
}

// NewCluster makes the clients of the configured endpoints. It asks nobody yet;
// a secret that cannot be read shows at the first question and in the log.
func NewCluster(cfg Config) (*Cluster, error) {
	c := &Cluster{
		cfg: cfg, log: cfg.Logger, policy: newPolicy(&cfg),
		memory: NewMemory(), clients: map[string]*Client{}, refused: map[string]bool{},
		scanners: scanners{all: map[string]*Scanner{}},
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.secrets = &secrets{cfg: &c.cfg}
	c.reloadSecrets()
	for _, endpoint := range cfg.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", endpoint, err)
		}
		if c.clients[endpoint], err = newClient(u, &c.cfg, c.secrets, nil); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Endpoints are the client URLs that are asked: the configured ones first.
func (c *Cluster) Endpoints() []Endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endpointsLocked()
}

func (c *Cluster) endpointsLocked() []Endpoint {
	var all []Endpoint
	for _, u := range c.cfg.Endpoints {
		all = append(all, Endpoint{URL: u})
	}
	for _, u := range c.discovered {
		all = append(all, Endpoint{URL: u, Discovered: true})
	}
	return all
}

// View begins a round of questions. The secrets are read again first, so that a
// rotated file counts from the next scrape on. Call Close at its end.
func (c *Cluster) View(ctx context.Context) *View {
	c.reloadSecrets()
	if c.cfg.Discover && !c.memory.seen() {
		c.firstList(ctx)
	}
	return c.view(ctx)
}

func (c *Cluster) view(ctx context.Context) *View {
	apis := map[Endpoint]API{}
	c.mu.Lock()
	endpoints := c.endpointsLocked()
	for _, e := range endpoints {
		apis[e] = c.clients[e.URL]
	}
	c.mu.Unlock()
	view := NewView(ctx, endpoints, apis, c.memory)
	view.cluster = c
	return view
}

// firstList asks the configured endpoints for the member list, so that even the
// first scrape sees the whole cluster. It is a round of its own with half of the
// time, whose last requests may go on: the round itself needs their connections.
func (c *Cluster) firstList(ctx context.Context) {
	ctx, cancel := share(ctx, 2)
	context.AfterFunc(ctx, cancel)
	first := c.view(ctx)
	if _, err := first.Members(ctx); err == nil {
		first.Close()
	}
}

// Client gives the client of a known endpoint, nil for any other.
func (c *Cluster) Client(endpoint string) *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clients[endpoint]
}

// Metrics fetches the own /metrics of a known endpoint. encoding is passed on as
// Accept-Encoding; the caller closes the body.
func (c *Cluster) Metrics(ctx context.Context, endpoint, encoding string) (*http.Response, error) {
	client := c.Client(endpoint)
	if client == nil {
		return nil, fmt.Errorf("%q is not an endpoint of cluster %s", endpoint, c.cfg.Name)
	}
	c.reloadSecrets()
	return client.Metrics(ctx, encoding)
}

// Certificates gives the client certificate we present (nil without one) and the
// certificates of the CA file.
func (c *Cluster) Certificates() (leaf *x509.Certificate, cas []*x509.Certificate) {
	return c.secrets.certificates()
}

func (c *Cluster) reloadSecrets() {
	changed, err := c.secrets.refresh()
	if err != nil {
		c.log.Warn("secret files cannot be used; what was read before stays in force", "err", err)
	}
	if !changed {
		return
	}
	c.log.Info("secret files changed; connections are made anew")
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, client := range c.clients {
		client.http.renew()
	}
}

// down and up are called with the outcome of each Status. They tell the log, and
// whoever wants to know, of a change.
func (c *Cluster) down(e Endpoint, reason Reason, err error) {
	if !c.memory.goesDown(e.URL, reason) {
		return
	}
	c.log.Warn("endpoint is down", "url", e.URL, "reason", string(reason), "err", err)
	if c.cfg.OnDown != nil {
		c.cfg.OnDown(reason)
	}
}

func (c *Cluster) up(e Endpoint) {
	if gone := c.memory.comesUp(e.URL); gone > 0 {
		c.log.Info("endpoint is up again", "url", e.URL, "after", gone.Round(time.Millisecond))
	}
}

// Close ends all connections.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	clients := slices.Collect(maps.Values(c.clients))
	c.mu.Unlock()
	for _, client := range clients {
		client.Close()
	}
	c.scanners.close()
}
