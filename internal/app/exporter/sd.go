// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"encoding/json"
	"net/http"
	"net/url"
)

// targetGroup is one entry of Prometheus' http_sd_configs.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// sd lists the clusters, one target group each, so that one scrape job covers all.
func (a *app) sd(w http.ResponseWriter, r *http.Request) {
	if !a.hasAddress(w, r) {
		return
	}
	groups := []targetGroup{}
	for _, c := range a.fleet.all() {
		groups = append(groups, a.target(r, "/probe", map[string]string{
			"__param_cluster": c.config.Name,
			"cluster":         c.config.Name,
		}))
	}
	writeJSON(w, groups)
}

// sdNative lists the endpoints for /native, one target group each. instance is
// the member's own host:port, as if Prometheus scraped it itself.
func (a *app) sdNative(w http.ResponseWriter, r *http.Request) {
	if !a.hasAddress(w, r) {
		return
	}
	groups := []targetGroup{}
	for _, c := range a.fleet.all() {
		for _, e := range c.etcd.Endpoints() {
			u, err := url.Parse(e.URL)
			if err != nil {
				continue // it was parsed when it became known
			}
			groups = append(groups, a.target(r, "/native", map[string]string{
				"__param_cluster": c.config.Name,
				"__param_url":     e.URL,
				"cluster":         c.config.Name,
				"instance":        u.Host,
			}))
		}
	}
	writeJSON(w, groups)
}

// hasAddress says whether there is an address to lead back to; where there is none
// it has answered.
func (a *app) hasAddress(w http.ResponseWriter, r *http.Request) bool {
	if a.options.ExternalURL == nil && r.Host == "" {
		http.Error(w, "the request has no Host header: set --web.external-url", http.StatusBadRequest)
		return false
	}
	return true
}

// target makes a target group that leads back to this exporter.
func (a *app) target(r *http.Request, path string, labels map[string]string) targetGroup {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if own := a.options.ExternalURL; own != nil {
		scheme, host, path = own.Scheme, own.Host, own.JoinPath(path).Path
	}
	labels["__scheme__"] = scheme
	labels["__metrics_path__"] = path
	return targetGroup{Targets: []string{host}, Labels: labels}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(v) // the client has gone: nobody to tell
}
