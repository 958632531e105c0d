// SPDX-License-Identifier: Apache-2.0

package live

import (
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

func TestParseVitals(t *testing.T) {
	started := "process_start_time_seconds 1.76394e+09\n"
	whole := remediate.Vitals{
		Started: time.Unix(1763940000, 500e6), DefragInflight: true, SlowWatchers: 3, PendingEvents: 4, Resident: 5e7,
	}
	for name, k := range map[string]struct {
		text string
		want remediate.Vitals
		bad  bool
	}{
		"all": {"# HELP a b\n# TYPE etcd_disk_defrag_inflight gauge\netcd_disk_defrag_inflight 1\nprocess_start_time_seconds 1.7639400005e+09\n" +
			"etcd_debugging_mvcc_slow_watcher_total 3\netcd_debugging_mvcc_pending_events_total 4\nprocess_resident_memory_bytes 5e+07\n", whole, false},
		"what a version lacks is 0":    {started, remediate.Vitals{Started: time.Unix(1763940000, 0)}, false},
		"others are not understood":    {started + "{{{ 3\nx{y=\"z 4\n", remediate.Vitals{Started: time.Unix(1763940000, 0)}, false},
		"no start":                     {"etcd_disk_defrag_inflight 0\n", remediate.Vitals{}, true},
		"nothing":                      {"", remediate.Vitals{}, true},
		"a start that is none":         {"process_start_time_seconds NaN\n", remediate.Vitals{}, true},
		"a start in another age":       {"process_start_time_seconds 1e300\n", remediate.Vitals{}, true},
		"a start of 0":                 {"process_start_time_seconds 0\n", remediate.Vitals{}, true},
		"an endless number":            {started + "etcd_debugging_mvcc_slow_watcher_total +Inf\n", remediate.Vitals{}, true},
		"less than nothing":            {started + "process_resident_memory_bytes -1\n", remediate.Vitals{}, true},
		"no number":                    {started + "process_resident_memory_bytes many\n", remediate.Vitals{}, true},
		"a line without end":           {started + strings.Repeat("x", 1<<17), remediate.Vitals{}, true},
		"a page of something":          {"<html>\n<body>process_start_time_seconds</body>\n", remediate.Vitals{}, true},
		"a line with labels is not it": {"process_start_time_seconds{a=\"b\"} 5\n", remediate.Vitals{}, true},
	} {
		got, err := parseVitals(strings.NewReader(k.text))
		if (err != nil) != k.bad || !k.bad && (!got.Started.Equal(k.want.Started) || got.DefragInflight != k.want.DefragInflight ||
			got.SlowWatchers != k.want.SlowWatchers || got.PendingEvents != k.want.PendingEvents || got.Resident != k.want.Resident) {
			t.Errorf("%s: %+v, error %v", name, got, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n") {
			t.Errorf("%s: the error is not one line: %q", name, err)
		}
	}
}
