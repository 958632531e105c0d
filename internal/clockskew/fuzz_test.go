// SPDX-License-Identifier: Apache-2.0

package clockskew

import (
	"encoding/binary"
	"math"
	"testing"
	"time"
)

// record is the bytes of one fuzzed sample: how to build its local times, four
// numbers for them and the server's time, and the grain.
const record = 1 + 5*8

// FuzzEstimator feeds samples of arbitrary times. Nothing may panic, overflow
// or turn an interval inside out.
func FuzzEstimator(f *testing.F) {
	f.Add(encode(0, 1_772_366_400, 0, int64(ms), 1_772_366_400, 0))
	f.Add(encode(0, math.MaxInt64, 0, 0, math.MinInt64, 0))
	f.Add(encode(0, math.MinInt64, 0, math.MaxInt64, math.MaxInt64, 1))
	f.Add(append(encode(1, 0, 0, int64(ms), 1_772_366_400, 0), encode(1, 1<<59, 1<<59, 0, 1_772_366_400, int64(ms))...))
	f.Add(append(encode(1, 0, 0, math.MaxInt64, 1_772_366_400, 0), encode(1, 0, -1<<60, 0, 1_772_366_400, 0)...))
	start := newWorld(0, true).start
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Estimator
		for ; len(data) >= record; data = data[record:] {
			s := decode(start, data[:record])
			if err := e.Add(s); err == nil {
				checkEstimator(t, &e, s.Received)
			}
			checkEstimator(t, &e, s.Sent)
			checkEstimator(t, &e, s.Server)
		}
		checkEstimator(t, &e, start)
	})
}

func checkEstimator(t *testing.T, e *Estimator, now time.Time) {
	t.Helper()
	if len(e.seen) > Window {
		t.Fatalf("%d samples in a window of %d", len(e.seen), Window)
	}
	if iv := possible(e.seen); iv.empty() || iv.lo < -limit || iv.hi > limit {
		t.Fatalf("interval %v to %v", iv.lo, iv.hi)
	}
	offset, half, ok := e.Estimate(now)
	if ok != (len(e.seen) > 0) || half < 0 || offset.Abs() > limit {
		t.Fatalf("%v ± %v, %v", offset, half, ok)
	}
	if wait := e.Next(now).Sub(now); wait < 0 || wait >= time.Second {
		t.Fatalf("at %v next is %v away", now, wait)
	}
}

func encode(kind byte, numbers ...int64) []byte {
	data := []byte{kind}
	for _, n := range numbers {
		data = binary.LittleEndian.AppendUint64(data, uint64(n))
	}
	return data
}

func decode(start time.Time, data []byte) Sample {
	n := make([]int64, 5)
	for i := range n {
		n[i] = int64(binary.LittleEndian.Uint64(data[1+8*i:]))
	}
	s := Sample{Server: time.Unix(n[3], 0), Grain: time.Duration(n[4])}
	if data[0]%2 == 0 {
		s.Sent = time.Unix(n[0], n[1]%1e9)
		s.Received = s.Sent.Add(time.Duration(n[2]))
		return s
	}
	// Monotonic readings hold decades, not centuries, in a time.Time.
	const most = 1 << 60
	s.Sent = stepWall(start.Add(time.Duration(n[0]%most)), time.Duration(n[1]%most))
	s.Received = stepWall(s.Sent, time.Duration(n[2]%most))
	return s
}
