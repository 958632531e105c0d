// SPDX-License-Identifier: Apache-2.0

// Package landing writes the exporter's own page: the state of every cluster as
// the last scrape saw it, worst first, readable without JavaScript. It asks etcd
// nothing; all it knows are the metrics of that scrape.
package landing

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

// Cluster is one cluster as the page shows it.
type Cluster struct {
	Name      string
	Endpoints []etcd.Endpoint
	Last      *collector.Result // nil before the first scrape
}

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("landing").Parse(pageHTML))

// Write writes the page; it asks etcd nothing. single says that /metrics
// serves the one cluster.
func Write(w io.Writer, now time.Time, version string, clusters []Cluster, single bool) error {
	return pageTemplate.Execute(w, newPageView(now, version, clusters, single))
}

// Headers allows the page its own style sheet and nothing else: names of
// members come from outside, and the browser is the second line against them.
func Headers(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src '"+styleHash()+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// styleHash is taken of a rendered page and not of the file, since the
// template engine strips comments. An empty page cannot fail to render.
var styleHash = sync.OnceValue(func() string {
	var page bytes.Buffer
	_ = Write(&page, time.Time{}, "", nil, true)
	_, style, _ := strings.Cut(page.String(), "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
})
