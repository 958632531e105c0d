// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// The metrics of etcd that are looked at. What a version lacks counts as 0:
// etcd_disk_defrag_inflight came with 3.4.18 and 3.5, the rest are in 3.4 to 3.7.
const (
	metricStarted  = "process_start_time_seconds"
	metricDefrag   = "etcd_disk_defrag_inflight"
	metricSlow     = "etcd_debugging_mvcc_slow_watcher_total"
	metricPending  = "etcd_debugging_mvcc_pending_events_total"
	metricResident = "process_resident_memory_bytes"
)

// latestStart bounds what can be a time in seconds since 1970.
const latestStart = 1 << 40

// readVitals fetches an endpoint's own /metrics.
func readVitals(ctx context.Context, client *etcd.Client) (remediate.Vitals, error) {
	if client == nil {
		return remediate.Vitals{}, errNotKnown
	}
	resp, err := client.Metrics(ctx, "")
	if err != nil {
		return remediate.Vitals{}, err
	}
	defer resp.Body.Close()
	return parseVitals(resp.Body)
}

// parseVitals reads out of some hundred kilobytes the five lines that count, so that
// nothing else has to be understood.
func parseVitals(body io.Reader) (remediate.Vitals, error) {
	wanted := []string{metricStarted, metricDefrag, metricSlow, metricPending, metricResident}
	var few bytes.Buffer
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		name, _, _ := strings.Cut(lines.Text(), " ")
		if slices.Contains(wanted, name) {
			few.WriteString(lines.Text() + "\n")
		}
	}
	if err := lines.Err(); err != nil {
		return remediate.Vitals{}, fmt.Errorf("read metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&few)
	if err != nil {
		return remediate.Vitals{}, fmt.Errorf("read metrics: %w", err)
	}
	values := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			value := m.GetUntyped().GetValue()
			if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
				return remediate.Vitals{}, fmt.Errorf("read metrics: %s is %v", name, value)
			}
			values[name] = value
		}
	}
	started, ok := values[metricStarted]
	if !ok || started < 1 || started > latestStart {
		return remediate.Vitals{}, errors.New("read metrics: they do not say when the process started")
	}
	return remediate.Vitals{
		Started:        time.UnixMilli(int64(started * 1000)),
		DefragInflight: values[metricDefrag] > 0,
		SlowWatchers:   values[metricSlow],
		PendingEvents:  values[metricPending],
		Resident:       values[metricResident],
	}, nil
}
