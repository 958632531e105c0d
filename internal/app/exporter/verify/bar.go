// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// redraw is the least time between two drawings of the bar.
const redraw = 100 * time.Millisecond

// bar is the progress of one file on a terminal.
type bar struct {
	out   io.Writer // nil: nobody looks
	width int
	name  string
	total int64
	begun time.Time
	drawn time.Time
}

func newBar(out io.Writer, width int, name string, total int64) *bar {
	return &bar{out: out, width: width, name: line(name), total: total, begun: time.Now()}
}

func (b *bar) show(read int64) {
	now := time.Now()
	if b.out == nil || now.Sub(b.drawn) < redraw {
		return
	}
	b.drawn = now
	share := 1.0
	if b.total > 0 {
		share = min(1, float64(read)/float64(b.total))
	}
	figures := fmt.Sprintf(" %3.0f %%  %s/s", share*100, size(int64(float64(read)/max(now.Sub(b.begun).Seconds(), 0.001))))
	name := b.name
	const cells = 24
	if room := b.width - cells - len(figures) - 4; len(name) > room {
		name = name[max(0, len(name)-max(room, 0)):]
	}
	full := int(share * cells)
	fmt.Fprintf(b.out, "\r\x1b[K%s [%s%s]%s", name, strings.Repeat("#", full), strings.Repeat(".", cells-full), figures)
}

func (b *bar) clear() {
	if b.out != nil && !b.drawn.IsZero() {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}
