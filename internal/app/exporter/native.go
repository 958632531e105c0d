// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// native streams a member's own /metrics through, fetched with the cluster's
// credentials. The URL must be one of the cluster's known endpoints.
func (a *app) native(w http.ResponseWriter, r *http.Request) {
	c, release, ok := a.cluster(w, r)
	if !ok {
		return
	}
	defer release()
	given := r.URL.Query()["url"]
	if len(given) != 1 || given[0] == "" {
		http.Error(w, "the parameter url must be given, once; /sd/native lists the endpoints", http.StatusBadRequest)
		return
	}
	wanted := strings.TrimSuffix(given[0], "/")
	if !slices.ContainsFunc(c.etcd.Endpoints(), func(e etcd.Endpoint) bool { return e.URL == wanted }) {
		http.Error(w, fmt.Sprintf("%.200q is not an endpoint of cluster %s; /sd/native lists them", wanted, c.config.Name), http.StatusNotFound)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.timeout(r))
	defer cancel()
	if err := a.natives.Acquire(ctx, 1); err != nil {
		http.Error(w, fmt.Sprintf("%d members are being read already", maxNative), http.StatusServiceUnavailable)
		return
	}
	defer a.natives.Release(1)
	a.stream(ctx, w, r, c, wanted)
}

func (a *app) stream(ctx context.Context, w http.ResponseWriter, r *http.Request, c *cluster, endpoint string) {
	encoding := ""
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		encoding = "gzip"
	}
	resp, err := c.etcd.Metrics(ctx, endpoint, encoding)
	if err != nil {
		code := http.StatusBadGateway
		if isTimeout(err) {
			code = http.StatusGatewayTimeout
		}
		http.Error(w, err.Error(), code)
		return
	}
	defer resp.Body.Close()
	header := w.Header()
	header.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	if got := resp.Header.Get("Content-Encoding"); got != "" {
		header.Set("Content-Encoding", got)
	}
	if deadline, ok := ctx.Deadline(); ok { // a reader that stalls must not hold its place
		_ = http.NewResponseController(w).SetWriteDeadline(deadline.Add(time.Second))
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		a.log.Debug("streaming of a member's metrics broke off", "cluster", c.config.Name, "url", endpoint, "err", err)
		panic(http.ErrAbortHandler) // net/http's way to let the scraper see a cut answer as one
	}
}

// acceptsGzip reads an Accept-Encoding header; "gzip;q=0" refuses it.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			_, q, weighted := strings.Cut(weight, "=")
			return !weighted || strings.Trim(q, "0. ") != ""
		}
	}
	return false
}

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
