// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// anybody may call a server of a test.
const anybody = "--web.allow-unauthenticated"

// testWindow: outside the windows no alert starts a run, and a person does.
func testWindow(t *testing.T, l *lab.Lab) {
	other := strings.ToLower(time.Now().UTC().AddDate(0, 0, 3).Weekday().String())
	config := writeConfig(t, l, "  windows: [{weekdays: ['"+other+"']}]\n"+policyOf(lone))
	s := watching(t, config, "--mode=enforce", anybody)
	was := look(t, l)
	s.Fire("alertname", "EtcdFragmented", "cluster", "lab")
	run := s.Ended(1, time.Minute)
	if run.Outcome != "refused" || !strings.HasPrefix(run.Reason, "window: outside the windows; the next one opens at ") || len(run.refusedBy()) != 1 {
		t.Errorf("an alert's run: %s (%s), refused by %v", run.Outcome, run.Reason, run.refusedBy())
	}
	if is := look(t, l); is != was {
		t.Errorf("%s, before %s", is, was)
	}
	acts(t, l, config)
}

// testPaused: what a person has paused stays so, whoever runs, until it is resumed.
func testPaused(t *testing.T, l *lab.Lab) {
	config := writeConfig(t, l, policyOf(lone))
	w := want{by: "paused", saying: "paused by "}
	s := watching(t, config)
	if status, body := s.Do(http.MethodPost, "/-/pause", "{}"); status != http.StatusOK {
		t.Fatalf("pause answers %d: %s", status, body)
	}
	refuses(t, l, config, w, "defrag") // handed over
	s.Kill()
	refuses(t, l, config, w, "defrag") // by itself
	s = watching(t, config, "--mode=enforce", anybody)
	planRefuses(t, config, w, "defrag")
	s.Fire("alertname", "EtcdFragmented", "cluster", "lab")
	if run := s.Ended(2, time.Minute); run.Outcome != "refused" || !strings.HasPrefix(run.Reason, "paused: ") {
		t.Errorf("an alert's run: %s (%s)", run.Outcome, run.Reason)
	}
	if status, body := s.Do(http.MethodPost, "/-/resume", "{}"); status != http.StatusOK {
		t.Fatalf("resume answers %d: %s", status, body)
	}
	run := s.Ended(3, time.Minute) // the alert still wants it: nobody has to fire again
	if run.Outcome != "succeeded" || run.Policy != "reclaim" {
		t.Errorf("after the resume: %+v", run)
	}
}

// testJournal: what is not on record must not be done. One flipped bit in the middle
// is enough; a person looks, and meanwhile there are plans.
func testJournal(t *testing.T, l *lab.Lab) {
	config := writeConfig(t, l, policyOf(lone))
	acts(t, l, config)
	waste(t, l)
	files, err := filepath.Glob(filepath.Join(journalOf(t, config), "journal-*.jsonl"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	text, err := os.ReadFile(files[0])
	must(t, err)
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines[len(lines)/2][len(lines[len(lines)/2])/2] ^= 1
	must(t, os.WriteFile(files[0], bytes.Join(lines, nil), 0o600))

	w := want{by: "journal", saying: filepath.Base(files[0]) + " line "}
	refuses(t, l, config, w, "defrag")
	s := watching(t, config, "--mode=enforce", anybody)
	if !strings.Contains(s.Log(), "the journal cannot be relied upon") {
		t.Errorf("the log says nothing of the journal:\n%s", s.Log())
	}
	planRefuses(t, config, w, "defrag")
	was, runs := look(t, l), len(s.Runs())
	s.Fire("alertname", "EtcdFragmented", "cluster", "lab")
	if run := s.Ended(runs+1, time.Minute); run.Outcome != "refused" || !strings.HasPrefix(run.Reason, "journal: ") {
		t.Errorf("an alert's run: %s (%s)", run.Outcome, run.Reason)
	}
	if is := look(t, l); is != was {
		t.Errorf("%s, before %s", is, was)
	}
}

// testBudget: a second run must wait for the cool-down, and where that is ignored for
// the budget, of which a new journal gives one run.
func testBudget(t *testing.T, l *lab.Lab) {
	often := strings.Replace(lone, "max_runs_per_day: 1000", "max_runs_per_day: 1", 1)
	for name, test := range map[string]struct {
		fields string
		w      want
		args   []string
	}{
		"a budget of one":     {often, want{by: "budget", saying: "1 of 1 runs of the last 24 hours are spent"}, nil},
		"a cool-down":         {strings.Replace(lone, "cooldown: 0s", "cooldown: 1h", 1), want{by: "cooldown", beside: []string{"budget"}, saying: "cool-down of 1h0m0s"}, nil},
		"a cool-down ignored": {strings.Replace(lone, "cooldown: 0s", "cooldown: 1h", 1), want{by: "budget", saying: "a new journal"}, []string{"--ignore-cooldown"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := writeConfig(t, l, policyOf(test.fields))
			refuses(t, l, edit(t, writeConfig(t, l, policyOf(test.fields)), ", allow_small_cluster: true", ""), want{by: "voters"}, "defrag")
			acts(t, l, config)
			waste(t, l)
			refuses(t, l, config, test.w, "defrag", test.args...)
			planRefuses(t, config, test.w, "defrag", test.args...)
		})
	}
}
