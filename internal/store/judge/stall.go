// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"fmt"
	"io"
	"time"
)

// stallTime is how long a read may bring nothing before the file is given up: a
// store that hangs must not keep others waiting.
const stallTime = 2 * time.Minute

// watched ends a reading that stands still, and tells of its progress.
type watched struct {
	io.Reader
	timer    *time.Timer
	progress func(read int64)
	read     int64
}

func watch(progress func(int64), cancel context.CancelCauseFunc) *watched {
	return &watched{progress: progress, timer: time.AfterFunc(stallTime, func() {
		cancel(fmt.Errorf("nothing came for %s", stallTime))
	})}
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.timer.Reset(stallTime)
		w.read += int64(n)
		if w.progress != nil {
			w.progress(w.read)
		}
	}
	return n, err
}
