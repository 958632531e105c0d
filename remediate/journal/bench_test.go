// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
)

// BenchmarkAppend is the rate at which 64 callers have their entries on the disk, each
// before it goes on.
func BenchmarkAppend(b *testing.B) {
	j, err := Open(filepath.Join(b.TempDir(), "journal"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	i := Intent{Policy: "p", Cluster: "prod", Fingerprint: "0123456789abcdef"}
	if err := j.Accept(b.Context(), i); err != nil {
		b.Fatal(err)
	}
	var tries atomic.Int64
	b.SetParallelism(max(64/runtime.GOMAXPROCS(0), 1))
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			mine := i
			mine.Tries = int(tries.Add(1))
			if err := j.UpdateIntent(b.Context(), mine); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
