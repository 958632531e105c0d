// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"bytes"
	"context"
	"flag" //nolint:depguard // a flag of go test, not of a program
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
)

var update = flag.Bool("update", false, "write the golden scrapes of testdata anew; then read them")

// capturedVersions are those that every collector has a recording of.
var capturedVersions = []string{"3.4.23", "3.5.35", "3.6.16", "3.7.3"}

// unrecorded ask in the background, over minutes, or do not ask etcd at all: the
// end-to-end tests try them on every version instead.
var unrecorded = []string{"keyspace", "mirror", "backup", "hash"}

// TestGolden replays what real etcd answered and compares the scrape with
// testdata/COLLECTOR/VERSION[-STATE].prom. It runs in a bubble of its own time,
// so that durations and clocks are exact.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, choice := range All() {
		if slices.Contains(unrecorded, choice.Name) {
			continue
		}
		files, err := filepath.Glob(filepath.Join("testdata", choice.Name, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range capturedVersions {
			if !slices.Contains(files, filepath.Join("testdata", choice.Name, version+".json")) {
				t.Errorf("collector %s has no recording of etcd %s", choice.Name, version)
			}
		}
		for _, file := range files {
			name := strings.TrimSuffix(file, ".json")
			t.Run(strings.TrimPrefix(name, "testdata/"), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { compareGolden(t, choice, load(t, file), name+".prom") })
			})
		}
	}
}

func compareGolden(t *testing.T, choice Choice, f fixture, golden string) {
	t.Helper()
	w := f.world(t)
	c := choice.New(w.deps)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	metrics, err := c.Collect(ctx, w.view(ctx))
	for range len(f.Endpoints[0].Times) - 2 { // the first scrape took two samples
		time.Sleep(2 * time.Second)
		metrics, err = c.Collect(ctx, w.view(ctx))
	}
	if choice.Name == "flags" { // the first scrape has them read
		synctest.Wait()
		metrics, err = c.Collect(ctx, w.view(ctx))
	}
	if err != nil {
		t.Errorf("collector %s: %v", c.Name(), err)
	}
	if choice.Name == "clock" {
		checkTruth(t, f, seriesOf(c.Metrics(), metrics))
	}
	scrape := table{c.Metrics(), metrics}
	if *update {
		var names []string
		for _, m := range c.Metrics() {
			names = append(names, m.FullName())
		}
		text, err := testutil.CollectAndFormat(scrape, expfmt.TypeTextPlain, names...)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if err := testutil.CollectAndCompare(scrape, bytes.NewReader(want)); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(scrape)
	if err != nil {
		t.Error(err)
	}
	for _, p := range problems {
		t.Errorf("lint: %s: %s", p.Metric, p.Text)
	}
}

// checkTruth: the members ran on the recording's own machine, so their skews are
// known: none, or what capture gave them.
func checkTruth(t *testing.T, f fixture, got series) {
	t.Helper()
	skews := map[string][]float64{"healthy": {0, 0, 0}, "skewed": {0, 2.5, -180}}[f.State]
	for i, e := range f.Endpoints {
		skew := got[`endpoint_clock_skew_seconds{url="`+e.URL+`"}`]
		width := got[`endpoint_clock_skew_error_seconds{url="`+e.URL+`"}`]
		if !(math.Abs(skew-skews[i]) <= width) || width > 0.2 {
			t.Errorf("a skew of %v s is given as %v ± %v", skews[i], skew, width)
		}
	}
}

// TestGoldensHaveRecordings finds a golden scrape that nothing is compared with.
func TestGoldensHaveRecordings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, isRecording := strings.CutSuffix(file, ".json")
		other := name + ".prom"
		if !isRecording {
			other = strings.TrimSuffix(file, ".prom") + ".json"
		}
		if !slices.Contains(files, other) {
			t.Errorf("%s has no %s", file, filepath.Base(other))
		}
	}
}
