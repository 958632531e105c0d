// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's template
	"encoding/base64"
	"html/template"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/etcdops/etcdops/collector"
	"github.com/etcdops/etcdops/internal/etcd"
)

// landingCluster is one cluster as the page shows it.
type landingCluster struct {
	Name      string
	Endpoints []etcd.Endpoint
	Last      *collector.Result // nil before the first scrape
}

//go:embed landing.html
var landingHTML string

var landingTemplate = template.Must(template.New("landing").Parse(landingHTML))

// landingPage writes the page; it asks etcd nothing. single says that /metrics
// serves the one cluster.
func landingPage(w io.Writer, now time.Time, version string, clusters []landingCluster, single bool) error {
	return landingTemplate.Execute(w, newPageView(now, version, clusters, single))
}

// landingHeaders allows the page its own style sheet and nothing else: names of
// members come from outside, and the browser is the second line against them.
func landingHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src '"+landingStyleHash()+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// landingStyleHash is taken of a rendered page and not of the file, since the
// template engine strips comments. An empty page can not fail to render.
var landingStyleHash = sync.OnceValue(func() string {
	var page bytes.Buffer
	_ = landingPage(&page, time.Time{}, "", nil, true)
	_, style, _ := strings.Cut(page.String(), "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
})
