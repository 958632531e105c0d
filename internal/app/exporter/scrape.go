// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// leastTimeout is what a round needs at the least; a scraper that allows less has
// given up before any answer could come.
const leastTimeout = 50 * time.Millisecond

// timeoutHeader is what Prometheus says of its own patience, in seconds.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// metrics serves the exporter's own metrics, with those of the cluster where
// there is just one.
func (a *app) metrics(w http.ResponseWriter, r *http.Request) {
	c, release, ok := a.fleet.only()
	if !ok {
		a.answer(w, r, a.registry)
		return
	}
	defer release()
	a.scrape(w, r, c, nil, a.registry)
}

// probe serves one cluster, chosen by its name. A URL is never taken from a
// request.
func (a *app) probe(w http.ResponseWriter, r *http.Request) {
	c, release, ok := a.cluster(w, r)
	if !ok {
		return
	}
	defer release()
	only := r.URL.Query()["collect[]"]
	for _, wanted := range only {
		if !slices.Contains(c.set.Names(), wanted) {
			http.Error(w, fmt.Sprintf("collect[]=%.60q is not an enabled collector; enabled are: %s",
				wanted, strings.Join(c.set.Names(), ", ")), http.StatusBadRequest)
			return
		}
	}
	a.scrape(w, r, c, only)
}

// scrape asks the cluster and answers with what could be learned, and with what
// the gatherers beside have.
func (a *app) scrape(w http.ResponseWriter, r *http.Request, c *cluster, only []string, beside ...prometheus.Gatherer) {
	families, err := c.set.Scrape(r.Context(), only, a.timeout(r))
	if err != nil {
		http.Error(w, "scrape: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
	a.answer(w, r, append(beside, gathered)...)
}

func (a *app) answer(w http.ResponseWriter, r *http.Request, gatherers ...prometheus.Gatherer) {
	// A reader that stalls must not hold its connection for ever.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	promhttp.HandlerFor(prometheus.Gatherers(gatherers), promhttp.HandlerOpts{
		ErrorLog: errorLog{a.log}, ErrorHandling: promhttp.ContinueOnError,
	}).ServeHTTP(w, r)
}

// cluster finds the one that the parameter cluster names; where there is none it
// has answered. The cluster stays open until release is called.
func (a *app) cluster(w http.ResponseWriter, r *http.Request) (c *cluster, release func(), ok bool) {
	given := r.URL.Query()["cluster"]
	known := strings.Join(a.fleet.names(), ", ")
	switch {
	case len(given) == 0 || given[0] == "":
		http.Error(w, "the parameter cluster is missing; known clusters: "+known, http.StatusBadRequest)
		return nil, nil, false
	case len(given) > 1:
		http.Error(w, "the parameter cluster is given more than once", http.StatusBadRequest)
		return nil, nil, false
	}
	if c, release, ok = a.fleet.use(given[0]); !ok {
		http.Error(w, fmt.Sprintf("cluster %.100q is not known; known clusters: %s", given[0], known), http.StatusNotFound)
	}
	return c, release, ok
}

// timeout is how long a request may take: the flag, or what the scraper allows
// less the offset, whichever is shorter. A header that makes no sense is as none.
func (a *app) timeout(r *http.Request) time.Duration {
	seconds, err := strconv.ParseFloat(r.Header.Get(timeoutHeader), 64)
	if err != nil || math.IsNaN(seconds) || math.IsInf(seconds, 0) {
		return a.options.ScrapeTimeout
	}
	allowed := seconds - a.options.TimeoutOffset.Seconds()
	if allowed < leastTimeout.Seconds() || allowed > a.options.ScrapeTimeout.Seconds() {
		return a.options.ScrapeTimeout
	}
	return time.Duration(allowed * float64(time.Second))
}
