// SPDX-License-Identifier: Apache-2.0

package top

import (
	"context"
	"io"
	"strings"
	"time"
)

// redraw is how often the table is drawn while the watch runs.
const redraw = time.Second

// What a terminal is told. The table lives on the alternate screen, so that what
// was on the terminal before is not lost.
const (
	enterScreen = "\x1b[?1049h\x1b[2J"
	leaveScreen = "\x1b[?1049l"
	goHome      = "\x1b[H"
	clearLine   = "\x1b[K"
	clearRest   = "\x1b[J"
)

// draw shows the table until stop is called, where out is a terminal. A terminal
// that takes nothing (Ctrl-S) does not hold the watch up.
func draw(ctx context.Context, o Options, l *ledger, out io.Writer) (stop func()) {
	if o.Size == nil || o.Output != Text {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// What cannot be shown now cannot at the end either, and is told there.
		_, _ = io.WriteString(out, enterScreen)
		defer func() { _, _ = io.WriteString(out, leaveScreen) }()
		for begun := time.Now(); ; {
			columns, lines := o.Size()
			left := max(o.For-time.Since(begun), 0)
			r := l.report(o.Rows)
			_, _ = io.WriteString(out, frame(render(r, view{columns: columns, lines: lines - 1, live: true, left: left})))
			if !sleep(ctx, redraw) {
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// frame draws over what is there, line by line: nothing flickers.
func frame(text string) string {
	lines := strings.TrimSuffix(text, "\n")
	return goHome + strings.ReplaceAll(lines, "\n", clearLine+"\r\n") + clearLine + "\r\n" + clearRest
}
