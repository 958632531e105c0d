// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"
)

// checkWeb checks the flags of the web server before it starts.
func checkWeb(flags *web.FlagConfig) error {
	for _, address := range *flags.WebListenAddresses {
		if strings.HasPrefix(address, "vsock://") {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("--web.listen-address: %w: write host:port, or :port for every address", err)
		}
	}
	if err := web.Validate(*flags.WebConfigFile); err != nil {
		return fmt.Errorf("--web.config.file: %s: %s", *flags.WebConfigFile, plainWords(err))
	}
	return nil
}

var (
	unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)
	wrongKind    = regexp.MustCompile("cannot unmarshal !!(\\w+)( `[^`]*`)? into \\S+")
)

// plainWords puts the toolkit's YAML errors into one line without Go's types.
func plainWords(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:")
	text = unknownField.ReplaceAllString(text, `unknown field "$1"`)
	text = wrongKind.ReplaceAllString(text, "a value of this kind ($1) does not fit here")
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

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
