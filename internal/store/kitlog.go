// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"log/slog"
	"strings"
)

// kitLogger gives the library's go-kit log lines to slog, without secrets.
type kitLogger struct {
	log     *slog.Logger
	secrets secrets
}

func (l kitLogger) Log(keyvals ...any) error {
	var level string
	var text strings.Builder
	for i := 0; i+1 < len(keyvals); i += 2 {
		key, value := fmt.Sprint(keyvals[i]), fmt.Sprint(keyvals[i+1])
		if key == "level" {
			level = value
			continue
		}
		fmt.Fprintf(&text, "%s=%s ", key, value)
	}
	line := l.secrets.hide(text.String())
	switch level {
	case "error", "warn":
		l.log.Warn("object store library", "text", line)
	default:
		l.log.Debug("object store library", "text", line)
	}
	return nil
}
