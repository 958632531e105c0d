// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"github.com/thanos-io/objstore/exthttp"
)

// transport is the network side of one object store.
type transport struct {
	wrap wrapTransport
	base *http.Transport
}

// open makes the round tripper that a provider uses. The library's own would read
// proxy variables, and unpack what a server sends as gzip: an object is wanted as it
// is stored.
func (t *transport) open(cfg exthttp.HTTPConfig) (http.RoundTripper, error) {
	base, err := exthttp.DefaultTransport(cfg)
	if err != nil {
		return nil, err
	}
	base.Proxy = nil
	base.DisableCompression = true
	t.base = base
	var rt http.RoundTripper = base
	if t.wrap != nil {
		rt = t.wrap(rt)
	}
	return recorder{rt}, nil
}

func (t *transport) close() {
	if t.base != nil {
		t.base.CloseIdleConnections()
	}
}

// recorder notes the ETag of an answer, which the object store library keeps to
// itself, for who asks by withETag.
type recorder struct{ next http.RoundTripper }

func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil && resp.StatusCode < http.StatusMultipleChoices {
		if note, ok := req.Context().Value(noteKey{}).(*note); ok {
			note.set(resp.Header.Get("ETag"))
		}
	}
	return resp, err
}

type noteKey struct{}

// note holds the last ETag that came with a request of one context.
type note struct {
	mu   sync.Mutex
	etag string
}

func withETag(ctx context.Context) (context.Context, *note) {
	n := &note{}
	return context.WithValue(ctx, noteKey{}, n), n
}

func (n *note) set(etag string) {
	// A proxy that packs answers makes a weak one of it; the object is the same.
	etag = strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
	if etag == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.etag = etag
}

func (n *note) get() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.etag
}
