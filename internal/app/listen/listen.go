// SPDX-License-Identifier: Apache-2.0

// Package listen checks what a program is told of its web server before it starts.
package listen

import (
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"
)

// Check checks the flags of the web server before it starts.
func Check(flags *web.FlagConfig) error {
	for _, address := range *flags.WebListenAddresses {
		if strings.HasPrefix(address, "vsock://") {
			continue
		}
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("--web.listen-address: %w: write host:port, or :port for every address", err)
		}
		if _, err := net.LookupPort("tcp", port); err != nil { //nolint:noctx // it asks nobody: it reads /etc/services
			return fmt.Errorf("--web.listen-address: %q names no port: write a number from 0 to 65535", address)
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
