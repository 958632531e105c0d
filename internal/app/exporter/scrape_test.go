// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "deflate, GZIP": true, "gzip;q=0": false, "gzip; q=0.0": false,
		"gzip;q=0.5, br": true, "identity": false, "xgzip": false,
	} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

func TestTimeout(t *testing.T) {
	a := &app{options: Options{ScrapeTimeout: 5 * time.Second, TimeoutOffset: 250 * time.Millisecond}}
	for header, want := range map[string]time.Duration{
		"":        5 * time.Second,
		"10":      5 * time.Second, // the flag is the upper bound
		"3":       2750 * time.Millisecond,
		"1.5":     1250 * time.Millisecond,
		"0.25":    5 * time.Second, // nothing is left of it
		"0.2":     5 * time.Second,
		"0":       5 * time.Second,
		"-1":      5 * time.Second,
		"NaN":     5 * time.Second,
		"Inf":     5 * time.Second,
		"1e999":   5 * time.Second,
		"ten":     5 * time.Second,
		"3s":      5 * time.Second,
		"3, 4":    5 * time.Second,
		"0.299":   5 * time.Second, // too little for any answer
		"0.31":    60 * time.Millisecond,
		"1e-300":  5 * time.Second,
		"5.24999": 4999990 * time.Microsecond,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		r.Header.Set(timeoutHeader, header)
		if got := a.timeout(r); (got - want).Abs() > time.Microsecond {
			t.Errorf("header %q: timeout %v, want %v", header, got, want)
		}
	}
}
