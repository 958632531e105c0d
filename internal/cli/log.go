// SPDX-License-Identifier: Apache-2.0

// Package cli is what the command lines of the programs have in common.
package cli

import (
	"io"
	"log/slog"

	"github.com/go-kit/log"
	sloggokit "github.com/tjhop/slog-gokit"
)

// NewLogger makes slog's front end over a go-kit/log sink. format is json, or
// anything else for logfmt. The bridge writes the time and the level itself, so the
// sink adds neither.
func NewLogger(w io.Writer, level, format string) *slog.Logger {
	sink := log.NewLogfmtLogger(log.NewSyncWriter(w))
	if format == "json" {
		sink = log.NewJSONLogger(log.NewSyncWriter(w))
	}
	var least slog.LevelVar
	if err := least.UnmarshalText([]byte(level)); err != nil {
		least.Set(slog.LevelInfo) // the flag allows no other words than slog's own
	}
	return slog.New(sloggokit.NewGoKitHandler(sink, &least))
}
