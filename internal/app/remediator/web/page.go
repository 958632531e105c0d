// SPDX-License-Identifier: Apache-2.0

package web

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

	"github.com/etcdops/etcdops/remediate"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("status").Parse(pageHTML))

// page answers the status page: what the program does, may do and did. It asks etcd
// nothing.
func (f *face) page(w http.ResponseWriter, _ *http.Request) {
	var page bytes.Buffer
	err := writePage(&page, subject{f.Now(), f.Version, f.Backend.State(), f.Backend.Runs(), f.Metrics.heartbeatAt()})
	if err != nil {
		f.Log.Error("writing the status page", "err", err)
		http.Error(w, "the status page cannot be written; the log says why", http.StatusInternalServerError)
		return
	}
	pageHeaders(w.Header())
	_, _ = page.WriteTo(w)
}

// subject is what the page is about.
type subject struct {
	Now       time.Time
	Version   string
	State     State
	Runs      []remediate.Run // the newest first
	Heartbeat time.Time
}

func writePage(w io.Writer, s subject) error { return pageTemplate.Execute(w, newPageView(s)) }

// pageHeaders allows the page its own style sheet and nothing else: names of alerts
// and members come from outside, and the browser is the second line against them.
func pageHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src '"+styleHash()+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// styleHash is taken of a rendered page and not of the file, since the template
// engine strips comments. An empty page cannot fail to render.
var styleHash = sync.OnceValue(func() string {
	var page bytes.Buffer
	_ = writePage(&page, subject{})
	_, style, _ := strings.Cut(page.String(), "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
})
