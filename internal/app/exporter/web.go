// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"errors"
	"net/http"
	"net/url"
)

var errQuery = errors.New("the query is malformed: percent-encode what is special in a value")

// wellFormed refuses a query that net/url would read in part only.
func wellFormed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			http.Error(w, errQuery.Error(), http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
