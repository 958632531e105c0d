// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log/slog"

	"github.com/go-kit/log"
	sloggokit "github.com/tjhop/slog-gokit"
)

// newLogger makes slog's front end over a go-kit/log sink, as in the other programs.
func newLogger(w io.Writer, level, format string) *slog.Logger {
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
